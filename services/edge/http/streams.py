"""Watches all live answers from one place, once a second, so that no event pays for a timer.

Sends `: keep-alive` after silence, ends answers whose upstream fell silent or whose client stopped
reading, and ends all of them when the grace time of a shutdown is over.
"""

import asyncio
import time
from contextlib import suppress

from libs.runtime import metrics
from libs.schemas.config import Edge
from libs.translate.answer.stream import KEEPALIVE_FRAME
from services.edge.http.exchange import Exchange

TICK_SECONDS = 1.0


class Streams:
    """The registry of live streamed answers."""

    def __init__(self, settings: Edge) -> None:
        self._settings = settings
        self._live: dict[Exchange, bool] = {}  # whether each is an event stream of ours
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._live)

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Cease to watch."""
        if self._task is not None:
            self._task.cancel()

    def add(self, exchange: Exchange, *, streamed: bool) -> None:
        """Watch an answer whose upstream call has begun; comments keep alive one that the client wants `streamed`."""
        exchange.note_read()
        self._live[exchange] = streamed
        metrics.STREAMS.set(len(self._live))

    def remove(self, exchange: Exchange) -> None:
        """Watch it no more."""
        self._live.pop(exchange, None)
        metrics.STREAMS.set(len(self._live))

    def abort_all(self) -> None:
        """End every live answer, each with an error frame: the process is about to go."""
        for exchange in list(self._live):
            exchange.abort("shutdown")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for exchange, streamed in list(self._live.items()):
                await self._look(exchange, now, streamed=streamed)

    async def _look(self, exchange: Exchange, now: float, *, streamed: bool) -> None:
        if exchange.is_unread:
            if now - max(exchange.last_write, exchange.last_read) > self._settings.write_timeout_seconds:
                exchange.abort("reader_stalled")
        elif self._is_overdue(exchange, now, streamed=streamed):
            exchange.abort("upstream_idle")
        elif streamed and now - exchange.last_write >= self._settings.keepalive_seconds:
            await self._keep_alive(exchange)

    def _is_overdue(self, exchange: Exchange, now: float, *, streamed: bool) -> bool:
        if streamed and now - exchange.last_read > self._settings.idle_timeout_seconds:
            return True
        return exchange.is_unsent and now - exchange.started > self._first_output_seconds(exchange)

    def _first_output_seconds(self, exchange: Exchange) -> float:
        """How long an answer may take to begin: as long as the client waits, but no longer than we do."""
        ours = self._settings.first_byte_timeout_seconds
        return min(ours, exchange.patience_seconds or ours)

    async def _keep_alive(self, exchange: Exchange) -> None:
        # Between two frames only: a comment is a frame of its own, and nothing is unread here. A client that reads
        # nothing is not waited for: its `write` would hold up all the others. What was written stays unread.
        if exchange.is_unsent:
            await exchange.start_stream()
        if exchange.is_streaming:
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await exchange.write(KEEPALIVE_FRAME)
