"""Lets go of what the tables have: the stream refuses new records when it is full, read or not.

First the cursor says that its newest range is done, then the stream is purged of what is before that range, and
of the range as well where nothing more comes. Killed in between, the next instance finds nothing to recover, and
purges. What is pending is never purged.
"""

import time
from collections.abc import Callable

import msgspec

from libs.runtime import metrics
from libs.runtime.logs import Log, RareLog
from services.analytics.lease import Cursor, Lease
from services.analytics.rows import to_rows
from services.analytics.source import NATS_ERRORS, Source

PURGE_SECONDS = 2.0  # between two purges: each is one write of the cursor and one of the stream
PRESSED = 0.5  # how full the stream may be, of its bytes, before it lets go of what could not be put aside
MAX_HELD = 1000

log = Log("parley.analytics.purging")


class Purging:
    """Purges the stream behind the cursor. All methods raise LeaseLost, Gap."""

    def __init__(self, lease: Lease, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._source = source
        self._clock = clock
        self._purged = 1  # all sequences before this one are gone
        self._last = clock()
        self._rarely = RareLog("parley.analytics.purging", clock=clock)

    def restart(self) -> None:
        """The stream may be another."""
        self._purged = 1

    async def step(self, settled: tuple[int, int] | None, *, idle: bool) -> None:
        """Purge if it is time for it; `settled` is the newest range that is in the tables."""
        if self._clock() - self._last < PURGE_SECONDS:
            return
        self._last = self._clock()
        cursor = self._lease.cursor
        if cursor.pending is not None and cursor.pending != settled:
            return
        before = cursor.next_seq if idle else settled[0] if settled is not None else 1
        if before <= self._purged:
            return
        if cursor.pending is not None:
            await self._lease.move(msgspec.structs.replace(cursor, pending=None))
        try:
            await self._purge(before)
        except NATS_ERRORS as error:
            self._rarely.warning("purge_failed", error=str(error) or type(error).__name__)

    async def hold(self, seq: int) -> None:
        """Keep a dead record in the stream, for it could not be put aside."""
        cursor = self._lease.cursor
        held = tuple(sorted({*cursor.held, seq}))
        self._lose(held[:-MAX_HELD])
        await self._lease.move(msgspec.structs.replace(cursor, held=held[-MAX_HELD:]))

    def _lose(self, seqs: tuple[int, ...]) -> None:
        if seqs:
            metrics.RECORDS_DEAD_LOST.inc(len(seqs))
            log.error("dead_records_lost", first=seqs[0], last=seqs[-1], records=len(seqs))

    async def _purge(self, before: int) -> None:
        cursor = self._lease.cursor
        held = await self._put_aside(cursor)
        fullness = await self._source.fullness(cursor.epoch)
        if fullness > PRESSED:
            self._lose(held)
            held = ()
        if held != cursor.held:
            await self._lease.move(msgspec.structs.replace(cursor, held=held))
        await self._lease.confirm()
        await self._source.purge(min((before, *held)), cursor.epoch)
        if not held:
            self._purged = before

    async def _put_aside(self, cursor: Cursor) -> tuple[int, ...]:
        """Try again what could not be put aside, and return what still cannot."""
        for index, seq in enumerate(cursor.held):
            messages, _ = await self._source.read(seq, seq)
            for stored, reason in to_rows(messages, cursor.epoch, cursor.lookup_until).dead:
                try:
                    await self._source.put_aside(stored, cursor.epoch, reason)
                except NATS_ERRORS:
                    return cursor.held[index:]
        return ()
