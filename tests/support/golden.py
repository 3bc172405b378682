"""The golden cases and the pure path from an upstream's bytes to a client's, as the edge walks it.

A case is a folder: what a client asks (`chat_request.json`) and what an upstream streams back
(`upstream.sse`) are written by hand; the rest is expected of the code.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from openai import OpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState

from libs.schemas.bus.convert import ClientOptions
from libs.schemas.config import Profile
from libs.schemas.plan import StreamPlan
from libs.schemas.wire.errors import ErrorEnvelope
from libs.schemas.wire.events import (
    TERMINAL,
    ErrorEvent,
    Keepalive,
    ResponseCompleted,
    ResponseFailed,
    ResponseIncomplete,
    StreamEvent,
    decode_event,
)
from libs.schemas.wire.output import Response
from libs.translate.answer.completion import COMPLETION_ENCODER, to_completion
from libs.translate.answer.fanout import FanOut, merge_completions
from libs.translate.answer.finish import failed
from libs.translate.answer.stream import DONE_FRAME, KEEPALIVE_FRAME, Chunks, ChunkStream, to_frame
from libs.translate.errors import TranslationError, UpstreamFailed
from libs.translate.request.options import merged
from libs.translate.request.translating import Translated, encode, parse, translate
from libs.translate.sse import Frame, FrameParser

ROOT = Path(__file__).resolve().parents[1] / "golden"
CASES = sorted(path.parent.name for path in ROOT.glob("*/chat_request.json"))
PROFILE = Profile()

_DONE = b"[DONE]"


def read(case: str, name: str) -> bytes:
    """Return a file of a case."""
    return (ROOT / case / name).read_bytes()


def pretty(data: bytes) -> bytes:
    """Return JSON indented, its keys in the order they came."""
    return json.dumps(json.loads(data), indent=2, ensure_ascii=False).encode() + b"\n"


# -- the request ------------------------------------------------------------------------------------


def converted(chat_body: bytes, profile: Profile = PROFILE) -> Translated:
    """Translate a chat body for an upstream that knows its model by the same name."""
    request = parse(chat_body)
    said = merged(ClientOptions(), request.chat.parley)
    return translate(request, model=request.chat.model, profile=profile, format_=said.format)


def upstream_request(chat_body: bytes) -> bytes:
    """Return the bytes the upstream gets for a chat body."""
    made = converted(chat_body)
    return encode(made.body, made.forwarded)


def plan_of(chat_body: bytes) -> StreamPlan:
    """Return the plan for the answer to a chat body, streamed."""
    return msgspec.structs.replace(converted(chat_body).plan, stream=True)


# -- the answer -------------------------------------------------------------------------------------


def replay(pieces: Iterable[bytes], plan: StreamPlan) -> bytes:
    """Return what a client gets when the upstream's bytes arrive as `pieces`."""
    parser, feed, sent = FrameParser(), _feed(plan), bytearray()
    for piece in pieces:
        for frame in parser.feed(piece):
            event = _event(frame)
            if event is None:
                continue
            try:
                chunks = feed(event)
            except TranslationError as error:
                return bytes(sent) + error_frame(error)
            sent += b"".join(map(to_frame, chunks))
            if isinstance(event, Keepalive) and sent:
                sent += KEEPALIVE_FRAME
            if isinstance(event, TERMINAL):
                return bytes(sent) + DONE_FRAME
    raise AssertionError("the upstream's stream has no terminal event")


def _feed(plan: StreamPlan) -> Callable[[StreamEvent], Chunks]:
    """Return what takes the events of an answer; for several choices each upstream answers the same."""
    if plan.choices == 1:
        return ChunkStream(plan).feed
    fan = FanOut(plan)
    return lambda event: [chunk for choice in fan.choices for chunk in choice.feed(event)]


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
        return COMPLETION_ENCODER.encode(merge_completions([to_completion(response, plan)] * plan.choices))
    except UpstreamFailed as error:
        return _envelope(error)


def fails(upstream: bytes) -> bool:
    """Whether an upstream's stream ends with a failure."""
    terminal = _terminal(upstream)
    return isinstance(terminal, ResponseFailed | ErrorEvent) or failed(terminal.response)


def _terminal(upstream: bytes) -> ResponseCompleted | ResponseIncomplete | ResponseFailed | ErrorEvent:
    events = map(_event, FrameParser().feed(upstream))
    return next(event for event in events if isinstance(event, TERMINAL))


def _terminal_response(upstream: bytes) -> Response | None:
    terminal = _terminal(upstream)
    return None if isinstance(terminal, ErrorEvent) else terminal.response


def _envelope(error: TranslationError) -> bytes:
    return msgspec.json.encode(ErrorEnvelope(error.error))


def rebuild(client_bytes: bytes) -> dict[str, Any]:
    """Return the completion that the official SDK makes of a stream. Raises openai.APIError."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=client_bytes)

    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    with OpenAI(api_key="key", base_url="http://parley.test/v1", http_client=http_client) as client:
        state = ChatCompletionStreamState()
        with client.chat.completions.create(model="any", messages=[], stream=True) as stream:
            for chunk in stream:
                state.handle_chunk(chunk)
        return state.current_completion_snapshot.to_dict()


def meant(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what means nothing: empty fields, and what only the SDK's stream helper adds."""
    kept = {key: _plain(value) for key, value in message.items() if key not in ("parsed", "index", "parsed_arguments")}
    return {key: value for key, value in kept.items() if value not in (None, "", [], {})}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return meant(value)
    return [_plain(entry) for entry in value] if isinstance(value, list) else value


def chunks_of(client: bytes) -> list[dict[str, Any]]:
    """Return the JSON of each frame of a client's stream but the last, `[DONE]`."""
    frames = (data for _, data in FrameParser().feed(client))
    return [json.loads(data) for data in frames if data != _DONE]
