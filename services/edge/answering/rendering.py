"""How an upstream stream becomes bytes for the client: as chat chunks, or as the typed events it came in.

A renderer takes frames and gives bytes. It never raises: a failure, and the end, which is released
only when the turn is kept, stand in `failure` and `ending`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from msgspec import Raw

from libs.runtime import metrics
from libs.runtime.logs import Log
from libs.schemas.plan import StreamPlan
from libs.schemas.wire.completion import AssistantMessage
from libs.schemas.wire.errors import ErrorBody, UpstreamErrorBody
from libs.schemas.wire.events import (
    TERMINAL,
    ErrorEvent,
    Keepalive,
    ResponseCompleted,
    ResponseCreated,
    ResponseFailed,
    ResponseIncomplete,
    StreamEvent,
    decode_event,
)
from libs.schemas.wire.output import Response
from libs.schemas.wire.surrogates import UNREADABLE, read
from libs.translate.answer.chain_check import check_chained
from libs.translate.answer.fanout import FanOut
from libs.translate.answer.finish import Ended, ended, event_failure, response_failure
from libs.translate.answer.stream import DONE_FRAME, KEEPALIVE_FRAME, Chunks, ChunkStream, finish_at, to_frame
from libs.translate.answer.upstream_errors import is_stale
from libs.translate.errors import TranslationError

log = Log("parley.edge")

_DONE = b"[DONE]"
_NAMES_PARENT = (ResponseCreated, ResponseCompleted, ResponseIncomplete)  # say what the answer follows
# Typed events before any output.
_PRELUDE = (b"response.created", b"response.in_progress", b"response.queued")


# Gives the client's error for a failure: nearly always the failure itself.
Disclosed = Callable[[TranslationError], TranslationError]


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The answer is whole: `frames` are what is still to be released.

    `sent` is what a chat client got of it, `differences` the parts whose final text differs.
    """

    frames: list[bytes]
    how: Ended
    response: Response
    output: Sequence[Raw]
    sent: AssistantMessage | None = None
    differences: list[str] = []


class Renderer(Protocol):
    """Renders one answer; `created` is the response as it began.

    Nothing follows once `ending` or `failure` stands.
    """

    created: Response | None
    ending: Ending | None
    failure: TranslationError | None
    failure_payload: bytes  # the event that `failure` came of
    stopped: bool  # by a stop sequence: only its usage may still be waited for

    def feed(self, name: bytes, payload: bytes) -> list[bytes]:
        """Return what one frame of the upstream becomes."""

    def keepalive(self) -> None:
        """A comment was sent to the client: the answer has begun."""

    def broken_off(self) -> Ending | None:
        """Return the end of an answer of which no more comes; None where it may not pass for whole."""


def report_differences(differences: Sequence[str], request_id: str) -> None:
    """Count and log the final texts of an answer that differ from their deltas; the client got the deltas."""
    for what in differences:
        metrics.TEXT_DIFFERENCES.labels(what).inc()
    if differences:
        log.warning("text_differs", request_id=request_id, what=",".join(differences))


def decode(name: bytes, payload: bytes) -> StreamEvent | None:
    """Decode one event; what cannot be read is counted and passed over: its text may come again in a `done`."""
    if payload == _DONE:
        return None
    try:
        return decode_event(name, payload)
    except UNREADABLE:
        metrics.BAD_EVENTS.inc()
        return None


class ChatRenderer:
    """Chat Completions chunks. What an upstream sends after the end of its answer, or after a failure, is nothing."""

    def __init__(self, stream: ChunkStream, *, include_usage: bool) -> None:
        self.created: Response | None = None
        self.ending: Ending | None = None
        self.failure: TranslationError | None = None
        self.failure_payload = b""
        self.stopped = False
        self._drains = include_usage
        self._stream = stream
        self._begun = False

    def keepalive(self) -> None:
        """From now on comments may go out."""
        self._begun = True

    def feed(self, name: bytes, payload: bytes) -> list[bytes]:
        """Return chunks as frames; the last ones, from the finish chunk on, stand in `ending`."""
        if self.ending is not None or self.failure is not None:
            return []
        event = decode(name, payload)
        if event is None or isinstance(event, Keepalive):
            return [KEEPALIVE_FRAME] if event is not None and self._begun else []
        if isinstance(event, ResponseCreated):
            self.created = event.response
        try:
            chunks = self._stream.feed(event)
        except TranslationError as error:
            self.failure, self.failure_payload = error, payload
            return []
        if isinstance(event, TERMINAL):
            return self._end(chunks)
        self._begun = self._begun or bool(chunks)
        if self._stream.stopped and not self.stopped:
            chunks += self._stop()
        return [to_frame(chunk) for chunk in chunks]

    def _stop(self) -> Chunks:
        """A stop sequence ended the answer: it is finished at once, and only its usage may be waited for.

        See docs/mapping.md#stop-sequences.
        """
        self.stopped = True
        chunks = self._stream.finish()
        if not self._drains:
            self.ending = self._without_usage()
        return chunks

    def broken_off(self) -> Ending | None:
        """Return the end of a stopped answer whose usage does not come; of another there is none."""
        return self._without_usage() if self.stopped else None

    def _without_usage(self) -> Ending:
        return Ending(
            frames=self._last(self._stream.leave()),
            how=self._stream.ended(),
            response=self.created or Response(),
            output=[],
            differences=self._stream.differences,
        )

    def _end(self, chunks: Chunks) -> list[bytes]:
        first = finish_at(chunks)
        assert self._stream.response is not None
        self.ending = Ending(
            frames=self._last(chunks[first:]),
            how=self._stream.ended(),
            response=self._stream.response,
            output=self._stream.output(),
            sent=self._stream.message(),
            differences=self._stream.differences,
        )
        return [to_frame(chunk) for chunk in chunks[:first]]

    def _last(self, chunks: Chunks) -> list[bytes]:
        frames = [to_frame(chunk) for chunk in chunks]
        return [*frames, DONE_FRAME] if self._stream.is_last else frames


