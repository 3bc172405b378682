"""The registry of everything on NATS: each subject, stream, consumer and bucket, and who uses it.

Services meet only here. A subject carries its codecs, its deadline and its retry policy, so that
callers and workers cannot disagree.
"""

from typing import Any, Generic, TypeVar

import msgspec

from libs.schemas.bus.convert import ConvertReply, ConvertRequest
from libs.schemas.bus.query import QueryOutcome, QueryRequest
from libs.schemas.bus.state import (
    ClaimReply,
    ClaimRequest,
    CommitReply,
    CommitRequest,
    DeleteReply,
    DeleteRequest,
    ListReply,
    ListRequest,
    MarkReply,
    MarkRequest,
    ReadReply,
    ReadRequest,
    ReleaseReply,
    ReleaseRequest,
    ResolveReply,
    ResolveRequest,
    StateStatus,
    StateStatusRequest,
)

Req = TypeVar("Req")
Rep = TypeVar("Rep")

# What the server is configured with; it recommends no more. A message over it, headers included, makes
# the server close the connection for good, and nats-py checks the payload alone: so Parley's own limit leaves room for
# the headers.
SERVER_MAX_PAYLOAD = 8 * 1024 * 1024
HEADER_ROOM = 4096
MAX_MESSAGE_BYTES = SERVER_MAX_PAYLOAD - HEADER_ROOM

# -- headers ----------------------------------------------------------------------------------------

# How many milliseconds the caller still waits, from when the worker read the request: clocks may differ.
REMAINING_HEADER = "parley-remaining-ms"
TENANT_HEADER = "parley-tenant"
REQUEST_ID_HEADER = "parley-request-id"
STATUS_HEADER = "parley-status"  # of a reply: absent when well, else one of the STATUS_ below
TRACEPARENT_HEADER = "traceparent"
REPUBLISHED_HEADER = "parley-republished"  # "1" on a record that may be in the stream already
DEAD_REASON_HEADER = "parley-dead-reason"  # why a record could not become a row

# Asked of all workers of a subject after a time-out; those with room answer with a subject of their own.
OFFER_SUFFIX = ".offer"

STATUS_BUSY = "busy"
STATUS_INVALID = "invalid"
STATUS_FAILED = "failed"
STATUS_TOO_LARGE = "too_large"  # the reply would be: no repetition helps


class Subject(Generic[Req, Rep]):
    """One request/reply subject.

    `timeout_seconds` bounds one try. `idempotent` requests are tried once more, on another worker,
    after a time-out; a request that found no worker is tried again until `patience_seconds` are over.
    """

    def __init__(
        self,
        name: str,
        request: type[Req],
        reply: Any,  # a Struct or a union of tagged Structs: what mypy cannot call a type
        *,
        timeout_seconds: float,
        patience_seconds: float,
        idempotent: bool,
        producers: tuple[str, ...],
        consumer: str,
        meaning: str,
    ) -> None:
        self.name = name
        self.timeout_seconds = timeout_seconds
        self.patience_seconds = patience_seconds
        self.idempotent = idempotent
        self.producers = producers
        self.consumer = consumer
        self.meaning = meaning
        self.encoder = msgspec.msgpack.Encoder()
        self.request_decoder: msgspec.msgpack.Decoder[Req] = msgspec.msgpack.Decoder(request)
        self.reply_decoder: msgspec.msgpack.Decoder[Rep] = msgspec.msgpack.Decoder(reply)


