"""JSON and SSE bytes: one encoder and one decoder for the whole process, and the frames made from them."""

from typing import Any

import msgspec

Json = dict[str, Any]

ENCODER = msgspec.json.Encoder()
DECODER = msgspec.json.Decoder()


def to_frame(event: Json) -> bytes:
    """One event of the Responses stream as one SSE frame (translation reference C, "Wire facts")."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), ENCODER.encode(event))


def to_data_frame(payload: Json) -> bytes:
    """One chat chunk as one SSE frame: chat frames carry no event name."""
    return b"data: %b\n\n" % ENCODER.encode(payload)
