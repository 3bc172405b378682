"""`/v1/files`: a file is counted and hashed, and only its description kept."""

import time

from simulator.endpoints.memory import Memory
from simulator.http.exchange import ClientLeft, Exchange
from simulator.http.multipart import MultipartReader, Part
from simulator.rules.book import refuse
from simulator.wire.ids import new_id


async def upload(exchange: Exchange, memory: Memory) -> None:
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


async def list_all(exchange: Exchange, memory: Memory) -> None:
    """`GET /v1/files`: this account's, newest first."""
    account = exchange.authenticate()
    mine = [file for owner, file in reversed(memory.files) if owner == account]
    first, last = (mine[0]["id"], mine[-1]["id"]) if mine else (None, None)
    await exchange.answer(200, {"object": "list", "data": mine, "first_id": first, "last_id": last, "has_more": False})
