"""The endpoints a gateway only relays: models, files, embeddings; each small, each in OpenAI's shape."""

import base64
import hashlib
import struct
import time

from simulator.checks import models
from simulator.context import tokens
from simulator.endpoints.memory import Memory
from simulator.http.exchange import ClientLeft, Exchange
from simulator.http.multipart import MultipartReader, Part
from simulator.rules.book import refuse
from simulator.scripts.scenario_models import SCENARIO_MODELS
from simulator.wire.ids import new_id
from simulator.wire.json import Json

_DIMENSIONS = 64


async def list_models(exchange: Exchange, memory: Memory) -> None:
    exchange.authenticate()
    listed = [models.to_model(name) for name in (*models.LISTED, *SCENARIO_MODELS)]
    await exchange.answer(200, {"object": "list", "data": listed})


async def retrieve_model(exchange: Exchange, memory: Memory, name: str) -> None:
    exchange.authenticate()
    models.find(name)
    await exchange.answer(200, models.to_model(name))


async def upload_file(exchange: Exchange, memory: Memory) -> None:
    """`POST /v1/files`: the content is counted and hashed as it streams in, and not kept."""
    account = exchange.authenticate()
    parts = await _parts(exchange)
    file = next((part for part in parts if part.filename is not None), None)
    if file is None:
        raise refuse("missing_parameter", param="file")
    purpose = next((part.value.decode() for part in parts if part.name == "purpose"), None)
    if purpose is None:
        raise refuse("missing_parameter", param="purpose")
    uploaded = {
        "id": new_id("file").replace("_", "-"),
        "object": "file",
        "bytes": file.size,
        "created_at": int(time.time()),
        "expires_at": None,
        "filename": file.filename,
        "purpose": purpose,
        "status": "processed",
        "status_details": None,
    }
    memory.files.append((account, uploaded))
    await exchange.answer(200, uploaded)


async def _parts(exchange: Exchange) -> list[Part]:
    try:
        reader = MultipartReader(exchange.headers.get("content-type", ""))
        await _feed(exchange, reader)
    except ValueError as error:
        raise refuse("bad_multipart", fault=error) from error
    if not reader.complete:
        raise refuse("bad_multipart", fault="it ended before its last boundary")
    exchange.record_body(
        [
            {"name": part.name, "filename": part.filename, "bytes": part.size, "sha256": part.sha256}
            for part in reader.parts
        ]
    )
    return reader.parts


async def _feed(exchange: Exchange, reader: MultipartReader) -> None:
    more = True
    while more:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        reader.feed(message.get("body", b""))
        more = message.get("more_body", False)


async def list_files(exchange: Exchange, memory: Memory) -> None:
    """`GET /v1/files`: this account's, newest first."""
    account = exchange.authenticate()
    mine = [file for owner, file in reversed(memory.files) if owner == account]
    first, last = (mine[0]["id"], mine[-1]["id"]) if mine else (None, None)
    await exchange.answer(200, {"object": "list", "data": mine, "first_id": first, "last_id": last, "has_more": False})


async def create_embeddings(exchange: Exchange, memory: Memory) -> None:
    """`POST /v1/embeddings`: vectors made from a digest of the text, as floats or base64."""
    exchange.authenticate()
    body = await exchange.json()
    for name in ("model", "input"):
        if body.get(name) is None:
            raise refuse("missing_parameter", param=name)
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    dimensions = body.get("dimensions") or _DIMENSIONS
    data = [
        {"object": "embedding", "index": index, "embedding": _embedding(str(text), dimensions, body)}
        for index, text in enumerate(inputs)
    ]
    used = sum(tokens.count(str(text)) for text in inputs)
    usage = {"prompt_tokens": used, "total_tokens": used}
    await exchange.answer(200, {"object": "list", "data": data, "model": body["model"], "usage": usage})


def _embedding(text: str, dimensions: int, body: Json) -> list[float] | str:
    raw = hashlib.shake_128(text.encode()).digest(dimensions)
    vector = [byte / 128 - 1 for byte in raw]
    if body.get("encoding_format") == "base64":
        return base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
    return vector
