"""Responses stream events: a Struct for each type that changes a chat stream, and a tolerant decoder.

An event type that we do not know, or know and never read, becomes `UnknownEvent` without its data
being parsed (docs/mapping.md#streams, #stream-events).
"""

import msgspec
from msgspec import Raw

from libs.schemas.wire.errors import UpstreamErrorBody
from libs.schemas.wire.output import RESPONSE_DECODER, Response
from libs.schemas.wire.parts import NO_RAW
from libs.schemas.wire.surrogates import TORN, mended, read_text, sound
from libs.schemas.wire.tool_types import SILENT_EVENTS


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
    part: Raw


class ContentPartDone(Event, frozen=True, tag="response.content_part.done"):
    """A part of a message is complete."""

    output_index: int
    content_index: int
    part: Raw


class TextDelta(Event, frozen=True, tag="response.output_text.delta"):
    """Text of the answer; its log probabilities are parsed by whom asked for them."""

    output_index: int
    content_index: int
    delta: str
    logprobs: Raw = NO_RAW


class TextDone(Event, frozen=True, tag="response.output_text.done"):
    """The whole text of a part."""

    output_index: int
    content_index: int
    text: str
    logprobs: Raw = NO_RAW


class AnnotationAdded(Event, frozen=True, tag="response.output_text.annotation.added"):
    """A citation of a text part."""

    output_index: int
    content_index: int
    annotation: Raw


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


class CustomInputDelta(Event, frozen=True, tag="response.custom_tool_call_input.delta"):
    """Part of a custom call's input."""

    output_index: int
    delta: str


class CustomInputDone(Event, frozen=True, tag="response.custom_tool_call_input.done"):
    """The whole input of a custom call."""

    output_index: int
    input: str


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


class AudioDelta(Event, frozen=True, tag="response.audio.delta"):
    """Speech, in base64."""

    delta: str


class TranscriptDelta(Event, frozen=True, tag="response.audio.transcript.delta"):
    """What the speech says."""

    delta: str


class ResponseCompleted(Event, frozen=True, tag="response.completed"):
    """The answer is complete."""

    response: Response


class ResponseIncomplete(Event, frozen=True, tag="response.incomplete"):
    """The answer was cut by a limit or a filter; not an error."""

    response: Response


class ResponseFailed(Event, frozen=True, tag="response.failed"):
    """The upstream gave up."""

    response: Response


