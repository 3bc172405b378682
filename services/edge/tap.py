"""Reads along with bytes that pass through, for the record and for what the answer makes; it changes nothing.

Of a stream only the frames that begin and end it are parsed; of a body, its end state.
"""

import msgspec

from libs.runtime import metrics
from libs.schemas.events import ErrorEvent, ResponseCreated, ResponseFailed, decode_event
from libs.schemas.output import RESPONSE_DECODER, FunctionCallItem, Response, decode_item
from libs.schemas.records import Outcome
from libs.translate.errors import TranslationError
from libs.translate.finish import event_failure, finish_reason, response_failure
from libs.translate.sse import FrameParser, FrameTooLarge
from services.edge.calls import Call
from services.edge.made import Made

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_CLAIMED_BYTES = 64 * 1024 * 1024  # of a body whose ids are claimed

_READ = (b"response.created", b"response.completed", b"response.incomplete", b"response.failed", b"error")
_OUTCOMES: dict[str | None, Outcome] = {"completed": "ok", "incomplete": "incomplete", "failed": "failed"}


class StreamTap:
    """Follows the event stream of one `/v1/responses` call; `made` is told of the response."""

    def __init__(self, record: Call, made: Made) -> None:
        self._record = record
        self._made = made
        self._parser: FrameParser | None = FrameParser()

    def feed(self, data: bytes) -> None:
        """Read what has just arrived; the record ends with the terminal event."""
        if self._parser is None:
            return
        self._record.first_output()
        try:
            for name, payload in self._parser.feed(data):
                if name in _READ or (not name and _is_read(payload)):
                    self._read(name, payload)
        except (FrameTooLarge, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            metrics.BAD_EVENTS.inc()
            self._parser = None

    def _read(self, name: bytes, payload: bytes) -> None:
        event = decode_event(name, payload)
        if isinstance(event, ResponseCreated):
            self._record.identify(event.response)
            self._made.response(event.response)
        elif isinstance(event, ErrorEvent):
            _fail(self._record, event_failure(event))
        elif isinstance(event, ResponseFailed):
            self._end(event.response)
            _fail(self._record, response_failure(event.response), event.response)
        elif hasattr(event, "response"):
            self._end(event.response)
            end(self._record, event.response)

    def _end(self, response: Response) -> None:
        self._made.response(response)
        self._made.ended()

    def finish(self) -> None:
        """The upstream closed; without a terminal event the answer was cut."""
        self._record.end("truncated")


class BodyTap:
    """Collects the JSON body of one `/v1/responses` call; `made` is told of the response."""

    def __init__(self, record: Call, made: Made) -> None:
        self._record = record
        self._made = made
        self._chunks: list[bytes] | None = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Keep what has just arrived, up to a limit beyond which no record is worth the memory."""
        self._record.first_output()
        self._size += len(data)
        if self._chunks is not None:
            self._chunks.append(data)
        if self._size > (MAX_CLAIMED_BYTES if self._made.wanted else MAX_BODY_BYTES):
            self._chunks = None

    def finish(self) -> None:
        """The body is whole."""
        try:
            response = RESPONSE_DECODER.decode(b"".join(self._chunks or ()))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._record.end("ok")
            return
        end(self._record, response)
        self._made.response(response)


def end(record: Call, response: Response) -> Outcome:
    """End a record with a response as the upstream gave it; return how it ended."""
    calls = sum(isinstance(decode_item(item), FunctionCallItem) for item in response.output)
    if response.status == "failed":
        _fail(record, response_failure(response), response)
        return "failed"
    outcome = _OUTCOMES.get(response.status, "ok")
    reason = finish_reason(response, has_calls=calls > 0)
    record.end(outcome, response=response, finish_reason=reason, tool_calls=calls)
    return outcome


def _fail(record: Call, error: TranslationError, response: Response | None = None) -> None:
    record.end("failed", error_code=error.error.code, response=response)


def _is_read(payload: bytes) -> bool:
    head = payload[:64]
    return any(b'"' + name + b'"' in head for name in _READ)
