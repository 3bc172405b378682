"""How events become bytes: line ends, missing event lines, repeated frames, and how the bytes are cut into writes.

The default is OpenAI's form. Everything else is what other servers and proxies were seen to send.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.wire.json import ENCODER, Json, encode

DONE_FRAME = b"data: [DONE]\n\n"
_PING = b": ping\n\n"
_MALFORMED = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":\n\n'


def to_frame(event: Json) -> bytes:
    """One event of the Responses stream as one SSE frame (docs/mapping.md#frames)."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), encode(event))


def to_data_frame(payload: Json) -> bytes:
    """One chat chunk as one SSE frame: chat frames carry no event name."""
    return b"data: %b\n\n" % ENCODER.encode(payload)


@dataclass
class Framing:
    """`write_size` cuts every frame into writes of so many bytes; 0 leaves it whole."""

    newline: bytes = b"\n"
    names_events: bool = True
    repeats_deltas: bool = False
    pings: bool = False
    malformed: bool = False
    ends_with_done: bool = False
    write_size: int = 0
    splits_characters: bool = False

    def frames(self, event: Json) -> Iterator[bytes]:
        """The bytes of one numbered event, in as many pieces as it has writes."""
        frame = to_frame(event) if self.names_events else to_data_frame(event)
        is_delta = event["type"].endswith(".delta")
        if self.pings:
            yield from self.writes(_PING)
        yield from self.writes(frame)
        if self.repeats_deltas and is_delta:
            yield from self.writes(frame)
        if self.malformed and event["type"] == "response.in_progress":
            yield from self.writes(_MALFORMED)

    def end(self) -> Iterator[bytes]:
        if self.ends_with_done:
            yield from self.writes(DONE_FRAME)

    def writes(self, frame: bytes) -> Iterator[bytes]:
        if self.newline != b"\n":
            frame = frame.replace(b"\n", self.newline)
        if self.splits_characters:
            yield from _split_characters(frame)
        elif self.write_size:
            for start in range(0, len(frame), self.write_size):
                yield frame[start : start + self.write_size]
        else:
            yield frame

    @property
    def joins_writes(self) -> bool:
        """Whether writes may share a packet: not where the cut between them is the point."""
        return not (self.write_size or self.splits_characters)


def _split_characters(frame: bytes) -> Iterator[bytes]:
    """Cut inside every character of more than one byte."""
    start = 0
    for position, byte in enumerate(frame):
        # The first byte of a longer character: cut behind it.
        if byte >= 0xC0:
            yield frame[start : position + 1]
            start = position + 1
    yield frame[start:]
