"""The messages services exchange over NATS; which subject carries which is in `subjects.py`.

Requests and replies are MessagePack, for they carry whole JSON bodies as bytes. A reply is a tagged
union: a refusal that the client must hear is a reply, not a failure of the bus.
"""

from typing import Literal

import msgspec

from libs.schemas.errors import ErrorBody
from libs.schemas.plan import Continuity, Format, StreamPlan

# -- converter --------------------------------------------------------------------------------------


class Lifted(msgspec.Struct, frozen=True, kw_only=True):
    """A long media string that stayed on the edge; `length` in bytes, `head` its first characters."""

    placeholder: str
    sha256: str
    length: int
    head: str


class ConvertRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A chat body to convert.

    `body` is the client's JSON with media lifted out. `accounts` gives, for each upstream, the digest
    of the credentials this call would use there. `mode="plain"` asks for no continuation. `format` is
    what the client's header says of the answer's; the body may say it too, and then counts.
    """

    plan_version: int
    body: bytes
    lifted: list[Lifted] = []
    tenant: str
    accounts: dict[str, str]
    conversation: str | None = None
    mode: Literal["auto", "plain"] = "auto"
    format: Format | None = None


class Converted(msgspec.Struct, frozen=True, kw_only=True, tag="converted"):
    """The upstream request of a chat call and how to translate its answer; `model` as sent upstream."""

    upstream: str
    model: str
    body: bytes
    plan: StreamPlan
    continuity: Continuity
    previous_response_id: str | None = None
    entry: str | None = None
    dropped: list[str] = []


class Native(msgspec.Struct, frozen=True, kw_only=True, tag="native"):
    """The client's own body must go to the upstream's own chat endpoint, for a model known there as `model`.

    `reason` names the field that the Responses API has nothing for.
    """

    upstream: str
    model: str
    reason: str


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The request cannot be served as it is; `status` and `error` go to the client."""

    status: int
    error: ErrorBody


class PlanUnsupported(msgspec.Struct, frozen=True, kw_only=True, tag="plan_unsupported"):
    """This converter does not emit the plan version asked for; another may."""

    supported: int


ConvertReply = Converted | Native | Refused | PlanUnsupported

# -- state ------------------------------------------------------------------------------------------


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """An answered turn, found by the digest of the history that ends with it.

    No text is kept: ids, and `call_ids` that the next request must answer. Times in Unix seconds.
    """

    response_id: str
    account: str
    model: str
    call_ids: list[str] = []
    created: int
    expires: int


class ResolveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which of these turns are known? `prefixes` are hex digests, newest first."""

    scope: str
    prefixes: list[str]


class ResolveReply(msgspec.Struct, frozen=True, kw_only=True):
    """The newest known turn and its place in `prefixes`; both None when none is known."""

    index: int | None = None
    turn: Turn | None = None


class CommitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a turn, and make it the head of its conversation when it has a name."""

    scope: str
    prefix: str
    conversation: str | None = None
    turn: Turn


class CommitReply(msgspec.Struct, frozen=True, kw_only=True):
    """`turns` counts the answers in the conversation; 0 when it has no name."""

    turns: int


class ForgetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Drop a turn that the upstream no longer knows."""

    scope: str
    prefix: str


class ForgetReply(msgspec.Struct, frozen=True):
    """The turn is gone, whether or not it was there."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The newest turn of a named conversation, as kept; `updated` in Unix seconds."""

    response_id: str
    prefix: str
    turns: int
    updated: int


# -- analytics --------------------------------------------------------------------------------------


class QueryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A read-only SQL query for the records; at most `limit` rows come back."""

    sql: str
    limit: int = 1000


class QueryReply(msgspec.Struct, frozen=True, kw_only=True, tag="rows"):
    """Rows as JSON arrays, in the order of `columns`."""

    columns: list[str]
    rows: list[msgspec.Raw]
    truncated: bool = False


class QueryFailed(msgspec.Struct, frozen=True, kw_only=True, tag="query_failed"):
    """ClickHouse refused the query."""

    message: str


QueryOutcome = QueryReply | QueryFailed

# -- any --------------------------------------------------------------------------------------------


class BusFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a worker gave no reply of its type; the `parley-status` header says which kind."""

    message: str
