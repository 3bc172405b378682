"""The life of an instance: stand by, take the lease, open the database, consume, and start over.

Only the active instance has the database open: the embedded engine allows one process per directory.
"""

import asyncio
from contextlib import AsyncExitStack, suppress
from uuid import uuid4

from libs.runtime import metrics
from libs.runtime.backoff import Backoff
from libs.runtime.engines import check_clickhouse
from libs.runtime.jetstream import KeyValue, ensure_bucket
from libs.runtime.logs import Log
from libs.runtime.service import Worker
from libs.schemas.subjects import CURSOR, QUERY
from services.analytics.consumer import Consumer
from services.analytics.lease import Lease, LeaseLost
from services.analytics.query import CONCURRENCY, Queries
from services.analytics.source import NATS_ERRORS, Source
from services.analytics.writer import Writer, WriterError

JETSTREAM_SECONDS = 2.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 5.0

log = Log("parley.analytics")


class Instance:
    """One of those of which one is active; made by `set_up`."""

    def __init__(self, worker: Worker) -> None:
        self._config = worker.config
        self._bus = worker.bus
        self._js = worker.bus.jetstream(JETSTREAM_SECONDS)
        self._queries = Queries(self._config.analytics, worker.bus.message_limit())
        self._owner = uuid4().hex
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._lease: Lease | None = None
        self._consumer: Consumer | None = None
        self._serving = False
        self._backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)

    async def ready(self) -> bool:
        """Whether it stands by, or is active with a database and a cursor that take what they are given."""
        if self._lease is None:
            return False
        if self._consumer is not None:
            return self._consumer.well and self._lease.well
        return self._lease.waiting

    def start(self) -> None:
        """Begin in the background."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finish the batch within the grace period, close the database, give the lease back."""
        self._stop.set()
        if self._task is None:
            return
        if self._consumer is not None:
            await asyncio.wait({self._task}, timeout=self._config.analytics.grace_seconds)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while not self._stop.is_set():
            try:
                await self._term()
                continue
            except LeaseLost as error:
                log.error("lease_lost", reason=str(error))
            except WriterError as error:
                log.error("database_not_opened", error=str(error))
            except NATS_ERRORS as error:
                log.warning("jetstream_away", error=str(error) or type(error).__name__)
            except Exception:  # the process loop: the next term may go better, and standing still never does
                log.exception("term_failed")
            await asyncio.sleep(self._backoff.next())

    async def _term(self) -> None:
        """Hold the lease once: from waiting for it until it is lost or given back."""
        await ensure_bucket(self._js, CURSOR, self._config.nats.replicas)
        lease = Lease(KeyValue(self._js, CURSOR), self._owner, self._config.analytics.lease_seconds)
        self._lease = lease
        await lease.acquire()
        log.info("active", next_seq=lease.cursor.next_seq, pending=lease.cursor.pending)
        # Left in reverse: first the consumer ends, then the database is closed, then the lease given back.
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._resign, lease, asyncio.create_task(lease.keep()))
            writer = Writer(self._config.analytics)
            stack.push_async_callback(self._close, writer)
            await writer.open()
            source = Source(self._js, self._config.nats.replicas)
            stack.push_async_callback(source.close)
            self._consumer = Consumer(self._config.analytics, lease, source, writer)
            await self._serve()
            self._backoff.reset()
            await self._consumer.run(self._stop)

    async def _serve(self) -> None:
        self._queries.enabled = True
        metrics.ACTIVE.set(1)
        if not self._serving:
            await self._bus.serve(QUERY, self._queries.handle, concurrency=CONCURRENCY)
            self._serving = True

    async def _close(self, writer: Writer) -> None:
        self._queries.enabled = False
        self._consumer = None
        metrics.ACTIVE.set(0)
        await writer.close()

    async def _resign(self, lease: Lease, keeper: asyncio.Task[None]) -> None:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper
        try:
            await lease.release()
            log.info("lease_released")
        except (LeaseLost, *NATS_ERRORS) as error:
            log.info("lease_not_released", reason=str(error) or type(error).__name__)


async def set_up(worker: Worker) -> None:
    """Start an instance on `worker`. Raises StartError where it could never open its database."""
    check_clickhouse(worker.config.analytics)
    instance = Instance(worker)
    worker.readiness.add("database", instance.ready)
    worker.before_drain.push_async_callback(instance.stop)
    instance.start()
