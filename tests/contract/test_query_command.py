"""`parley query` over a real bus, with a scripted analytics service behind it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.schemas.bus.query import QueryFailed, QueryOutcome, QueryReply, QueryRequest
from libs.schemas.config import Nats
from libs.schemas.subjects import QUERY
from tests.support.nats import running_nats


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    with running_nats(tmp_path / "nats") as server:
        yield server.url


@pytest.fixture
async def analytics(url: str) -> AsyncIterator[None]:
    async def answer(request: QueryRequest, context: BusContext) -> QueryOutcome:
        if request.sql != "SELECT 1":
            return QueryFailed(message="no such table")
        rows = [msgspec.Raw(msgspec.msgpack.encode(row)) for row in (["gpt-5", 1], ["o4", None])]
        return QueryReply(columns=["model", "n"], rows=rows[: request.limit], truncated=request.limit < 2)

    bus = await Bus.connect(Nats(url=url), "analytics")
    await bus.serve(QUERY, answer, concurrency=1)
    yield
    await bus.drain(1)


async def parley_query(tmp_path: Path, url: str, *arguments: str) -> tuple[int, str, str]:
    environ = {**os.environ, "PARLEY_VAR": str(tmp_path / "var"), "PARLEY_NATS_URL": url}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "parley", "query", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environ,
    )
    stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()


@pytest.mark.usefixtures("analytics")
async def test_rows_come_as_a_table(tmp_path: Path, url: str) -> None:
    status, output, _ = await parley_query(tmp_path, url, "SELECT 1")
    assert status == 0
    assert output.splitlines() == ["model     n", "-----  ----", "gpt-5     1", "o4     NULL"]


@pytest.mark.usefixtures("analytics")
async def test_rows_come_as_json_lines_and_a_cut_is_told(tmp_path: Path, url: str) -> None:
    status, output, errors = await parley_query(tmp_path, url, "--json", "--limit", "1", "SELECT 1")
    assert (status, output) == (0, '{"model":"gpt-5","n":1}\n')
    assert "--limit" in errors


@pytest.mark.usefixtures("analytics")
async def test_a_refused_query_says_why(tmp_path: Path, url: str) -> None:
    outcome = await parley_query(tmp_path, url, "SELECT 2")
    assert outcome == (1, "", "parley: ClickHouse refuses the query: no such table\n")


async def test_no_analytics_service_is_said_in_one_sentence(tmp_path: Path, url: str) -> None:
    status, _, errors = await parley_query(tmp_path, url, "SELECT 1")
    assert status == 1
    assert errors.startswith("parley: No analytics service answers") and errors.count("\n") == 1


async def test_no_bus_is_said_in_one_sentence(tmp_path: Path) -> None:
    status, _, errors = await parley_query(tmp_path, "nats://127.0.0.1:1", "SELECT 1")
    assert status == 1
    assert errors.startswith("parley: no connection to NATS at nats://127.0.0.1:1") and errors.count("\n") == 1
