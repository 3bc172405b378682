"""JSON and SSE bytes: one encoder and one decoder for the whole process, and the frames made from them."""

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


def to_frame(event: Json) -> bytes:
    """One event of the Responses stream as one SSE frame (translation reference C, "Wire facts")."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), encode(event))


def to_data_frame(payload: Json) -> bytes:
    """One chat chunk as one SSE frame: chat frames carry no event name."""
    return b"data: %b\n\n" % ENCODER.encode(payload)
