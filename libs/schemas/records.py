"""Analytics records: what one ClickHouse row is made from (design, "Records and ClickHouse").

JSON on the wire and in the spool, so that an operator can read both. Fields are only ever added,
with defaults. No text of any message is in them.
"""

from typing import Literal

import msgspec

MAX_TEXT_CHARACTERS = 256  # of each text in a record: clients and upstreams choose some of them

Surface = Literal["chat", "responses"]

# ok: whole. incomplete: cut by a limit or filter. failed: the upstream said so. refused: the client's
# request was at fault. cancelled: the client left. timeout, truncated: the upstream fell silent, or
# closed without a terminal event. lost: the edge died during the call.
Outcome = Literal["ok", "incomplete", "failed", "refused", "cancelled", "timeout", "truncated", "unreachable", "lost"]


def cut(text: str, characters: int = MAX_TEXT_CHARACTERS) -> str:
    """Return the beginning of what a client or an upstream chose, for a record or a log line."""
    return text[:characters]


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="call", omit_defaults=True):
    """One model call. `ts` in Unix milliseconds, durations in milliseconds, counts in tokens.

    `model_requested` is the client's own word, before aliases; `model` is what answered.
    """

    event_id: str
    ts: int
    tenant: str
    surface: Surface
    model_requested: str
    model: str = ""
    upstream: str
    streamed: bool
    outcome: Outcome
    http_status: int = 0
    error_code: str = ""
    finish_reason: str = ""
    request_id: str
    trace_id: str = ""
    response_id: str = ""
    previous_response_id: str = ""
    conversation: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    ttft_ms: float | None = None
    duration_ms: float = 0.0
    tool_calls: int = 0
    request_bytes: int = 0
    response_bytes: int = 0


class HandoffRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="handoff", omit_defaults=True):
    """One decision on how a request continues. `ts` in Unix milliseconds; `session` is the client's hint."""

    event_id: str
    ts: int
    tenant: str
    request_id: str
    trace_id: str = ""
    upstream: str
    model: str
    mode: str
    reason: str
    matched: int = 0
    new_items: int = 0
    conversation: str = ""
    session: str = ""


Record = CallRecord | HandoffRecord

RECORD_ENCODER = msgspec.json.Encoder()
RECORD_DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
