"""Carries records from the spool to the stream; no request ever waits for it.

Each record is tried until the stream has it, under its own id, which the stream knows for a while; from
its second try on it says so, and the consumer looks it up.
"""

import asyncio
from contextlib import suppress

from nats.errors import Error as NatsError

from libs.runtime import metrics
from libs.runtime.backoff import Backoff
from libs.runtime.bus import Bus
from libs.runtime.errors import MessageTooLarge
from libs.runtime.logs import Log, RareLog
from libs.schemas.records import CallRecord, Record, subject
from libs.schemas.subjects import REPUBLISHED_HEADER
from services.edge.records.spool import Spool, Waiting

MAX_IN_FLIGHT = 256
ACK_SECONDS = 5.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.1, 5.0
UNREADABLE_SECONDS = 1.0  # between looks at what could not be read

log = Log("parley.edge.publish")


class Publisher:
    """Takes the edge's records: `open` and `close` return at once and never raise."""

    def __init__(self, spool: Spool, bus: Bus) -> None:
        self._spool = spool
        self._bus = bus
        self._js = bus.jetstream(ACK_SECONDS)
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._rarely = RareLog("parley.edge.publish")

    def open(self, record: CallRecord) -> None:
        """Keep what is to be reported should this process die during the call."""
        self._spool.open(record)

    def close(self, record: Record) -> None:
        """Keep the record, opened before or not, and publish it in the background."""
        self._spool.close(record)
        self._wake.set()

    async def start(self) -> None:
        """Begin to publish, first what dead processes left."""
        self._loop = asyncio.create_task(self._run())

    async def stop(self, grace_seconds: float) -> None:
        """Publish what can be within `grace_seconds`; the rest stays in the spool for the next process."""
        try:
            async with asyncio.timeout(grace_seconds):
                while self._spool.waiting or self._tasks:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.warning("records_left_in_spool", records=self._spool.waiting + len(self._tasks))
        tasks = [task for task in (self._loop, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._spool.release()

    async def _run(self) -> None:
        while True:
            await self._slots.acquire()
            while (waiting := self._spool.take()) is None:
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(UNREADABLE_SECONDS if self._spool.waiting else None):
                        await self._wake.wait()
            task = asyncio.create_task(self._publish(waiting))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()

    async def _publish(self, waiting: Waiting) -> None:
        headers = {"Nats-Msg-Id": waiting.event_id}
        if waiting.recovered:
            headers[REPUBLISHED_HEADER] = "1"
        try:
            self._bus.check_size(waiting.data, headers)
            await self._until_taken(subject(waiting.kind), waiting.data, headers)
            metrics.RECORDS_PUBLISHED.inc()
        except MessageTooLarge as error:
            metrics.SPOOL_DROPPED.inc()
            log.error("record_too_large", size=error.size, limit=error.limit)
        self._spool.acknowledge(waiting.event_id)

    async def _until_taken(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while True:
            if self._bus.connected:  # else each try would be a complaint
                try:
                    await self._js.publish(subject, data, headers=dict(headers))
                    return
                except (NatsError, OSError, TimeoutError) as error:
                    # It may be in the stream: the answer alone may have been lost.
                    headers[REPUBLISHED_HEADER] = "1"
                    reason = str(error) or type(error).__name__
                    self._rarely.warning("publish_failed", error=reason, waiting=self._spool.waiting)
            await asyncio.sleep(backoff.next())