class ErrorEvent(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """An error in the stream: documented flat, seen nested, a bare string on compatible servers.

    See docs/mapping.md#stream-events.
    """

    code: str | int | None = None
    message: str | None = None
    param: str | None = None
    error: UpstreamErrorBody | str | None = None


class Keepalive(Event, frozen=True, tag="keepalive"):
    """An upstream's heartbeat: undocumented, sent on long silent runs."""


class UnknownEvent(msgspec.Struct, frozen=True):
    """Anything else; ignored."""

    type: str = ""


DeltaEvent = (
    TextDelta
    | RefusalDelta
    | ArgumentsDelta
    | CustomInputDelta
    | SummaryTextDelta
    | ReasoningTextDelta
    | AudioDelta
    | TranscriptDelta
)


class TornDelta(msgspec.Struct, frozen=True):
    """A delta whose text may begin or end in the middle of a character: its `delta` may hold halves."""

    event: DeltaEvent


# What the events of items share: the place of the item in the output.
ItemEvent = (
    OutputItemAdded
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
    | CustomInputDelta
    | CustomInputDone
    | SummaryTextDelta
    | SummaryTextDone
    | ReasoningTextDelta
    | ReasoningTextDone
    | OpenReasoningDelta
    | OpenReasoningDone
)

TERMINAL = (ResponseCompleted, ResponseIncomplete, ResponseFailed, ErrorEvent)

StreamEvent = (
    ItemEvent
    | ResponseCreated
    | AudioDelta
    | TranscriptDelta
    | TornDelta
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
    CustomInputDelta,
    CustomInputDone,
    SummaryTextDelta,
    SummaryTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    OpenReasoningDelta,
    OpenReasoningDone,
    AudioDelta,
    TranscriptDelta,
    ResponseCompleted,
    ResponseIncomplete,
    ResponseFailed,
    ErrorEvent,
    Keepalive,
)

# Known, and nothing for a chat client: their content comes again in other events, or has no place in chat
# (docs/mapping.md#stream-events).
SILENT = frozenset(
    f"response.{name}"
    for name in (
        "queued",
        "in_progress",
        "reasoning_summary_part.added",  # the paragraph begins with its first text
        "reasoning_summary_part.done",
        "audio.done",
        "audio.transcript.done",
        *SILENT_EVENTS,
        "compaction.compacting",
        "steer.accepted",  # of the WebSocket only
        "steer.pending",
        "steer.failed",
    )
)


class _Sound:
    """Decodes an event that keeps something raw, which nobody else would look into before it is used."""

    def __init__(self, decoder: msgspec.json.Decoder[StreamEvent]) -> None:
        self._decoder = decoder

    def decode(self, data: bytes) -> StreamEvent:
        return self._decoder.decode(sound(data))


_WITH_RAW = (
    ResponseCreated,
    OutputItemAdded,
    OutputItemDone,
    ContentPartAdded,
    ContentPartDone,
    AnnotationAdded,
    ResponseCompleted,
    ResponseIncomplete,
    ResponseFailed,
)


def _decoder(known: type[StreamEvent]) -> msgspec.json.Decoder[StreamEvent] | _Sound:
    decoder: msgspec.json.Decoder[StreamEvent] = msgspec.json.Decoder(known)
    return _Sound(decoder) if known in _WITH_RAW else decoder


# By event name, as bytes: the name is read off the frame, and only data that we use is parsed.
DECODERS: dict[bytes, msgspec.json.Decoder[StreamEvent] | _Sound] = {
    str(known.__struct_config__.tag).encode(): _decoder(known) for known in _KNOWN
}
_UNKNOWN = msgspec.json.Decoder(UnknownEvent)

# These carry the answer itself: a detail of it that is odd must not cost the whole.
_CARRIERS: dict[bytes, type[ResponseCreated | ResponseCompleted | ResponseIncomplete | ResponseFailed]] = {
    b"response.created": ResponseCreated,
    b"response.completed": ResponseCompleted,
    b"response.incomplete": ResponseIncomplete,
    b"response.failed": ResponseFailed,
}
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def decode_event(name: bytes, data: bytes) -> StreamEvent:
    """Decode one frame's data; `name` is its `event:` line, or empty when it had none.

    Raises msgspec.DecodeError when the data is no JSON or a known event is malformed.
    """
    decoder = DECODERS.get(name)
    if decoder is not None:  # nearly always
        try:
            return decoder.decode(data)
        except TORN:
            pass
    try:
        return _decode(name, data)
    except msgspec.ValidationError:
        raise
    except TORN:
        return _torn(name, data)


def _decode(name: bytes, data: bytes) -> StreamEvent:
    if not name:
        name = _UNKNOWN.decode(data).type.encode("utf-8", "surrogatepass")
    decoder = DECODERS.get(name)
    if decoder is None:
        return UnknownEvent(name.decode("utf-8", "replace"))
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        if name in _CARRIERS:
            return _carried(_CARRIERS[name], data)
        raise


def _torn(name: bytes, data: bytes) -> StreamEvent:
    """Decode what may hold halves of characters; those of a delta are left as they are, for their others may follow."""
    event = _decode(name, mended(data))
    if isinstance(event, DeltaEvent):
        return TornDelta(msgspec.structs.replace(event, delta=read_text(data, "delta")))
    return event


def _carried(
    event: type[ResponseCreated | ResponseCompleted | ResponseIncomplete | ResponseFailed], data: bytes
) -> StreamEvent:
    """Read a response that has odd members, or that stands in the event itself instead of under `response`."""
    return event(RESPONSE_DECODER.decode(_MEMBERS.decode(data).get("response", data)))
