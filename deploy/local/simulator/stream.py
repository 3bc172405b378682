"""Sending a scripted stream over ASGI: unpaced frames joined into few writes, paced ones sent one by one.

Notices a client that leaves, also in the middle of a pause, and says so in the ledger.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.types import Receive, Send

from deploy.local.simulator.exchange import Exchange

_JOINED_BYTES = 64 << 10


@dataclass(frozen=True)
class Pause:
    """A step of a stream: silence for so long."""

    seconds: float


@dataclass(frozen=True)
class Cut:
    """A step of a stream: the connection is dropped here, with the body unfinished."""


Step = bytes | Pause | Cut
CUT = Cut()


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


async def send_stream(exchange: Exchange, steps: Iterator[Step], pace: float) -> None:
    """Send every step, `pace` seconds apart; 0 means as fast as the client reads."""
    await exchange.start(200, "text/event-stream; charset=utf-8", {"cache-control": "no-cache"})
    presence = Presence(exchange.receive)
    writer = _PacedWriter(exchange.send, presence, pace) if pace > 0 else _JoiningWriter(exchange.send)
    try:
        await _run(exchange, steps, writer, presence)
    finally:
        presence.close()


async def _run(
    exchange: Exchange, steps: Iterator[Step], writer: "_PacedWriter | _JoiningWriter", presence: Presence
) -> None:
    for step in steps:
        if type(step) is bytes:
            await writer.write(step)
        elif type(step) is Pause:
            await writer.flush()
            await presence.pause(step.seconds)
        else:
            await writer.flush()
            exchange.entry.finished = True
            return
        if presence.gone:
            exchange.entry.disconnected = True
            return
    await writer.flush()
    await exchange.send({"type": "http.response.body", "body": b"", "more_body": False})
    exchange.entry.finished = True


class _PacedWriter:
    def __init__(self, send: Send, presence: Presence, pace: float) -> None:
        self._send = send
        self._presence = presence
        self._pace = pace
        self._first = True

    async def write(self, frame: bytes) -> None:
        if self._first:
            self._first = False
        else:
            await self._presence.pause(self._pace)
        await self._send({"type": "http.response.body", "body": frame, "more_body": True})

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

    async def flush(self) -> None:
        if self._frames:
            await self._send({"type": "http.response.body", "body": b"".join(self._frames), "more_body": True})
            self._frames.clear()
            self._size = 0
