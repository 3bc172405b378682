"""Hands what an upstream sends to a function at once, inside the read, where nothing must be waited for.

Waking a task for each event of each stream costs a turn of the loop and a fifth of the edge's time
(docs/bench). HTTP stays aiohttp's: its protocol only tells when it has parsed a read.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import aiohttp
from aiohttp.client_proto import ResponseHandler

Take = Callable[[bytes], bool]


class _Protocol(ResponseHandler):
    """aiohttp's own protocol, and who is told after each read of it."""

    listener: Callable[[], None] | None = None
    _held = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.listener is not None:
            self.listener()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self.listener is not None:
            self.listener()

    def pause_reading(self) -> None:
        self._held = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp asks for it after every read, paused or not, and then parses nothing once more.
        if self._held:
            self._held = False
            super().resume_reading(resume_parser)


def connector() -> aiohttp.TCPConnector:
    """Return a connector whose answers can be pushed."""
    made = aiohttp.TCPConnector(limit=0, ttl_dns_cache=60)
    made._factory = partial(_make, loop=asyncio.get_running_loop())
    return made


def _make(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _Protocol(loop)


class Pushed:
    """The body of one answer. `take` gets each read, and says whether it is done with it."""

    def __init__(self, answer: aiohttp.ClientResponse, take: Take) -> None:
        self._content = answer.content
        self._take = take
        self._waiter: asyncio.Future[None] | None = None
        self._left = False  # did `take` leave something to do?
        self._draining = False
        connection = answer.connection
        self._protocol = connection.protocol if connection is not None else None  # None: the answer is whole

    async def left(self) -> bool:
        """Wait until `take` leaves something to do; False at the end. Nothing is taken until this is asked again.

        Raises what reading raises.
        """
        self._left = False
        if not isinstance(self._protocol, _Protocol):
            return await self._read()
        while not self._drain() and not self._content.at_eof():
            self._waiter = asyncio.get_running_loop().create_future()
            self._protocol.listener = self._on_read
            try:
                await self._waiter
            finally:
                self._waiter = None
                if self._protocol.listener == self._on_read:  # else the connection serves another answer already
                    self._protocol.listener = None
        return self._left

    async def _read(self) -> bool:
        """The same, one wake-up for each read."""
        async for data in self._content.iter_any():
            if not self._take(data):
                return True
        return False

    def _on_read(self) -> None:
        if self._draining or self._waiter is None or self._waiter.done():
            return
        try:
            ended = self._drain() or self._content.at_eof()
        except Exception as error:  # into the task that waits, not into aiohttp
            self._waiter.set_exception(error)
        else:
            if ended:
                self._waiter.set_result(None)

    def _drain(self) -> bool:
        """Hand over what has come; return whether something is left to do."""
        self._draining = True  # reading may resume the connection, which then reads on within
        try:
            while not self._left and (data := self._content.read_nowait()):
                self._left = not self._take(data)
        finally:
            self._draining = False
        return self._left
