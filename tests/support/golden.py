"""The golden cases and the pure path from an upstream's bytes to a client's, as the edge walks it.

A case is a folder: what a client asks (`chat_request.json`) and what an upstream streams back
(`upstream.sse`) are written by hand; the rest is expected of the code.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from libs.schemas.errors import ErrorEnvelope
from libs.schemas.events import (
    TERMINAL,
    ErrorEvent,
    Keepalive,
    ResponseCompleted,
    ResponseFailed,
    ResponseIncomplete,
    StreamEvent,
    decode_event,
)
from libs.schemas.plan import StreamPlan
from libs.schemas.responses import Response
from libs.translate.completion import COMPLETION_ENCODER, to_completion
from libs.translate.errors import TranslationError, UpstreamFailed
from libs.translate.request import Translated, encode, is_structured, parse, translate
from libs.translate.sse import Frame, FrameParser
from libs.translate.stream import DONE_FRAME, KEEPALIVE_FRAME, ChunkStream, to_frame

ROOT = Path(__file__).resolve().parents[1] / "golden"
CASES = sorted(path.parent.name for path in ROOT.glob("*/chat_request.json"))

_DONE = b"[DONE]"


def read(case: str, name: str) -> bytes:
    """Return a file of a case."""
    return (ROOT / case / name).read_bytes()


def pretty(data: bytes) -> bytes:
    """Return JSON indented, its keys in the order they came."""
    return json.dumps(json.loads(data), indent=2, ensure_ascii=False).encode() + b"\n"


# -- the request ------------------------------------------------------------------------------------


def converted(chat_body: bytes) -> Translated:
    """Translate a chat body for an upstream that knows its model by the same name."""
    request, _ = parse(chat_body)
    return translate(request, model=request.model)


def upstream_request(chat_body: bytes) -> bytes:
    """Return the bytes the upstream gets for a chat body."""
    return encode(converted(chat_body).body)


def plan_of(chat_body: bytes) -> StreamPlan:
    """Return the plan for the answer to a chat body."""
    request, _ = parse(chat_body)
    made = converted(chat_body)
    return StreamPlan(
        stream=True,
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
        structured=is_structured(request),
        items=made.input.sources,
        renames=made.renames,
    )


# -- the answer -------------------------------------------------------------------------------------


def replay(pieces: Iterable[bytes], plan: StreamPlan) -> bytes:
    """Return what a client gets when the upstream's bytes arrive as `pieces`."""
    parser, stream, sent = FrameParser(), ChunkStream(plan), bytearray()
    for piece in pieces:
        for frame in parser.feed(piece):
            event = _event(frame)
            if event is None:
                continue
            try:
                chunks = stream.feed(event)
            except TranslationError as error:
                return bytes(sent) + error_frame(error)
            sent += b"".join(map(to_frame, chunks))
            if isinstance(event, Keepalive) and sent:
                sent += KEEPALIVE_FRAME
            if isinstance(event, TERMINAL):
                return bytes(sent) + DONE_FRAME
    raise AssertionError("the upstream's stream has no terminal event")


def _event(frame: Frame) -> StreamEvent | None:
    name, data = frame
    return None if data == _DONE else decode_event(name, data)


def error_frame(error: TranslationError) -> bytes:
    """Return the last frame of an answer that failed after its first byte."""
    return b"data: %b\n\n" % _envelope(error)


def whole_answer(upstream: bytes, plan: StreamPlan) -> bytes | None:
    """Return the body of the same answer when it is not streamed; None where the stream tells no whole response."""
    response = _terminal_response(upstream)
    if response is None:
        return None
    try:
        return COMPLETION_ENCODER.encode(to_completion(response, plan))
    except UpstreamFailed as error:
        return _envelope(error)


def fails(upstream: bytes) -> bool:
    """Whether an upstream's stream ends with a failure."""
    return isinstance(_terminal(upstream), ResponseFailed | ErrorEvent)


def _terminal(upstream: bytes) -> ResponseCompleted | ResponseIncomplete | ResponseFailed | ErrorEvent:
    events = map(_event, FrameParser().feed(upstream))
    return next(event for event in events if isinstance(event, TERMINAL))


def _terminal_response(upstream: bytes) -> Response | None:
    terminal = _terminal(upstream)
    return None if isinstance(terminal, ErrorEvent) else terminal.response


def _envelope(error: TranslationError) -> bytes:
    return msgspec.json.encode(ErrorEnvelope(error.error))


def chunks_of(client: bytes) -> list[dict[str, Any]]:
    """Return the JSON of each frame of a client's stream but the last, `[DONE]`."""
    frames = (data for _, data in FrameParser().feed(client))
    return [json.loads(data) for data in frames if data != _DONE]
