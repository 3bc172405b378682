"""Run a read-only SQL query over the records."""

import asyncio
import logging
import os
from collections.abc import Iterator

import click
import msgspec

from deploy.local.state_dir import StateDir
from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.runtime.errors import BusError, NoWorkers, StartError
from libs.schemas.bus.query import QueryFailed, QueryOutcome, QueryReply, QueryRequest
from libs.schemas.config import Nats
from libs.schemas.subjects import QUERY
from parley import table
from parley.failure import Failure

_CONNECT_SECONDS = 3.0


@click.command()
@click.argument("sql")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a row.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="Return at most this many rows."
)
def command(sql: str, as_json: bool, limit: int) -> None:
    """Run SQL over the records of the cluster in var/ (PARLEY_VAR), or of the one at PARLEY_NATS_URL."""
    logging.getLogger("parley").setLevel(logging.CRITICAL)  # failures are told in one sentence, below
    reply = _rows(asyncio.run(_ask(_nats_url(), QueryRequest(sql=sql, limit=limit))))
    for line in _json_lines(reply) if as_json else _table(reply):
        click.echo(line)
    if reply.truncated:
        click.echo(f"Only the first {len(reply.rows)} rows are shown; ask for more with --limit.", err=True)


def _nats_url() -> str:
    state = StateDir.of(os.environ)
    running = state.running()
    if running is not None and running.nats_url:
        return running.nats_url
    if url := os.environ.get("PARLEY_NATS_URL"):
        return url
    raise Failure(f"No cluster runs in {state.shown}: start one with `parley up`, or name one with PARLEY_NATS_URL.")


async def _ask(url: str, request: QueryRequest) -> QueryOutcome:
    try:
        bus = await Bus.connect(Nats(url=url, connect_timeout_seconds=_CONNECT_SECONDS), "cli")
        try:
            return await bus.call(QUERY, request, BusContext())
        finally:
            await bus.drain(0)
    except NoWorkers:
        raise Failure("No analytics service answers; `parley status` shows whether it is ready.") from None
    except (BusError, StartError) as error:
        raise Failure(str(error)) from None


def _rows(outcome: QueryOutcome) -> QueryReply:
    if isinstance(outcome, QueryFailed):
        raise Failure(f"ClickHouse refuses the query: {outcome.message}")
    return outcome


def _table(reply: QueryReply) -> Iterator[str]:
    return table.lines(reply.columns, [[_shown(value) for value in row] for row in _decoded(reply)])


def _shown(value: object) -> object:
    return msgspec.json.encode(value).decode() if isinstance(value, list | dict) else value


def _json_lines(reply: QueryReply) -> Iterator[str]:
    for row in _decoded(reply):
        yield msgspec.json.encode(dict(zip(reply.columns, row, strict=True))).decode()


def _decoded(reply: QueryReply) -> Iterator[list[object]]:
    # In the encoding of the message around them, as anything raw inside a message must be.
    return (msgspec.msgpack.decode(row, type=list[object]) for row in reply.rows)
