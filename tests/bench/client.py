"""One keep-alive connection of the load generator: sends canned requests, counts what comes back."""

import asyncio
import re
import time
from typing import cast

from tests.bench.answers import TOKEN

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"


class Client(asyncio.Protocol):
    """`events` and `reads` count since the connection was made; `longest_gap` since it was last set to 0."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self.events = self.reads = 0
        self.longest_gap = 0.0
        self._last = 0.0
        self._head: bytes | None = b""
        self._tail = b""
        self._left = -1  # bytes of the body that are to come; -1 for a chunked one
        loop = asyncio.get_running_loop()
        self._first: asyncio.Future[float] = loop.create_future()
        self._done: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def connect(cls, port: int) -> "Client":
        """Connect to a port of the loopback."""
        _, client = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own, and no subclass

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self._first, self._done):
            if not future.done():
                future.cancel()

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        self._transport.abort()

    def send(self, request: bytes) -> "asyncio.Future[float]":
        """Send a request; the result comes with the first token: when that was."""
        loop = asyncio.get_running_loop()
        self._head, self._tail, self._left = b"", b"", -1
        self._first, self._done = loop.create_future(), loop.create_future()
        self._transport.write(request)
        return self._first

    async def call(self, request: bytes) -> float:
        """Send a request, read its answer to the end, and return the seconds until the first token."""
        started = time.perf_counter()
        first = self.send(request)
        await self._done
        return first.result() - started

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self.longest_gap = max(self.longest_gap, now - self._last if self._last else 0.0)
        self._last = now
        self.reads += 1
        self.events += data.count(b"\n\n")
        if not self._first.done() and TOKEN in self._tail + data:
            self._first.set_result(now)
        if self._head is not None:
            data = self._read_head(self._head + data)
        if self._left >= 0:
            self._left -= len(data)
        self._tail = (self._tail + data)[-len(TOKEN) :]
        if self._left == 0 or (self._left < 0 and self._tail.endswith(_LAST_CHUNK)):
            self._done.set_result(None)

    def _read_head(self, data: bytes) -> bytes:
        """Return what follows the head, once that is whole."""
        head, end, rest = data.partition(_HEAD_END)
        if not end:
            self._head = data
            return b""
        assert head.startswith(b"HTTP/1.1 200"), data
        self._head = None
        length = _LENGTH.search(head + b"\r\n")
        self._left = int(length[1]) if length is not None else -1
        return rest
