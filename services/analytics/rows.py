"""Turns records into rows; pure. A record that cannot become a row is set aside here, before a batch
is built, so that no insert ever fails because of what is in it.

The result depends on the stream alone: a batch read again after a crash gives the same rows.
"""

import math
from collections.abc import Iterable

import msgspec

from libs.schemas.records import RECORD_DECODER, Record, cut, table
from services.analytics.tables import TABLES

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MAX_ID_CHARS = 256

Value = str | int | float | bool | None
Row = tuple[Value, ...]

_MAXIMUM = {"UInt16": 2**16 - 1, "UInt32": 2**32 - 1, "UInt64": 2**64 - 1}
_MAX_FLOAT = 1e30  # far inside a Float32, far outside any duration


class RowError(Exception):
    """The record cannot become a row; the message says why and quotes none of its text."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the records stream. `stored_ms`, Unix milliseconds, is when the stream took it."""

    seq: int
    stored_ms: int
    data: bytes
    republished: bool = False


class TableRows(msgspec.Struct, frozen=True, kw_only=True):
    """What a range of the stream becomes in one table.

    `rows` maps event ids to rows, each id once; `suspects` are the ids that the table may have already.
    """

    rows: dict[str, Row] = {}
    suspects: set[str] = set()


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What a range of the stream becomes; `dead` pairs what cannot become a row with the reason."""

    tables: dict[str, TableRows]
    dead: list[tuple[Stored, str]]


def to_rows(messages: Iterable[Stored], epoch: str, lookup_until: int) -> Rows:
    """Return the rows of `messages`, in order, by table. Sequences up to `lookup_until` are all suspects."""
    tables = {name: TableRows() for name in TABLES}
    dead: list[tuple[Stored, str]] = []
    for stored in messages:
        try:
            record = decode(stored.data)
            # Not the clock of this process: a row of the same message must always be the same.
            row = to_row(record, epoch, stored.seq, stored.stored_ms)
        except RowError as error:
            dead.append((stored, str(error)))
            continue
        found = tables[table(type(record))]
        found.rows.setdefault(record.event_id, row)
        if stored.republished or stored.seq <= lookup_until:
            found.suspects.add(record.event_id)
    return Rows(tables=tables, dead=dead)


def decode(data: bytes) -> Record:
    """Return the record in `data`, or raise RowError."""
    try:
        return RECORD_DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RowError(f"not a record: {error}") from None


def to_row(record: Record, epoch: str, seq: int, now_ms: int) -> Row:
    """Return the row of `record` in the order of its table's columns, or raise RowError.

    Its time is clamped around `now_ms`. Texts are cut: a client chooses some of them.
    """
    if not 0 < len(record.event_id) <= MAX_ID_CHARS:
        raise RowError(f"event_id has {len(record.event_id)} characters")
    own: dict[str, Value] = {
        "ts": clamp_ts(record.ts, now_ms),
        "stream_epoch": epoch,
        "stream_seq": seq,
    }
    columns = TABLES[table(type(record))].items()
    return tuple(own[name] if name in own else _checked(name, kind, getattr(record, name)) for name, kind in columns)


def clamp_ts(ts: int, now_ms: int) -> int:
    """Return `ts` within seven days before and one hour after `now_ms`, all in Unix milliseconds.

    A wrong clock would make odd partitions and be deleted too early.
    """
    return min(max(ts, now_ms - 7 * DAY_MS), now_ms + HOUR_MS)


def _checked(name: str, kind: str, value: Value) -> Value:
    if isinstance(value, str):
        return cut(value)
    if kind in _MAXIMUM:
        if not isinstance(value, int) or not 0 <= value <= _MAXIMUM[kind]:
            raise RowError(f"{name} is out of range")
    elif isinstance(value, float) and not (math.isfinite(value) and 0 <= value <= _MAX_FLOAT):
        raise RowError(f"{name} is out of range")
    return value
