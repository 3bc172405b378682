"""What is asked of analytics, and its replies.

Messages are MessagePack, for they carry whole JSON bodies as bytes. A reply is a tagged union: a refusal
that the client must hear is a reply, not a failure of the bus. `subjects.py` says which subject carries which.
"""

import msgspec


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
