"""The queries on a real engine: what is answered, what is cut, and above all what is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.runtime.call import BusContext
from libs.schemas.bus.query import QueryFailed, QueryReply, QueryRequest
from libs.schemas.config import Analytics
from services.analytics.query import MAX_ROWS, REPLY_ROOM, Queries, Refused, to_reply
from services.analytics.writer import Writer
from tests.unit.services.analytics.test_writer import handoff_row, row

REPLY_BYTES = 256 * 1024


@pytest.fixture
async def queries(settings: Analytics) -> AsyncIterator[Queries]:
    writer = Writer(settings)
    await writer.open()
    await writer.insert("calls", [row(f"e{number}", number, tenant=f"t{number % 2}") for number in range(10)], "e:0-9")
    await writer.insert("handoffs", [handoff_row("h1")], "e:0-9")
    queries = Queries(settings, REPLY_BYTES)
    queries.enabled = True
    yield queries
    await writer.close()


async def answer(queries: Queries, sql: str, limit: int = 1000) -> QueryReply:
    reply = await queries.handle(QueryRequest(sql=sql, limit=limit), BusContext())
    assert isinstance(reply, QueryReply), reply
    return reply


async def refused(queries: Queries, sql: str) -> str:
    reply = await queries.handle(QueryRequest(sql=sql), BusContext())
    assert isinstance(reply, QueryFailed), (sql, reply)
    return reply.message


def rows(reply: QueryReply) -> list[Any]:
    return [msgspec.msgpack.decode(row) for row in reply.rows]


async def test_a_query_gives_its_columns_and_rows(queries: Queries) -> None:
    reply = await answer(
        queries, "SELECT tenant, count() AS calls FROM calls GROUP BY tenant ORDER BY tenant -- all\n;"
    )
    assert (reply.columns, rows(reply), reply.truncated) == (["tenant", "calls"], [["t0", 5], ["t1", 5]], False)


async def test_handoffs_are_asked_for_and_joined_like_calls(queries: Queries) -> None:
    reply = await answer(
        queries, "SELECT h.mode, count() FROM handoffs AS h JOIN calls AS c USING (request_id) GROUP BY h.mode"
    )
    assert rows(reply) == [["chain", 10]]


async def test_values_become_what_json_has(queries: Queries) -> None:
    reply = await answer(
        queries,
        "SELECT toUUID('00000000-0000-0000-0000-00000000000a'), toDateTime64('2026-01-02 03:04:05.678', 3, 'UTC'), "
        "toUInt64(18446744073709551615), 1/0, NULL, [1, 2], map('a', 1), 'line\nend', true, 1.5",
    )
    assert rows(reply) == [
        [
            "00000000-0000-0000-0000-00000000000a",
            "2026-01-02 03:04:05.678",
            2**64 - 1,
            None,
            None,
            [1, 2],
            {"a": 1},
            "line\nend",
            True,
            1.5,
        ]
    ]


async def test_no_rows_still_have_columns(queries: Queries) -> None:
    reply = await answer(queries, "SELECT event_id FROM calls WHERE tenant = 'nobody'")
    assert (reply.columns, rows(reply), reply.truncated) == (["event_id"], [], False)


@pytest.mark.parametrize(
    ("limit", "count", "truncated"), [(9, 9, True), (10, 10, False), (11, 10, False), (0, 0, True)]
)
async def test_rows_over_the_limit_are_cut_in_order(queries: Queries, limit: int, count: int, truncated: bool) -> None:
    reply = await answer(queries, "SELECT stream_seq FROM calls ORDER BY stream_seq DESC", limit)
    assert rows(reply) == [[seq] for seq in range(9, 9 - count, -1)]
    assert reply.truncated is truncated


async def test_no_limit_exceeds_our_own(queries: Queries) -> None:
    reply = await answer(queries, "SELECT number FROM numbers(100000)", 10**9)
    assert (len(reply.rows), reply.truncated) == (MAX_ROWS, True)


async def test_a_reply_fits_the_bus(queries: Queries) -> None:
    reply = await answer(queries, "SELECT repeat('x', 10000) FROM numbers(1000)")
    assert reply.truncated and len(reply.rows) > 10
    assert len(msgspec.msgpack.encode(reply)) < REPLY_BYTES


async def test_a_result_too_large_for_memory_is_refused(queries: Queries) -> None:
    assert "exceeded" in await refused(queries, "SELECT repeat('x', 1000000) FROM numbers(1000)")


async def test_a_query_that_takes_too_long_is_ended_and_leaves_no_trace(queries: Queries) -> None:
    assert "TIMEOUT" in await refused(queries, "SELECT count() FROM numbers(1000000000000)")
    assert rows(await answer(queries, "SELECT 'mine'")) == [["mine"]]


async def test_a_standby_says_so(queries: Queries) -> None:
    queries.enabled = False
    assert "stands by" in await refused(queries, "SELECT 1")


async def test_a_number_that_a_reply_cannot_carry_is_named(queries: Queries) -> None:
    assert "toString" in await refused(queries, "SELECT toUInt128('340282366920938463463374607431768211455')")


@pytest.mark.parametrize(
    "sql",
    [
        "WITH toStartOfInterval(ts, INTERVAL 5 MINUTE) AS t SELECT t, countIf(outcome = 'ok'), "
        "quantiles(0.5, 0.99)(duration_ms), sumOrNull(ttft_ms) FROM calls WHERE ts > now() - INTERVAL 10 YEAR "
        "AND model IN ('', 'm') GROUP BY t ORDER BY t WITH FILL LIMIT 5",
        "SELECT tenant, row_number() OVER (PARTITION BY tenant ORDER BY ts) FROM calls",
        "SELECT a.tenant FROM calls AS a LEFT JOIN (SELECT tenant FROM calls) AS b USING (tenant)",
        "SELECT * EXCEPT (ts) FROM calls UNION ALL SELECT * EXCEPT (ts) FROM calls",
        "SELECT arrayMap(x -> x + 1, [1]), CASE WHEN 1 THEN 2 ELSE 3 END, CAST(1 AS String), EXISTS(SELECT 1)",
        "SELECT grouping(tenant), count() FROM calls GROUP BY ROLLUP(tenant) HAVING count() > 0",
        "SELECT formatReadableSize(1), JSONExtractString('{}', 'a'), formatDateTime(now(), '%Y'), upper('a')",
    ],
)
async def test_what_a_dashboard_asks_is_answered(queries: Queries, sql: str) -> None:
    await answer(queries, sql)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret.csv"
    path.write_text("a,b\n1,SECRET\n")
    return str(path)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT",
        "INSERT INTO calls (event_id) VALUES ('x')",
        "INSERT INTO calls (event_id) SELECT 'x'",
        "DROP TABLE calls",
        "TRUNCATE TABLE calls",
        "ALTER TABLE calls DELETE WHERE 1",
        "DELETE FROM calls WHERE 1",
        "OPTIMIZE TABLE calls",
        "CREATE TABLE z (a Int8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE z (a Int8)",
        "CREATE FUNCTION f AS x -> x",
        "SYSTEM FLUSH LOGS",
        "KILL QUERY WHERE 1",
        "SET readonly = 0",
        "USE default",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "SELECT 1; DROP TABLE calls",
        "SELECT 1) UNION ALL (SELECT 2",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 SETTINGS max_execution_time = 100",
        "SELECT 1 FORMAT TSV",
        "SELECT 1 INTO OUTFILE '{secret}.out'",
        "SELECT (SELECT 1 INTO OUTFILE '{secret}.out')",
        "SELECT file('{secret}')",
        "SELECT `file`('{secret}')",
        "SELECT arrayMap(x -> file(x), ['{secret}'])",
        "SELECT arrayMap(file, ['{secret}'])",
        "SELECT * APPLY(file) FROM (SELECT '{secret}')",
        "SELECT * APPLY(x -> file(x)) FROM (SELECT '{secret}')",
        "SELECT * REPLACE (file(c) AS c) FROM (SELECT '{secret}' AS c)",
        "WITH file('{secret}') AS x SELECT x",
        "SELECT 1 FROM calls WHERE event_id IN file('{secret}')",
        "SELECT * FROM file('{secret}')",
        "SELECT * FROM file('{secret}', 'CSV', 'a String, b String')",
        "SELECT * FROM `{secret}`",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/a', 'CSV', 'a String')",
        "SELECT * FROM remote('127.0.0.1:9000', 'system.one')",
        "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
        "SELECT * FROM sqlite('{secret}', 't')",
        "SELECT * FROM executable('id', 'TSV', 'a String')",
        "SELECT * FROM Python(queries)",
        "SELECT * FROM eval('SELECT 1')",
        "SELECT * FROM merge('system', '.*')",
        "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT 1))",
        "SELECT * FROM system.tables",
        "SELECT * FROM `system`.`tables`",
        "SELECT * FROM information_schema.tables",
        "SELECT 1 WHERE 1 IN system.one",
        "SELECT hostName()",
        "SELECT sleep(1)",
        "SELECT getSetting('readonly')",
        "SELECT " + "(" * 3000 + "1" + ")" * 3000,
        "SELECT '" + "x" * 70_000 + "'",
    ],
)
async def test_whatever_is_not_a_select_over_the_records_is_refused(queries: Queries, sql: str, secret: str) -> None:
    message = await refused(queries, sql.replace("{secret}", secret))
    assert "SECRET" not in message
    assert not Path(f"{secret}.out").exists()
    assert rows(await answer(queries, "SELECT count() FROM calls")) == [[10]]


@pytest.mark.parametrize("sql", ["INSERT INTO calls (event_id) VALUES ('x')", "DROP TABLE calls", "SET readonly = 0"])
async def test_the_engine_itself_refuses_to_write(queries: Queries, sql: str) -> None:
    """Were the judgement of the syntax tree wrong, `readonly` would still stand."""
    client = queries._client({})
    try:
        with pytest.raises(Exception, match="readonly|READONLY"):
            client.command(sql)
    finally:
        client.close()


def test_the_budget_of_a_reply_counts_bytes_not_rows() -> None:
    output = b'["a"]\n' + b'["xxxxxxxx"]\n' * 10
    reply = to_reply(output, 100, 35)
    assert (len(reply.rows), reply.truncated) == (3, True)
    with pytest.raises(Refused):
        to_reply(b'["a"]\n[99999999999999999999999]\n', 1, 100)
    assert REPLY_ROOM < REPLY_BYTES