class TypedRenderer:
    """The events of the Responses API as they came (docs/mapping.md#typed-answers).

    `mendable` says that a request which the upstream cannot continue will be sent again, whole: the
    first events are then held back, so that the client sees only the second answer. A failure for which
    `disclosed` gives another one is replaced by that.
    """

    def __init__(self, plan: StreamPlan, *, mendable: bool, disclosed: Disclosed = lambda error: error) -> None:
        self.created: Response | None = None
        self.ending: Ending | None = None
        self.failure: TranslationError | None = None
        self.failure_payload = b""
        self.stopped = False  # nothing of a typed answer is cut
        self._plan = plan
        self._mendable = mendable
        self._disclosed = disclosed
        self._held: list[bytes] = []
        self._count = 0
        self._error: TranslationError | None = None  # which a failed response may follow

    def keepalive(self) -> None:
        """From now on nothing can be unsaid."""
        self._mendable = False

    def broken_off(self) -> Ending | None:
        """Return the end of an answer whose last event is an error; of another there is none."""
        if self._error is None:
            return None
        how = Ended(outcome="failed", error_code=self._error.error.code)
        return Ending(frames=[], how=how, response=self.created or Response(), output=[])

    def error_frame(self, error: ErrorBody) -> bytes:
        """Return Parley's own failure as an event of the stream."""
        event = _Failure(code=error.code, message=error.message, param=error.param, sequence_number=self._count)
        return b"event: error\ndata: %b\n\n" % _ENCODER.encode(event)

    def feed(self, name: bytes, payload: bytes) -> list[bytes]:
        """Return events; the terminal one stands in `ending`, one that is to be mended in `failure`."""
        if payload == _DONE or self.failure is not None or self.ending is not None:
            return []
        event = decode(name, payload)
        if isinstance(event, ResponseCreated):
            self.created = event.response
        if isinstance(event, _NAMES_PARENT) and self._is_unchained(event.response, payload):
            return []
        if self._withhold(event) or (self._mendable and self._hold(name, payload, event)):
            return []
        self._mendable = False
        self._count += 1
        frames, self._held = [*self._held, _frame(name, payload)], []
        if isinstance(event, ErrorEvent):
            self._error = event_failure(event)
        elif isinstance(event, TERMINAL):
            response = event.response
            how = ended(response, response.output)
            self.ending = Ending(frames=frames[-1:], how=how, response=response, output=response.output)
            return frames[:-1]
        return frames

    def _withhold(self, event: StreamEvent | None) -> bool:
        failure = _failure(event)
        if failure is None:
            return False
        disclosed = self._disclosed(failure)
        if disclosed is failure:
            return False
        self.failure = disclosed
        return True

    def _is_unchained(self, response: Response, payload: bytes) -> bool:
        try:
            check_chained(response, self._plan)
        except TranslationError as error:
            self.failure, self.failure_payload = error, payload
        return self.failure is not None

    def _hold(self, name: bytes, payload: bytes, event: StreamEvent | None) -> bool:
        if name in _PRELUDE:
            self._count += 1
            self._held.append(_frame(name, payload))
            return True
        failure = _failure(event)
        if failure is None or not is_stale(UpstreamErrorBody(message=failure.error.message, code=failure.error.code)):
            return False
        self.failure, self.failure_payload = failure, payload
        return True


class _Failure(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    sequence_number: int
    code: str | None
    message: str
    param: str | None


class _Typed(msgspec.Struct):
    type: str = "message"


_ENCODER = msgspec.json.Encoder()
_TYPE = msgspec.json.Decoder(_Typed)


def _failure(event: StreamEvent | None) -> TranslationError | None:
    if isinstance(event, ErrorEvent):
        return event_failure(event)
    return response_failure(event.response) if isinstance(event, ResponseFailed) else None


def _frame(name: bytes, payload: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name or _name(payload), payload)


def _name(payload: bytes) -> bytes:
    """The type of an event whose frame had no name."""
    typed = read(_TYPE, payload)
    return b"message" if typed is None else typed.type.encode()


def renderers(plan: StreamPlan, *, mendable: bool, disclosed: Disclosed) -> Sequence[Renderer]:
    """Return a renderer for each upstream call of a stream; see `TypedRenderer` for `mendable` and `disclosed`."""
    if plan.format == "responses":
        return [TypedRenderer(plan, mendable=mendable, disclosed=disclosed)]
    streams: Sequence[ChunkStream] = FanOut(plan).choices if plan.choices > 1 else [ChunkStream(plan)]
    return [ChatRenderer(stream, include_usage=plan.include_usage) for stream in streams]