CONVERT: Subject[ConvertRequest, ConvertReply] = Subject(
    "parley.convert",
    ConvertRequest,
    ConvertReply,
    timeout_seconds=5.0,
    patience_seconds=0.5,
    idempotent=True,
    producers=("edge",),
    consumer="converter",
    meaning="Convert a chat body into an upstream request.",
)
RESOLVE: Subject[ResolveRequest, ResolveReply] = Subject(
    "parley.state.resolve",
    ResolveRequest,
    ResolveReply,
    timeout_seconds=1.0,
    patience_seconds=0.0,
    idempotent=True,
    producers=("converter",),
    consumer="state",
    meaning="Which turns of this history are known?",
)
MARK_SECONDS = 60  # for which the mark of a call counts, from when it was last renewed
MARK: Subject[MarkRequest, MarkReply] = Subject(
    "parley.state.mark",
    MarkRequest,
    MarkReply,
    timeout_seconds=1.0,
    patience_seconds=0.5,
    idempotent=True,
    producers=("edge",),
    consumer="state",
    meaning="A call of a conversation begins, still lives, or ended without being kept.",
)
COMMIT: Subject[CommitRequest, CommitReply] = Subject(
    "parley.state.commit",
    CommitRequest,
    CommitReply,
    timeout_seconds=2.0,
    patience_seconds=2.0,
    idempotent=True,
    producers=("edge",),
    consumer="state",
    meaning="Keep an answered turn.",
)
READ: Subject[ReadRequest, ReadReply] = Subject(
    "parley.state.read",
    ReadRequest,
    ReadReply,
    timeout_seconds=2.0,
    patience_seconds=0.5,
    idempotent=True,
    producers=("edge",),
    consumer="state",
    meaning="What is held of a conversation; which upstream owns these ids?",
)
CLAIM: Subject[ClaimRequest, ClaimReply] = Subject(
    "parley.state.claim",
    ClaimRequest,
    ClaimReply,
    timeout_seconds=2.0,
    patience_seconds=0.5,
    idempotent=True,
    producers=("edge",),
    consumer="state",
    meaning="Remember which upstream made these ids for a tenant.",
)
RELEASE: Subject[ReleaseRequest, ReleaseReply] = Subject(
    "parley.state.release",
    ReleaseRequest,
    ReleaseReply,
    timeout_seconds=2.0,
    patience_seconds=0.5,
    idempotent=True,
    producers=("edge",),
    consumer="state",
    meaning="Forget which upstream owns an id: it is gone there.",
)
LIST: Subject[ListRequest, ListReply] = Subject(
    "parley.state.list",
    ListRequest,
    ListReply,
    timeout_seconds=5.0,
    patience_seconds=0.5,
    idempotent=True,
    producers=("edge",),
    consumer="state",
    meaning="The conversations of a tenant.",
)
DELETE: Subject[DeleteRequest, DeleteReply] = Subject(
    "parley.state.delete",
    DeleteRequest,
    DeleteReply,
    timeout_seconds=5.0,
    patience_seconds=0.5,
    idempotent=True,
    producers=("edge",),
    consumer="state",
    meaning="Erase a conversation, or turns that the upstream does not know any more.",
)
STATE_STATUS: Subject[StateStatusRequest, StateStatus] = Subject(
    "parley.state.status",
    StateStatusRequest,
    StateStatus,
    timeout_seconds=1.0,
    patience_seconds=0.0,
    idempotent=True,
    producers=("edge",),
    consumer="state",
    meaning="The store, its limits and its hits.",
)
QUERY: Subject[QueryRequest, QueryOutcome] = Subject(
    "parley.analytics.query",
    QueryRequest,
    QueryOutcome,
    timeout_seconds=30.0,
    patience_seconds=2.0,
    idempotent=True,
    producers=("cli",),
    consumer="analytics",
    meaning="Run a read-only query over the records.",
)

# Published by a replica of the state service to all: keys that it erased, to be dropped from their caches.
STATE_EVICT = "parley.state.evict"

SUBJECTS: tuple[Subject[Any, Any], ...] = (
    CONVERT,
    RESOLVE,
    MARK,
    COMMIT,
    READ,
    CLAIM,
    RELEASE,
    LIST,
    DELETE,
    STATE_STATUS,
    QUERY,
)

# -- JetStream --------------------------------------------------------------------------------------


class JsStream(msgspec.Struct, frozen=True, kw_only=True):
    """A JetStream stream; ages in seconds. New messages are refused, not old ones lost, when it is full."""

    name: str
    subjects: tuple[str, ...]
    max_age_seconds: int
    max_bytes: int
    duplicate_window_seconds: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    meaning: str


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A key-value bucket with history 1; `ttl_seconds` 0 keeps entries for ever."""

    name: str
    ttl_seconds: int
    owner: str
    meaning: str


RECORDS_PREFIX = "parley.records."  # the kind of a record ends its subject (records.py)
RECORDS = JsStream(
    name="PARLEY_RECORDS",
    subjects=(f"{RECORDS_PREFIX}>",),
    max_age_seconds=7 * 86400,
    max_bytes=4 * 1024**3,
    duplicate_window_seconds=600,
    producers=("edge",),
    consumers=("analytics",),
    meaning="Records on their way to ClickHouse.",
)

DEAD_RECORDS = JsStream(
    name="PARLEY_RECORDS_DEAD",
    subjects=("parley.dead.records",),
    max_age_seconds=30 * 86400,
    max_bytes=256 * 1024**2,
    duplicate_window_seconds=600,
    producers=("analytics",),
    consumers=("operator",),
    meaning="Records that could not become a row, each with the reason in a header.",
)

RECORDS_DURABLE = "analytics"  # the durable consumer on RECORDS

STATE = Bucket(
    name="parley_state",
    ttl_seconds=30 * 86400,
    owner="state",
    meaning="Turns, their items, indexes and heads, by tenant; sealed, each with its own time to live.",
)
CURSOR = Bucket(
    name="parley_cursor",
    ttl_seconds=0,
    owner="analytics",
    meaning="How far the records have reached ClickHouse, and the consumer's lease.",
)

JS_STREAMS = (RECORDS, DEAD_RECORDS)
BUCKETS = (STATE, CURSOR)
