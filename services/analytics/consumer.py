"""The one who inserts: fetch -> rows -> batch -> intent -> insert -> acknowledge (see `_step`).

Killed at any instant, the tables hold every record once: the intent names a range of the stream before
its inserts, and the next owner of the lease inserts exactly that range again, into every table under the
same token, which ClickHouse knows.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from libs.runtime import metrics
from libs.runtime.backoff import Backoff
from libs.runtime.logs import Log
from libs.schemas.config import Analytics
from services.analytics.batch import Batch
from services.analytics.lease import Cursor, Lease
from services.analytics.purging import Purging
from services.analytics.rows import Stored, TableRows, to_rows
from services.analytics.source import NATS_ERRORS, Gap, Source
from services.analytics.writer import Writer, WriterError

T = TypeVar("T")

IDLE_SECONDS = 1.0  # how long a fetch waits when there is nothing: also how soon a stop is seen
MAX_BATCH_ROWS = 10_000  # one block, far under ClickHouse's own limit
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.2, 10.0  # between tries of ClickHouse, and of JetStream

log = Log("parley.analytics.consumer")


class Consumer:
    """Moves records from the stream into the tables while it holds the lease."""

    def __init__(
        self,
        settings: Analytics,
        lease: Lease,
        source: Source,
        writer: Writer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.well = True  # False while the database does not take what it is given
        self._lease = lease
        self._source = source
        self._writer = writer
        self._clock = clock
        self._batch = Batch(min(settings.batch_rows, MAX_BATCH_ROWS), settings.batch_seconds)
        self._purging = Purging(lease, source, clock)
        self._settled: tuple[str, tuple[int, int]] | None = None  # the newest range known to be in the tables

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then finish what was fetched. Raises LeaseLost."""
        started, backoff = False, Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while not stop.is_set():
            self._lease.check()
            try:
                if not started:
                    await self._start()
                    started = True
                await self._step()
                backoff.reset()
            except (Gap, *NATS_ERRORS) as error:
                log.warning("stream_restarted", reason=str(error) or type(error).__name__)
                self._batch.take()  # fetched again from the cursor on
                started = False
                await asyncio.sleep(0 if isinstance(error, Gap) else backoff.next())
        await self._flush()

    async def _step(self) -> None:
        now = self._clock()
        wait = self._batch.wait_seconds(now, IDLE_SECONDS)
        fetched = await self._source.fetch(self._batch.room(), wait)
        self._batch.add(fetched, self._clock())
        metrics.RECORDS_WAITING.set(self._source.waiting)
        if self._batch.due(self._clock()):
            await self._flush()
        await self._purging.step(self._newest(), idle=not fetched and not self._batch)

    def _newest(self) -> tuple[int, int] | None:
        """Return the newest range of this stream that is known to be in the tables."""
        if self._settled is None or self._settled[0] != self._lease.cursor.epoch:
            return None
        return self._settled[1]

    async def _flush(self) -> None:
        messages = self._batch.take()
        if not messages:
            return
        pending = (messages[0].seq, messages[-1].seq)
        intent = msgspec.structs.replace(self._lease.cursor, pending=pending, next_seq=pending[1] + 1)
        await self._lease.move(intent)
        await self._settle(messages, intent)
        await self._source.ack()

    # -- the range that the cursor names ------------------------------------------------------------

    async def _settle(self, messages: list[Stored], intent: Cursor) -> None:
        """Bring the pending range into the tables, however often that must be tried. Raises LeaseLost."""
        assert intent.pending is not None
        found = to_rows(messages, intent.epoch, intent.lookup_until)
        for stored, reason in found.dead:
            await self._put_aside(stored, intent.epoch, reason)
        inserted = 0
        for table, content in found.tables.items():
            inserted += await self._insert(table, content, intent.epoch, intent.pending)
        metrics.RECORDS_REPEATED.inc(len(messages) - len(found.dead) - inserted)
        self._settled = (intent.epoch, intent.pending)

    async def _insert(self, table: str, content: TableRows, epoch: str, pending: tuple[int, int]) -> int:
        """Insert what `table` does not have yet; return how many rows that is. Raises LeaseLost."""
        known: set[str] = set()
        if content.suspects:
            known = await self._persist(lambda: self._writer.known(table, content.suspects))
        rows = [row for event_id, row in content.rows.items() if event_id not in known]
        if rows:
            token = f"{epoch}:{pending[0]}-{pending[1]}:{table}"
            await self._persist(lambda: self._writer.insert(table, rows, token))
        return len(rows)

    async def _persist(self, action: Callable[[], Awaitable[T]]) -> T:
        """Repeat until ClickHouse confirms. The same rows and token each time: never another batch."""
        backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while True:
            await self._lease.confirm()
            try:
                result = await action()
            except WriterError as error:
                self.well = False
                metrics.INSERT_FAILURES.inc()
                delay = backoff.next()
                log.error("clickhouse_failed", error=str(error), retry_seconds=round(delay, 3))
                await asyncio.sleep(delay)
            else:
                self.well = True
                return result

    async def _put_aside(self, stored: Stored, epoch: str, reason: str) -> None:
        try:
            await self._source.put_aside(stored, epoch, reason)
        except NATS_ERRORS as error:
            # It stays in the stream and is tried again: one bad record must not hold up the others.
            log.error("dead_record_not_kept", seq=stored.seq, error=str(error) or type(error).__name__)
            await self._purging.hold(stored.seq)
        metrics.RECORDS_DEAD.inc()
        log.warning("dead_record", seq=stored.seq, reason=reason)

    # -- the start ----------------------------------------------------------------------------------

    async def _start(self) -> None:
        """Finish what the cursor says is pending, then deliver what comes after it."""
        epoch = await self._source.open()
        self._purging.restart()
        cursor = self._lease.cursor
        if cursor.epoch != epoch:
            await self._begin_epoch(epoch, cursor)
        elif cursor.pending is not None and self._settled != (epoch, cursor.pending):
            await self._recover(cursor, cursor.pending)
        await self._source.restart(self._lease.cursor.next_seq)

    async def _recover(self, cursor: Cursor, pending: tuple[int, int]) -> None:
        messages, missing = await self._source.read(*pending)
        log.info("pending_range", first=pending[0], last=pending[1], found=len(messages), missing=missing)
        if missing and not await self._purged(cursor.epoch, pending):
            metrics.RECORDS_MISSING.inc(missing)
        await self._settle(messages, cursor)

    async def _purged(self, epoch: str, pending: tuple[int, int]) -> bool:
        """Whether a range is gone because it was in the tables: the cursor may be one of before."""
        if pending[1] >= self._source.first_seq:
            return False
        newest, _ = await self._persist(lambda: self._writer.position(epoch))
        return newest >= pending[1]

    async def _begin_epoch(self, epoch: str, old: Cursor) -> None:
        """Start at the beginning of a stream that the cursor does not know.

        The cursor alone may have been lost, or the stream put back from a copy: unless the tables are empty,
        every record that is in the stream by now is looked up before it is inserted.
        """
        newest, others = await self._persist(lambda: self._writer.position(epoch))
        lookup_until = self._source.last_seq if newest or others else 0
        if old.epoch or newest or others:
            metrics.STREAM_EPOCHS.inc()
            log.error(
                "new_stream_of_records" if old.epoch or others else "cursor_was_lost",
                epoch=epoch,
                epoch_before=old.epoch,
                next_seq_before=old.next_seq,
                pending_before=old.pending,
                rows_of_other_epochs=others,
                lookup_until=lookup_until,
            )
        await self._lease.move(Cursor(epoch=epoch, lookup_until=lookup_until))
