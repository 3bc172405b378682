"""`POST /v1/embeddings`: vectors made from a digest of the text, as floats or base64."""

import base64
import hashlib
import struct

from simulator.context import tokens
from simulator.endpoints.memory import Memory
from simulator.http.exchange import Exchange
from simulator.rules.book import refuse
from simulator.wire.json import Json

_DIMENSIONS = 64


async def create(exchange: Exchange, memory: Memory) -> None:
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
