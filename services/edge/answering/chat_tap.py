"""Reads along with chat calls that an upstream answers itself, for the record and for ids that are claimed.

Of a stream only the chunks that finish it, or carry usage, are parsed; where ids are claimed, also those with an id.
"""

from typing import Any

import msgspec

from libs.runtime import metrics
from libs.schemas.wire.output import InputTokensDetails, OutputTokensDetails, Response, ResponseUsage
from libs.schemas.wire.surrogates import read
from libs.translate.answer.finish import ended_natively
from libs.translate.answer.upstream_errors import read_error
from libs.translate.sse import FrameParser, FrameTooLarge
from services.edge.answering.response_tap import MAX_BODY_BYTES
from services.edge.ownership.claiming import IdClaims
from services.edge.ownership.id_kinds import IdType
from services.edge.records.calls import Call


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: InputTokensDetails | None = None
    completion_tokens_details: OutputTokensDetails | None = None


class _Message(msgspec.Struct):
    tool_calls: list[msgspec.Raw] | None = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None
    message: _Message | None = None
    delta: Any = None


class _Answer(msgspec.Struct):
    """What a completion and a chunk have in common."""

    id: str = ""
    model: str = ""
    choices: list[_Choice] | None = None
    usage: _Usage | None = None


_DECODER = msgspec.json.Decoder(_Answer)
_WORTH_PARSING = (b'"finish_reason":"', b'"finish_reason": "', b'"usage":{', b'"usage": {')
_CALL = (b'"tool_calls"', b'"name"')  # both stand in the first delta of a call
_SPOKEN = b'"audio"'
_DONE = b"[DONE]"
_ERROR = (b'{"error"', b'{ "error"')


class ChatStreamTap:
    """Follows the chunks of one native stream."""

    def __init__(self, record: Call, made: IdClaims) -> None:
        self._record = record
        self._made = made
        self._is_named = not made.wanted
        self._parser: FrameParser | None = FrameParser()
        self._reasons: list[str] = []
        self._calls: set[tuple[int, Any]] = set()  # by choice and index
        self._last = _Answer()
        self._usage: _Usage | None = None

    def feed(self, data: bytes) -> None:
        """Read what has just arrived."""
        if self._parser is None:
            return
        self._record.first_output()
        try:
            for _, payload in self._parser.feed(data):
                self._read(payload)
        except FrameTooLarge:
            metrics.BAD_EVENTS.inc()
            self._parser = None

    def _read(self, payload: bytes) -> None:
        if payload.startswith(_ERROR):
            code = read_error(payload).code
            self._record.end("failed", error_code=None if code is None else str(code))
            return
        names = not self._is_named or (self._made.wanted and _SPOKEN in payload)
        calls = all(mark in payload for mark in _CALL)
        if not (names or calls or any(mark in payload for mark in _WORTH_PARSING)):
            return
        chunk = read(_DECODER, payload)
        if chunk is None:
            if payload != _DONE:
                metrics.BAD_EVENTS.inc()
            return
        if names:
            self._is_named = True
            self._made.claim(_ids(chunk))
        self._note(chunk)

    def _note(self, chunk: _Answer) -> None:
        self._last = chunk
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices or ():
            if choice.finish_reason:
                self._reasons.append(choice.finish_reason)
            self._calls.update((choice.index, index) for index in _called(choice.delta))
        if self._reasons:
            self._made.ended()

    def finish(self) -> None:
        """The upstream closed; without a finish reason the answer was cut."""
        if not self._reasons:
            self._record.end("truncated")
            return
        how = ended_natively(self._reasons, len(self._calls))
        self._record.answered(how, _response(self._last, self._usage))


class ChatBodyTap:
    """Collects the JSON body of one native call."""

    def __init__(self, record: Call, made: IdClaims) -> None:
        self._record = record
        self._made = made
        self._chunks: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Keep what has just arrived, up to a limit beyond which no record is worth the memory."""
        self._record.first_output()
        self._size += len(data)
        if self._size <= MAX_BODY_BYTES:
            self._chunks.append(data)

    def finish(self) -> None:
        """The body is whole."""
        answer = read(_DECODER, b"".join(self._chunks))
        if answer is None:
            self._record.end("ok")
            return
        self._made.claim(_ids(answer))
        choices = answer.choices or []
        reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
        messages = [choice.message for choice in choices if choice.message]
        calls = sum(len(message.tool_calls or ()) + (message.function_call is not None) for message in messages)
        self._record.answered(ended_natively(reasons, calls), _response(answer, answer.usage))


def _called(delta: Any) -> list[Any]:
    """Return the indexes of the calls that begin in a delta."""
    calls = delta.get("tool_calls") if isinstance(delta, dict) else None
    return [call.get("index") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _ids(answer: _Answer) -> list[tuple[IdType, Any]]:
    """Return what the answer, or a chunk of it, has made: itself, and what is spoken in it."""
    found: list[tuple[IdType, Any]] = [("completion", answer.id)]
    for choice in answer.choices or ():
        delta = choice.delta if isinstance(choice.delta, dict) else {}
        audio = choice.message.audio if choice.message is not None else delta.get("audio")
        if isinstance(audio, dict):
            found.append(("audio", audio.get("id")))
    return found


def _response(answer: _Answer, usage: _Usage | None) -> Response:
    """The answer in the form in which records take it."""
    counted = None
    if usage is not None:
        counted = ResponseUsage(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            input_tokens_details=usage.prompt_tokens_details,
            output_tokens_details=usage.completion_tokens_details,
        )
    return Response(id=answer.id, model=answer.model, usage=counted)
