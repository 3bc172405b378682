"""Analytics records: each type is declared once, here, and everything else about it follows from that.

A subclass of `Record` is a record type. Its tag is the kind, which names the subject that it is published on
and the table that it goes to; the type of a field names the column (API_REFERENCE.md#records). The
table itself is made by a migration, which a test compares with the declaration.

Records are JSON on the bus and in the spool, so that an operator can read both. Fields are only ever added,
with defaults. No text of any message is in them.
"""

from functools import cache
from typing import Annotated, Literal, Union

import msgspec

from libs.schemas.subjects import RECORDS_PREFIX

MAX_TEXT_CHARACTERS = 256  # of each text in a record: clients and upstreams choose some of them

Surface = Literal["chat", "responses"]

# ok: whole. incomplete: cut by a limit or filter. failed: the upstream said so. refused: the client's
# request was at fault. cancelled: the client left. timeout, truncated: the upstream fell silent, or
# closed without a terminal event. lost: the edge died during the call.
Outcome = Literal["ok", "incomplete", "failed", "refused", "cancelled", "timeout", "truncated", "unreachable", "lost"]

_COLUMN = "column"  # names the ClickHouse type of a field in the `extra` of its annotation
_LABEL = msgspec.Meta(extra={_COLUMN: "LowCardinality(String)"})

Text = Annotated[str, msgspec.Meta(extra={_COLUMN: "String"})]
Label = Annotated[str, _LABEL]  # a text of few different values
Time = Annotated[int, msgspec.Meta(extra={_COLUMN: "DateTime64(3, 'UTC')"})]  # Unix milliseconds
Flag = Annotated[bool, msgspec.Meta(extra={_COLUMN: "Bool"})]
Status = Annotated[int, msgspec.Meta(extra={_COLUMN: "UInt16"})]
Count = Annotated[int, msgspec.Meta(extra={_COLUMN: "UInt32"})]
Total = Annotated[int, msgspec.Meta(extra={_COLUMN: "UInt64"})]  # of bytes or tokens
Milliseconds = Annotated[float, msgspec.Meta(extra={_COLUMN: "Float32"})]
MaybeMilliseconds = Annotated[float | None, msgspec.Meta(extra={_COLUMN: "Nullable(Float32)"})]


def cut(text: str, characters: int = MAX_TEXT_CHARACTERS) -> str:
    """Return the beginning of what a client or an upstream chose, for a record or a log line."""
    return text[:characters]


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """What records of every type have; `event_id` is unique within a type."""

    event_id: Text
    ts: Time
    tenant: Label
    request_id: Text
    trace_id: Text = ""


class CallRecord(Record, frozen=True, kw_only=True, tag="call"):
    """One model call. `ts` is when it began.

    `model_requested` is the client's own word, before aliases; `model` is what answered.
    """

    surface: Annotated[Surface, _LABEL]
    model_requested: Text
    model: Label = ""
    upstream: Label
    streamed: Flag
    outcome: Annotated[Outcome, _LABEL]
    http_status: Status = 0
    error_code: Label = ""
    finish_reason: Label = ""
    response_id: Text = ""
    previous_response_id: Text = ""
    conversation: Text = ""
    input_tokens: Total = 0
    output_tokens: Total = 0
    cached_tokens: Total = 0
    reasoning_tokens: Total = 0
    ttft_ms: MaybeMilliseconds = None
    duration_ms: Milliseconds = 0.0
    tool_calls: Count = 0
    request_bytes: Total = 0
    response_bytes: Total = 0


class HandoffRecord(Record, frozen=True, kw_only=True, tag="handoff"):
    """One decision on how a request continues; `session` is the client's hint."""

    upstream: Label
    model: Label
    mode: Label
    reason: Label
    matched: Count = 0
    new_items: Count = 0
    conversation: Text = ""
    session: Text = ""


RECORD_TYPES: tuple[type[Record], ...] = tuple(Record.__subclasses__())

RECORD_ENCODER = msgspec.json.Encoder()
RECORD_DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Union[RECORD_TYPES])  # noqa: UP007 - made of a tuple


def kind(record_type: type[Record]) -> str:
    """Return the kind of a record type, as its records name it."""
    return str(record_type.__struct_config__.tag)


def subject(kind: str) -> str:
    """Return the subject on which records of a kind are published."""
    return RECORDS_PREFIX + kind


@cache
def table(record_type: type[Record]) -> str:
    """Return the table that records of a type go to."""
    return f"{kind(record_type)}s"


@cache
def columns(record_type: type[Record]) -> dict[str, str]:
    """Return the ClickHouse type of each field of a record type, by name. Raises TypeError where a field has none."""
    found: dict[str, str] = {}
    for field in msgspec.structs.fields(record_type):
        notes = getattr(field.type, "__metadata__", ())
        extra = next((note.extra for note in notes if isinstance(note, msgspec.Meta) and note.extra), {})
        if _COLUMN not in extra:
            raise TypeError(f"{record_type.__name__}.{field.name} names no column")
        found[field.name] = extra[_COLUMN]
    return found
