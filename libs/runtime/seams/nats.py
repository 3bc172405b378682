"""All that relies on private parts of nats-py: a client with three things more, and one request of JetStream's API.

The client sends nothing late, stamps what it reads, and knows when it stood still. A lost connection makes nats-py
keep what is published and send it after the reconnect: by then nobody waits for it. A message may lie in a queue
between the socket and its handler, so it carries the time of its read. And what lay in the socket, or at the server,
while the event loop stood still is older than it looks: it carries for how long, until the server has answered a PING
that was sent after the loop moved again.

What is relied on, each tested against the real library in tests/contract/test_seams.py:

- a client that has a true `_transport` when `_connect_to_server` is called uses it, now and after each reconnect, and
  reads through the transport's `_io_reader`;
- `_build_message` makes every message that a subscription is handed;
- `_pending` and `_pending_data_size` are all that was published and not written, and `_attempt_reconnect` begins each
  search for a new connection;
- each PONG completes the oldest future of `_pongs`;
- `_close` ends every client, however it ends;
- a JetStream context's `_api_request` returns the decoded reply, or raises the error that is in it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any
from urllib.parse import ParseResult

import msgspec
import nats.errors
from nats.aio.client import PING_PROTO, Client, Srv
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport
from nats.js import JetStreamContext

from libs.runtime.pulse import Pulse

CHECKED = "2.16.0"  # the version of nats-py for which all this was last looked at


@dataclass
class Received(Msg):
    """A message, with the monotonic time of its read.

    `stalled_seconds` is how long the loop stood still before that, 0 for what was sent after it moved again.
    """

    read_at: float = 0.0
    stalled_seconds: float = 0.0


class _Reader(asyncio.StreamReader):
    """Knows when each of its bytes came from the socket; `read_at` is the time of the last that were taken."""

    def __init__(self, limit: int, pulse: Pulse) -> None:
        super().__init__(limit=limit)
        self._pulse = pulse
        self._pieces: deque[tuple[int, float]] = deque()  # bytes not yet taken, time of their read
        self.read_at = time.monotonic()

    def feed_data(self, data: Any) -> None:
        self._pieces.append((len(data), self._pulse.feel()))
        super().feed_data(data)

    async def read(self, n: int = -1) -> bytes:
        data = await super().read(n)
        self._took(len(data))
        return data

    async def readline(self) -> bytes:
        data = await super().readline()
        self._took(len(data))
        return data

    def _took(self, size: int) -> None:
        if self._pieces:
            self.read_at = self._pieces[0][1]  # of several, the oldest: nothing counts for longer than it should
        while size and self._pieces:
            left, read_at = self._pieces.popleft()
            if left > size:
                self._pieces.appendleft((left - size, read_at))
            size -= min(left, size)


class _Transport(TcpTransport):
    """A TCP connection, or TLS over it, that is read through `_Reader`."""

    def __init__(self, pulse: Pulse) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._pulse = pulse

    def __bool__(self) -> bool:
        return True  # nats-py puts a transport of its own in the place of one that is not true before it is connected

    @property
    def read_at(self) -> float:
        return self._io_reader.read_at if isinstance(self._io_reader, _Reader) else time.monotonic()

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        loop = asyncio.get_running_loop()
        reader = _Reader(buffer_size, self._pulse)
        protocol = asyncio.StreamReaderProtocol(reader)
        connecting = loop.create_connection(lambda: protocol, uri.hostname or "", uri.port or 0)
        transport, _ = await asyncio.wait_for(connecting, connect_timeout)
        self._bare_io_reader = self._io_reader = reader
        self._bare_io_writer = self._io_writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        assert self._io_writer is not None
        loop = asyncio.get_running_loop()
        reader = _Reader(buffer_size, self._pulse)
        protocol = asyncio.StreamReaderProtocol(reader)
        name = uri if isinstance(uri, str) else uri.hostname
        upgrading = loop.start_tls(self._io_writer.transport, protocol, ssl_context, server_hostname=name)
        transport = await asyncio.wait_for(upgrading, connect_timeout)
        assert transport is not None
        self._io_reader = reader
        self._io_writer = asyncio.StreamWriter(transport, protocol, reader, loop)


class NatsClient(Client):
    """The client of a `Connection`; `on_stall` is called with the seconds of each time that the loop stood still."""

    def __init__(self, on_stall: Callable[[float], None]) -> None:
        super().__init__()
        self._on_stall = on_stall
        self._pulse = Pulse(self._stood_still)
        self._stalled = 0.0
        self._fence: asyncio.Future[bool] | None = None  # done when all that was sent before the loop moved has come

    async def connect(self, *arguments: Any, **options: Any) -> None:
        """See nats-py. From then on the loop is watched."""
        await super().connect(*arguments, **options)
        self._pulse.start()

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """See nats-py. Raises ConnectionReconnectingError while there is no connection."""
        self._require_connection()
        await super().publish(subject, payload, reply, headers)

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,
        old_style: bool = False,
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        """See nats-py. Raises ConnectionReconnectingError while there is no connection."""
        self._require_connection()  # here too: nats-py would forget to drop what waits for the reply
        return await super().request(subject, payload, timeout, old_style, headers)

    def _require_connection(self) -> None:
        if not self.is_connected and not self.is_closed:
            raise nats.errors.ConnectionReconnectingError

    async def _connect_to_server(self, s: Srv) -> None:
        if not self._transport and s.uri.scheme not in ("ws", "wss"):
            self._transport = _Transport(self._pulse)
        await super()._connect_to_server(s)

    async def _attempt_reconnect(self) -> None:
        # What was published and never reached the socket: subscriptions are sent anew, the rest is late.
        self._pending.clear()
        self._pending_data_size = 0
        self._fence = None  # the next connection brings nothing old
        await super()._attempt_reconnect()

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        self._pulse.stop()
        await super()._close(status, do_cbs)

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Received:
        transport = self._transport
        late = self._fence is not None and not self._fence.done()
        return Received(
            _client=self,
            subject=subject.decode(),
            reply=reply.decode(),
            data=data,
            headers=headers,
            _sid=sid,
            read_at=transport.read_at if isinstance(transport, _Transport) else time.monotonic(),
            stalled_seconds=self._stalled if late else 0.0,
        )

    def _stood_still(self, seconds: float) -> None:
        self._on_stall(seconds)
        if not self.is_connected or self._transport is None:
            return
        late = self._fence is not None and not self._fence.done()
        self._stalled = max(seconds, self._stalled) if late else seconds
        # The PONG stands in line behind all that the server held for us.
        self._fence = asyncio.get_running_loop().create_future()
        self._pongs.append(self._fence)
        self._transport.write(PING_PROTO)


async def stream_info(js: JetStreamContext, stream: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return what the server says of a stream; nats-py's own `stream_info` cannot ask for a page of its subjects.

    Raises NotFoundError, APIError.
    """
    query = msgspec.json.encode(request)
    found: dict[str, Any] = await js._api_request(f"$JS.API.STREAM.INFO.{stream}", query, timeout=js._timeout)
    return found
