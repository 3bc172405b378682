"""What output items are made of: parts of messages and of reasoning, citations, log probabilities.

Parts, and what a text part carries, are kept as `Raw` and decoded one by one, so that none that we
cannot read fails a whole message (docs/mapping.md#content, #annotations, #log-probabilities).
"""

import msgspec
from msgspec import Raw

from libs.schemas.wire.surrogates import TORN, decode
from libs.schemas.wire.tolerant import TolerantDecoder

NO_RAW = Raw()


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="output_text"):
    """Text of a message, with what is known about it."""

    text: str = ""
    annotations: list[Raw] | None = None
    logprobs: Raw = NO_RAW


class RefusalPart(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    """A refusal in place of an answer."""

    refusal: str = ""


class ReasoningPart(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning_text"):
    """Raw reasoning, as an event brings it."""

    text: str = ""


class UnknownPart(msgspec.Struct, frozen=True):
    """A part of a type that we do not know, or one that cannot be read."""

    type: str = ""


Part = TextPart | RefusalPart | ReasoningPart | UnknownPart


class ReasoningText(msgspec.Struct, frozen=True):
    """One part of a reasoning item's summary or content."""

    type: str = ""
    text: str = ""


class OutputAnnotation(msgspec.Struct, frozen=True):
    """An annotation of a text part; flat, of several types (docs/mapping.md#annotations)."""

    type: str = ""
    start_index: int | None = None
    end_index: int | None = None
    url: str | None = None
    title: str | None = None


class TopLogprob(msgspec.Struct, frozen=True):
    """An alternative to a token; in a delta any of its fields may lack."""

    token: str = ""
    logprob: float = 0
    bytes: list[int] | None = None


class TokenLogprob(msgspec.Struct, frozen=True):
    """A token of the text; `bytes` lack in deltas (docs/mapping.md#log-probabilities)."""

    token: str = ""
    logprob: float = 0
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] | None = None


_DECODERS: dict[str, TolerantDecoder[TextPart] | TolerantDecoder[RefusalPart] | TolerantDecoder[ReasoningPart]] = {
    "output_text": TolerantDecoder(TextPart),
    "refusal": TolerantDecoder(RefusalPart),
    "reasoning_text": TolerantDecoder(ReasoningPart),
}
_UNKNOWN = msgspec.json.Decoder(UnknownPart)
_ANNOTATION = msgspec.json.Decoder(OutputAnnotation)
_LOGPROBS = msgspec.json.Decoder(list[TokenLogprob])


def decode_part(raw: Raw | bytes) -> Part:
    """Decode one content part by its `type`. One that cannot be read becomes an UnknownPart of that type."""
    unknown = UnknownPart()
    try:
        unknown = decode(_UNKNOWN, raw)
        decoder = _DECODERS.get(unknown.type)
        return unknown if decoder is None else decoder.decode(raw)
    except TORN:
        return unknown


def decode_annotation(raw: Raw | bytes) -> OutputAnnotation | None:
    """Decode an annotation; None where it cannot be read."""
    try:
        return decode(_ANNOTATION, raw)
    except TORN:
        return None


def decode_logprobs(raw: Raw | bytes) -> list[TokenLogprob]:
    """Decode the log probabilities of a text; none where there are none, or they cannot be read."""
    try:
        return decode(_LOGPROBS, raw) if bytes(raw) else []
    except TORN:
        return []
