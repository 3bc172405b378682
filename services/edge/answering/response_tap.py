"""Reads along with bytes that pass through, for the record and for what the answer makes; it changes nothing.

Of a stream only the frames that begin and end it, or an item of it, are parsed; of a body, its end state.
"""

from msgspec import Raw

from libs.runtime import metrics
from libs.schemas.wire.errors import ErrorBody
from libs.schemas.wire.events import ErrorEvent, OutputItemDone, ResponseCreated, StreamEvent, decode_event
from libs.schemas.wire.output import RESPONSE_DECODER, Response
from libs.schemas.wire.surrogates import UNREADABLE, read
from libs.translate.answer.finish import ended, event_failure
from libs.translate.sse import FrameParser, FrameTooLarge
from services.edge.ownership.claiming import IdClaims
from services.edge.records.calls import Call

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_CLAIMED_BYTES = 64 * 1024 * 1024  # of a body whose ids are claimed

_READ = (
    b"response.created",
    b"response.output_item.done",  # some servers end with an empty output
    b"response.completed",
    b"response.incomplete",
    b"response.failed",
    b"error",
)


class StreamTap:
    """Follows the event stream of one `/v1/responses` call; `made` gets the response."""

    def __init__(self, record: Call, made: IdClaims) -> None:
        self._record = record
        self._made = made
        self._parser: FrameParser | None = FrameParser()
        self._items: list[Raw] = []
        self._error: ErrorBody | None = None

    def feed(self, data: bytes) -> None:
        """Read what has just arrived; the record ends with the terminal event."""
        if self._parser is None:
            return
        self._record.first_output()
        try:
            for name, payload in self._parser.feed(data):
                if name in _READ or (not name and _is_read(payload)):
                    self._read(name, payload)
        except FrameTooLarge:
            metrics.BAD_EVENTS.inc()
            self._parser = None

    def _read(self, name: bytes, payload: bytes) -> None:
        try:
            self._take(decode_event(name, payload))
        except UNREADABLE:
            metrics.BAD_EVENTS.inc()

    def _take(self, event: StreamEvent) -> None:
        if isinstance(event, ResponseCreated):
            self._record.identify(event.response)
            self._made.response(event.response)
        elif isinstance(event, OutputItemDone):
            self._items.append(event.item)
        elif isinstance(event, ErrorEvent):
            self._error = event_failure(event).error  # a failed response may follow, with its usage
        elif hasattr(event, "response"):
            response: Response = event.response
            self._made.response(response)
            self._made.ended()
            self._record.answered(ended(response, response.output or self._items), response)

    def finish(self) -> None:
        """The upstream closed; without a terminal event the answer was cut."""
        if self._error is None:
            self._record.end("truncated")
        else:
            self._record.end("failed", error_code=self._error.code)


class BodyTap:
    """Collects the JSON body of one `/v1/responses` call; `made` gets the response."""

    def __init__(self, record: Call, made: IdClaims) -> None:
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
        response = read(RESPONSE_DECODER, b"".join(self._chunks or ()))
        if response is None:
            self._record.end("ok")
            return
        self._record.answered(ended(response, response.output), response)
        self._made.response(response)


def _is_read(payload: bytes) -> bool:
    head = payload[:64]
    return any(b'"' + name + b'"' in head for name in _READ)
