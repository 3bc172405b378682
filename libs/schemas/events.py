"""Responses stream events: a Struct for each type that changes a chat stream, and a tolerant decoder.

An event type that we do not know, or know and never read, becomes `UnknownEvent` without its data
being parsed (translation reference C, C.1).
"""

import msgspec
from msgspec import Raw

from libs.schemas.errors import UpstreamErrorBody
from libs.schemas.responses import OutputAnnotation, OutputPart, ReasoningText, Response


class Event(msgspec.Struct, frozen=True, tag_field="type"):
    """What all events share; servers number them from 0."""


class ResponseCreated(Event, frozen=True, tag="response.created"):
    """The first event of a stream."""

    response: Response


class OutputItemAdded(Event, frozen=True, tag="response.output_item.added"):
    """An item begins; some servers send it without the item."""

    output_index: int
    item: Raw = Raw(b"null")


class OutputItemDone(Event, frozen=True, tag="response.output_item.done"):
    """An item is complete, with all that it holds."""

    output_index: int
    item: Raw = Raw(b"null")


class ContentPartAdded(Event, frozen=True, tag="response.content_part.added"):
    """A part of a message begins."""

    output_index: int
    content_index: int
    part: OutputPart


class ContentPartDone(Event, frozen=True, tag="response.content_part.done"):
    """A part of a message is complete."""

    output_index: int
    content_index: int
    part: OutputPart


class TextDelta(Event, frozen=True, tag="response.output_text.delta"):
    """Text of the answer."""

    output_index: int
    content_index: int
    delta: str


class TextDone(Event, frozen=True, tag="response.output_text.done"):
    """The whole text of a part."""

    output_index: int
    content_index: int
    text: str


class AnnotationAdded(Event, frozen=True, tag="response.output_text.annotation.added"):
    """A citation of a text part."""

    output_index: int
    content_index: int
    annotation: OutputAnnotation


class RefusalDelta(Event, frozen=True, tag="response.refusal.delta"):
    """Text of a refusal."""

    output_index: int
    content_index: int
    delta: str


class RefusalDone(Event, frozen=True, tag="response.refusal.done"):
    """The whole refusal of a part."""

    output_index: int
    content_index: int
    refusal: str


class ArgumentsDelta(Event, frozen=True, tag="response.function_call_arguments.delta"):
    """Part of a function call's arguments."""

    output_index: int
    delta: str


class ArgumentsDone(Event, frozen=True, tag="response.function_call_arguments.done"):
    """The whole arguments of a function call."""

    output_index: int
    arguments: str


class SummaryPartAdded(Event, frozen=True, tag="response.reasoning_summary_part.added"):
    """A part of a reasoning summary begins."""

    output_index: int
    summary_index: int
    part: ReasoningText | None = None


class SummaryTextDelta(Event, frozen=True, tag="response.reasoning_summary_text.delta"):
    """Text of a reasoning summary."""

    output_index: int
    summary_index: int
    delta: str


class SummaryTextDone(Event, frozen=True, tag="response.reasoning_summary_text.done"):
    """The whole text of a summary part."""

    output_index: int
    summary_index: int
    text: str


class ReasoningTextDelta(Event, frozen=True, tag="response.reasoning_text.delta"):
    """Raw reasoning text of an open model."""

    output_index: int
    content_index: int
    delta: str


class ReasoningTextDone(Event, frozen=True, tag="response.reasoning_text.done"):
    """The whole raw reasoning text of a part."""

    output_index: int
    content_index: int
    text: str


class OpenReasoningDelta(ReasoningTextDelta, frozen=True, tag="response.reasoning.delta"):
    """The same, as servers of the Open Responses specification name it."""


class OpenReasoningDone(ReasoningTextDone, frozen=True, tag="response.reasoning.done"):
    """The same, as servers of the Open Responses specification name it."""


class ResponseCompleted(Event, frozen=True, tag="response.completed"):
    """The answer is whole."""

    response: Response


class ResponseIncomplete(Event, frozen=True, tag="response.incomplete"):
    """The answer was cut by a limit or a filter; not an error."""

    response: Response


class ResponseFailed(Event, frozen=True, tag="response.failed"):
    """The upstream gave up."""

    response: Response


class ErrorEvent(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """An error in the stream: documented flat, seen nested (C.1), a bare string on compatible servers."""

    code: str | int | None = None
    message: str | None = None
    param: str | None = None
    error: UpstreamErrorBody | str | None = None


class Keepalive(Event, frozen=True, tag="keepalive"):
    """An upstream's heartbeat: undocumented, sent on long silent runs."""


class UnknownEvent(msgspec.Struct, frozen=True):
    """Anything else; ignored."""

    type: str = ""


TERMINAL = (ResponseCompleted, ResponseIncomplete, ResponseFailed, ErrorEvent)

StreamEvent = (
    ResponseCreated
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | TextDelta
    | TextDone
    | AnnotationAdded
    | RefusalDelta
    | RefusalDone
    | ArgumentsDelta
    | ArgumentsDone
    | SummaryPartAdded
    | SummaryTextDelta
    | SummaryTextDone
    | ReasoningTextDelta
    | ReasoningTextDone
    | OpenReasoningDelta
    | OpenReasoningDone
    | ResponseCompleted
    | ResponseIncomplete
    | ResponseFailed
    | ErrorEvent
    | Keepalive
    | UnknownEvent
)

_KNOWN = (
    ResponseCreated,
    OutputItemAdded,
    OutputItemDone,
    ContentPartAdded,
    ContentPartDone,
    TextDelta,
    TextDone,
    AnnotationAdded,
    RefusalDelta,
    RefusalDone,
    ArgumentsDelta,
    ArgumentsDone,
    SummaryPartAdded,
    SummaryTextDelta,
    SummaryTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    OpenReasoningDelta,
    OpenReasoningDone,
    ResponseCompleted,
    ResponseIncomplete,
    ResponseFailed,
    ErrorEvent,
    Keepalive,
)

# By event name, as bytes: the name is read off the frame, and only data that we use is parsed.
DECODERS: dict[bytes, msgspec.json.Decoder[StreamEvent]] = {
    str(known.__struct_config__.tag).encode(): msgspec.json.Decoder(known) for known in _KNOWN
}
_UNKNOWN = msgspec.json.Decoder(UnknownEvent)


def decode_event(name: bytes, data: bytes) -> StreamEvent:
    """Decode one frame's data; `name` is its `event:` line, or empty when it had none.

    Raises msgspec.DecodeError when the data is no JSON or a known event is malformed.
    """
    if not name:
        unknown = _UNKNOWN.decode(data)
        decoder = DECODERS.get(unknown.type.encode())
        return unknown if decoder is None else decoder.decode(data)
    decoder = DECODERS.get(name)
    return UnknownEvent(name.decode("utf-8", "replace")) if decoder is None else decoder.decode(data)
