"""Sending a scripted stream over ASGI: unpaced frames joined into few writes, paced ones sent one by one.

Notices a client that leaves, also in the middle of a pause, and says so in the ledger.
"""

import asyncio
from collections.abc import Iterator, Mapping

from starlette.types import Receive, Send

from simulator.http.exchange import Exchange
from simulator.http.steps import Cut, Pause, Step

_JOINED_BYTES = 64 << 10
_LATE_SECONDS = 1.0


class Presence:
    """Whether the client is still there, and pauses that end early when it leaves."""

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._watch = self._loop.create_task(self._until_disconnect(receive))

    async def pause(self, seconds: float) -> None:
        if self.gone:
            return
        self._waiter = waiter = self._loop.create_future()
        timer = self._loop.call_later(seconds, _release, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def close(self) -> None:
        self._watch.cancel()

    async def _until_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        self.gone = True
        if self._waiter is not None:
            _release(self._waiter)


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def send_stream(
    exchange: Exchange,
    steps: Iterator[Step],
    pace: float,
    headers: Mapping[str, str] | None = None,
    joins_writes: bool = True,
) -> None:
    """Send every step, `pace` seconds apart; 0 means as fast as the client reads, in as few writes as fit."""
    named = {"cache-control": "no-cache", **(headers or {})}
    await exchange.start(200, "text/event-stream; charset=utf-8", named)
    presence = Presence(exchange.receive)
    is_joined = pace <= 0 and joins_writes
    writer = _JoiningWriter(exchange.send) if is_joined else _PacedWriter(exchange.send, presence, pace)
    try:
        await _run(exchange, steps, writer, presence)
    finally:
        presence.close()


async def _run(
    exchange: Exchange, steps: Iterator[Step], writer: "_PacedWriter | _JoiningWriter", presence: Presence
) -> None:
    for step in steps:
        if isinstance(step, bytes):
            await writer.write(step)
        elif isinstance(step, Pause):
            await writer.flush()
            await presence.pause(step.seconds)
            writer.shift(step.seconds)
        else:
            await writer.flush()
            _break(exchange, step)
            return
        if presence.gone:
            exchange.entry.disconnected = True
            return
    await writer.flush()
    await exchange.send({"type": "http.response.body", "body": b"", "more_body": False})
    exchange.entry.finished = True


def _break(exchange: Exchange, cut: Cut) -> None:
    """End the connection as scripted. Returning without an end to the body makes the server close it."""
    exchange.entry.finished = True
    if cut.resets:
        exchange.reset()


class _PacedWriter:
    """Every frame is a write of its own, at its own time: one that is late is not waited for."""

    def __init__(self, send: Send, presence: Presence, pace: float) -> None:
        self._send = send
        self._presence = presence
        self._pace = pace
        self._clock = asyncio.get_running_loop().time
        self._due = self._clock()

    async def write(self, frame: bytes) -> None:
        early = self._due - self._clock()
        if self._pace <= 0:
            # The loop gets to send this write before the next one joins it.
            await asyncio.sleep(0)
        elif early > 0:
            await self._presence.pause(early)
        elif early < -_LATE_SECONDS:
            # A reader that stood still gets the rest at the scripted pace, not all at once.
            self._due -= early
        self._due += self._pace
        await self._send({"type": "http.response.body", "body": frame, "more_body": True})

    def shift(self, seconds: float) -> None:
        """A scripted silence is no delay to make up for."""
        self._due += seconds

    async def flush(self) -> None:
        """Nothing is held back: every frame was its own write."""


class _JoiningWriter:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._frames: list[bytes] = []
        self._size = 0

    async def write(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._size += len(frame)
        if self._size >= _JOINED_BYTES:
            await self.flush()
            # A long answer must not keep the other streams, or the news that the client left, waiting.
            await asyncio.sleep(0)

    def shift(self, seconds: float) -> None:
        """Nothing is timed here."""

    async def flush(self) -> None:
        if self._frames:
            await self._send({"type": "http.response.body", "body": b"".join(self._frames), "more_body": True})
            self._frames.clear()
            self._size = 0
