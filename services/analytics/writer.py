"""Writes rows to ClickHouse, one call at a time, on a thread of its own.

Every insert carries the token of its range and table: repeated with the same token and rows it is a
no-op, which is what makes an unknown result safe to repeat.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from clickhouse_connect.driver.client import Client

from libs.runtime import metrics
from libs.schemas.config import Analytics
from services.analytics.clickhouse import CLICKHOUSE_ERRORS, connect, database_name
from services.analytics.migrate import migrate
from services.analytics.rows import Row
from services.analytics.tables import TABLES

T = TypeVar("T")

INSERT_SETTINGS = {"async_insert": 0, "deduplicate_blocks_in_dependent_materialized_views": 1}
LOOKUP_IDS = 1000  # ids in one query, far under the limits of a URL and of the parser


class WriterError(Exception):
    """ClickHouse is away or refused."""


class InsertError(WriterError):
    """The insert is not known to have happened: repeat it with the same rows and token."""


class Writer:
    """The one writer of the tables; `open` first, `close` before the process exits."""

    def __init__(self, settings: Analytics) -> None:
        self._settings = settings
        self._database = database_name(settings)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clickhouse")
        self._client: Client | None = None

    async def open(self) -> None:
        """Connect, make the database and bring its tables up to date. Raises WriterError."""
        await self._run(self._open, WriterError)

    def _open(self) -> None:
        first = connect(self._settings)
        try:
            first.command(f"CREATE DATABASE IF NOT EXISTS {self._database}")
            self._client = connect(self._settings, database=self._database)
        finally:
            first.close()
        migrate(self._client)

    async def insert(self, table: str, rows: Collection[Row], token: str) -> None:
        """Insert the rows of one batch into `table` under their token. Raises InsertError."""
        started = time.monotonic()
        await self._run(lambda: self._insert(table, rows, token), InsertError)
        metrics.INSERT_SECONDS.observe(time.monotonic() - started)
        metrics.ROWS_INSERTED.labels(table).inc(len(rows))

    def _insert(self, table: str, rows: Collection[Row], token: str) -> None:
        self._opened().insert(
            table,
            list(rows),
            column_names=list(TABLES[table]),
            column_type_names=list(TABLES[table].values()),
            database=self._database,
            settings={**INSERT_SETTINGS, "insert_deduplication_token": token},
        )

    async def known(self, table: str, event_ids: Collection[str]) -> set[str]:
        """Return those of `event_ids` that `table` has. Raises WriterError."""
        ids, found = list(event_ids), set[str]()
        for start in range(0, len(ids), LOOKUP_IDS):
            part = ids[start : start + LOOKUP_IDS]
            sql = f"SELECT DISTINCT event_id FROM {table} WHERE event_id IN {{ids:Array(String)}}"
            found |= {row[0] for row in await self._rows(sql, {"ids": part})}
        return found

    async def position(self, epoch: str) -> tuple[int, int]:
        """Return the newest sequence of `epoch` in any table, 0 for none, and how many rows other epochs have.

        Raises WriterError.
        """
        own = "stream_epoch = {epoch:String}"
        rows = " UNION ALL ".join(f"SELECT stream_seq, stream_epoch FROM {table}" for table in TABLES)
        sql = f"SELECT maxIf(stream_seq, {own}), countIf(NOT {own}) FROM ({rows})"
        ((newest, others),) = await self._rows(sql, {"epoch": epoch})
        return newest, others

    async def _rows(self, sql: str, parameters: dict[str, object]) -> list[Sequence[Any]]:
        def read() -> list[Sequence[Any]]:
            return list(self._opened().query(sql, parameters=parameters).result_rows)

        return await self._run(read, WriterError)

    def _opened(self) -> Client:
        if self._client is None:
            raise OSError("the database is not open")
        return self._client

    async def _run(self, call: Callable[[], T], error_type: type[WriterError]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except CLICKHOUSE_ERRORS as error:
            raise error_type(str(error)) from error

    async def close(self) -> None:
        """Close the client when the call under way is done. It must not be used afterwards."""

        def close() -> None:
            if self._client is not None:
                self._client.close()
                self._client = None

        await self._run(close, WriterError)
        self._thread.shutdown(wait=False)
