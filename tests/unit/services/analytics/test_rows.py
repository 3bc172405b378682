from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from libs.schemas.records import (
    MAX_TEXT_CHARACTERS,
    RECORD_ENCODER,
    RECORD_TYPES,
    CallRecord,
    HandoffRecord,
    Record,
    table,
)
from services.analytics.rows import (
    DAY_MS,
    HOUR_MS,
    RowError,
    Stored,
    clamp_ts,
    decode,
    to_row,
    to_rows,
)
from services.analytics.tables import TABLES

NOW = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000)
NAMES = {name: list(columns) for name, columns in TABLES.items()}


def record(**changes: Any) -> CallRecord:
    fields: dict[str, Any] = {
        "event_id": "e1",
        "ts": NOW,
        "tenant": "t",
        "surface": "chat",
        "model_requested": "m",
        "upstream": "u",
        "streamed": True,
        "outcome": "ok",
        "request_id": "r",
    }
    return CallRecord(**{**fields, **changes})


def handoff(**changes: Any) -> HandoffRecord:
    fields: dict[str, Any] = {
        "event_id": "h1",
        "ts": NOW,
        "tenant": "t",
        "request_id": "r",
        "upstream": "u",
        "model": "m",
        "mode": "chain",
        "reason": "matched",
    }
    return HandoffRecord(**{**fields, **changes})


def stored(seq: int, data: bytes | Record, **changes: Any) -> Stored:
    raw = data if isinstance(data, bytes) else RECORD_ENCODER.encode(data)
    return Stored(seq=seq, stored_ms=NOW, data=raw, **changes)


@pytest.mark.parametrize("kind", RECORD_TYPES)
def test_a_row_has_every_field_of_its_record_and_its_place_in_the_stream(kind: type[Record]) -> None:
    assert set(NAMES[table(kind)]) == set(kind.__struct_fields__) | {"stream_epoch", "stream_seq"}


def test_a_call_becomes_its_row() -> None:
    row = dict(zip(NAMES["calls"], to_row(record(ttft_ms=1.5, input_tokens=7), "epoch", 9, NOW), strict=True))
    assert (row["event_id"], row["stream_epoch"], row["stream_seq"]) == ("e1", "epoch", 9)
    assert (row["ttft_ms"], row["input_tokens"], row["streamed"], row["model"]) == (1.5, 7, True, "")


def test_a_handoff_becomes_its_row() -> None:
    whole = handoff(trace_id="tr", matched=3, new_items=2, conversation="c", session="s")
    row = dict(zip(NAMES["handoffs"], to_row(whole, "epoch", 9, NOW), strict=True))
    assert row == {
        "event_id": "h1",
        "ts": NOW,
        "stream_epoch": "epoch",
        "stream_seq": 9,
        "tenant": "t",
        "request_id": "r",
        "trace_id": "tr",
        "upstream": "u",
        "model": "m",
        "mode": "chain",
        "reason": "matched",
        "matched": 3,
        "new_items": 2,
        "conversation": "c",
        "session": "s",
    }


@pytest.mark.parametrize(
    ("ts", "wanted"),
    [
        (NOW, NOW),
        (NOW - 7 * DAY_MS, NOW - 7 * DAY_MS),
        (NOW - 7 * DAY_MS - 1, NOW - 7 * DAY_MS),
        (NOW + HOUR_MS + 1, NOW + HOUR_MS),
        (-(10**30), NOW - 7 * DAY_MS),
    ],
)
def test_a_time_is_kept_within_a_week_before_and_an_hour_after(ts: int, wanted: int) -> None:
    assert clamp_ts(ts, NOW) == wanted


def test_the_clock_of_a_row_is_the_streams_own() -> None:
    late = to_rows([stored(1, record(ts=0))], "e", 0).tables["calls"].rows["e1"]
    assert late[NAMES["calls"].index("ts")] == NOW - 7 * DAY_MS


def test_long_texts_are_cut() -> None:
    row = to_row(record(model_requested="x" * 10_000), "e", 1, NOW)
    assert row[NAMES["calls"].index("model_requested")] == "x" * MAX_TEXT_CHARACTERS


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": ""},
        {"event_id": "x" * 257},
        {"input_tokens": -1},
        {"http_status": 65_536},
        {"tool_calls": 2**32},
        {"request_bytes": 2**64},
        {"duration_ms": -0.5},
        {"duration_ms": 1e300},
        {"ttft_ms": float("inf")},
    ],
)
def test_a_value_outside_its_columns_range_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RowError):
        to_row(record(**changes), "e", 1, NOW)


@pytest.mark.parametrize("changes", [{"event_id": ""}, {"matched": -1}, {"new_items": 2**32}])
def test_a_handoff_out_of_range_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RowError):
        to_row(handoff(**changes), "e", 1, NOW)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"kind":"call"}',
        b'{"kind":"handoff","event_id":"e"}',
        b'{"kind":"nonsense","event_id":"e"}',
        RECORD_ENCODER.encode(record()).replace(b'"t"', b"1"),
        RECORD_ENCODER.encode(record()).replace(b'"ok"', b'"fine"'),
        b'{"kind":"call","x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(RowError, match="not a record"):
        decode(data)


def test_unknown_fields_are_ignored() -> None:
    newer = msgspec.json.encode({**msgspec.to_builtins(record()), "kind": "call", "added_later": [1]})
    assert decode(newer) == record()


def test_a_mixed_range_gives_each_table_its_rows_and_suspects() -> None:
    messages = [stored(1, record()), stored(2, handoff()), stored(3, b"{"), stored(4, handoff(), republished=True)]
    found = to_rows(messages, "e", 1)
    assert {table: list(content.rows) for table, content in found.tables.items()} == {
        "calls": ["e1"],
        "handoffs": ["h1"],
    }
    assert {table: content.suspects for table, content in found.tables.items()} == {"calls": {"e1"}, "handoffs": {"h1"}}
    assert [message.seq for message, _ in found.dead] == [3]


def test_the_same_id_in_two_kinds_is_two_rows() -> None:
    found = to_rows([stored(1, record(event_id="x")), stored(2, handoff(event_id="x"))], "e", 0)
    assert [list(content.rows) for content in found.tables.values()] == [["x"], ["x"]]


def test_a_poisoned_record_leaves_the_others_in_place() -> None:
    found = to_rows([stored(1, record()), stored(2, b"{"), stored(3, record(event_id="e3"))], "e", 0)
    assert list(found.tables["calls"].rows) == ["e1", "e3"]
    assert [(message.seq, reason[:12]) for message, reason in found.dead] == [(2, "not a record")]


def test_a_record_that_comes_twice_makes_one_row_the_first() -> None:
    found = to_rows([stored(1, record()), stored(2, record(), republished=True)], "e", 0).tables["calls"]
    assert found.rows["e1"][NAMES["calls"].index("stream_seq")] == 1
    assert found.suspects == {"e1"}


def test_republished_records_and_those_up_to_a_lost_cursor_are_suspects() -> None:
    messages = [stored(seq, record(event_id=f"e{seq}"), republished=seq == 5) for seq in (1, 2, 3, 4, 5)]
    assert to_rows(messages, "e", 2).tables["calls"].suspects == {"e1", "e2", "e5"}
