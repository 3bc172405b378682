"""JSON bytes: one encoder and one decoder for the whole process."""

import json
from typing import Any

import msgspec

Json = dict[str, Any]

ENCODER = msgspec.json.Encoder()
DECODER = msgspec.json.Decoder()


def encode(value: Json) -> bytes:
    """JSON; a half of a character, which only a broken server sends, is written as the escape that it is."""
    try:
        return ENCODER.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
