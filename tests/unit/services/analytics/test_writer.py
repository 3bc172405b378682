"""The writer on the embedded engine, and on a ClickHouse server where Docker can run one."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.runtime.errors import StartError
from libs.schemas.config import Analytics
from libs.schemas.records import CallRecord, HandoffRecord, Record, table
from services.analytics.clickhouse import connect
from services.analytics.rows import Row, to_row
from services.analytics.tables import TABLES
from services.analytics.writer import InsertError, Writer, WriterError
from tests.unit.services.analytics.test_rows import NOW, handoff, record


@pytest.fixture
async def writer(settings: Analytics) -> AsyncIterator[Writer]:
    writer = Writer(settings)
    await writer.open()
    yield writer
    await writer.close()


def row(event_id: str, seq: int = 1, epoch: str = "e", **changes: Any) -> Row:
    return to_row(record(event_id=event_id, **changes), epoch, seq, NOW)


def handoff_row(event_id: str, seq: int = 1, epoch: str = "e") -> Row:
    return to_row(handoff(event_id=event_id), epoch, seq, NOW)


def ask(settings: Analytics, sql: str) -> Any:
    client = connect(settings, database=settings.clickhouse_database)
    try:
        return client.query(sql).result_rows
    finally:
        client.close()


CALL = CallRecord(
    event_id="0f",
    ts=NOW + 123,
    tenant="ténant",
    surface="responses",
    model_requested="m",
    model="m-1",
    upstream="u",
    streamed=False,
    outcome="incomplete",
    http_status=200,
    error_code="x",
    finish_reason="length",
    request_id="r",
    trace_id="t",
    response_id="resp",
    previous_response_id="prev",
    conversation="c",
    input_tokens=2**40,
    output_tokens=2,
    cached_tokens=3,
    reasoning_tokens=4,
    ttft_ms=None,
    duration_ms=12.5,
    tool_calls=5,
    request_bytes=6,
    response_bytes=2**33,
)
HANDOFF = HandoffRecord(
    event_id="1f",
    ts=NOW + 123,
    tenant="ténant",
    request_id="r",
    trace_id="t",
    upstream="u",
    model="m",
    mode="replay",
    reason="matched",
    matched=2**32 - 1,
    new_items=2,
    conversation="pc_1",
    session="ses",
)


@pytest.mark.parametrize("full", [CALL, HANDOFF])
async def test_a_row_comes_back_as_it_was(settings: Analytics, writer: Writer, full: Record) -> None:
    name = table(type(full))
    await writer.insert(name, [to_row(full, "epoch", 2**50, NOW)], "epoch:1-1")
    columns = ", ".join(TABLES[name])
    client = connect(settings, database=settings.clickhouse_database)
    raw = client.raw_query(f"SELECT {columns} FROM {name}", fmt="JSONEachRow")
    client.close()
    found = json.loads(raw)
    assert found.pop("ts") == datetime.fromtimestamp(full.ts / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.123")
    assert (found.pop("stream_epoch"), int(found.pop("stream_seq"))) == ("epoch", 2**50)
    for field, value in found.items():
        wanted = getattr(full, field)
        assert (int(value) if isinstance(wanted, int) and not isinstance(wanted, bool) else value) == wanted, field


async def test_an_insert_repeated_with_its_token_changes_nothing(settings: Analytics, writer: Writer) -> None:
    for _ in range(3):
        await writer.insert("calls", [row("a"), row("b")], "e:1-2")
    await writer.insert("calls", [row("c")], "e:3-3")
    assert ask(settings, "SELECT count(), uniqExact(event_id) FROM calls") == [(3, 3)]


async def test_tables_do_not_share_their_tokens_or_ids(settings: Analytics, writer: Writer) -> None:
    await writer.insert("calls", [row("a")], "t")
    for _ in range(2):
        await writer.insert("handoffs", [handoff_row("a"), handoff_row("b")], "t")
    assert ask(settings, "SELECT event_id FROM calls") == [("a",)]
    assert ask(settings, "SELECT event_id FROM handoffs ORDER BY event_id") == [("a",), ("b",)]
    assert await writer.known("calls", ["a", "b"]) == {"a"}
    assert await writer.known("handoffs", ["a", "b"]) == {"a", "b"}


async def test_a_batch_over_two_partitions_is_completed_by_its_repetition(settings: Analytics, writer: Writer) -> None:
    old, new = row("old", ts=NOW - 86_400_000), row("new", ts=NOW)
    await writer.insert("calls", [old], "e:1-2")  # as if the insert had ended between its two parts
    await writer.insert("calls", [old, new], "e:1-2")
    assert ask(settings, "SELECT event_id FROM calls ORDER BY ts") == [("old",), ("new",)]


async def test_rows_without_a_token_of_their_own_would_be_lost(settings: Analytics, writer: Writer) -> None:
    await writer.insert("calls", [row("a")], "e:1-1")
    await writer.insert("calls", [row("b")], "e:1-1")
    assert ask(settings, "SELECT event_id FROM calls") == [("a",)], "else the tests above prove nothing"


async def test_known_finds_ids_among_many(writer: Writer) -> None:
    await writer.insert("calls", [row(f"e{number}", number) for number in range(50)], "e:0-49")
    asked = [f"e{number}" for number in range(40, 3000)] + ["it's"]
    assert await writer.known("calls", asked) == {f"e{number}" for number in range(40, 50)}


async def test_position_tells_this_stream_from_others(writer: Writer) -> None:
    assert await writer.position("one") == (0, 0)
    await writer.insert("calls", [row("a", 7, "one"), row("b", 9, "one"), row("c", 40, "two")], "t")
    assert await writer.position("one") == (9, 1)
    assert await writer.position("three") == (0, 3)
    await writer.insert("handoffs", [handoff_row("d", 12, "one"), handoff_row("e", 1, "two")], "t")
    assert await writer.position("one") == (12, 2), "the newest of all tables, the others of all"


async def test_a_table_that_is_not_there_fails_the_insert(settings: Analytics, writer: Writer) -> None:
    client = connect(settings, database=settings.clickhouse_database)
    client.command("DROP TABLE calls")
    client.close()
    with pytest.raises(InsertError):
        await writer.insert("calls", [row("a")], "e:1-1")
    with pytest.raises(WriterError):
        await writer.known("calls", ["a"])


async def test_opening_again_keeps_what_is_there(settings: Analytics, writer: Writer) -> None:
    await writer.insert("calls", [row("a")], "e:1-1")
    second = Writer(settings)
    await second.open()
    await second.insert("calls", [row("a")], "e:1-1")
    await second.close()
    assert ask(settings, "SELECT count() FROM calls") == [(1,)]


async def test_a_server_that_is_not_there_is_a_writer_error() -> None:
    writer = Writer(Analytics(clickhouse_url="http://127.0.0.1:1"))
    with pytest.raises(WriterError):
        await writer.open()
    await writer.close()


@pytest.mark.parametrize("wrong", [{"clickhouse_database": "a b"}, {"clickhouse_url": "nats://x"}])
def test_settings_that_cannot_work_stop_the_start(wrong: dict[str, str]) -> None:
    with pytest.raises(StartError):
        Writer(Analytics(**wrong))  # type: ignore[arg-type]
