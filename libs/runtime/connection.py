"""The connection to NATS that a service's calls and handlers share, with what nats-py leaves open.

The client checks payloads without headers, so sizes are checked before a publish; a lost connection
raises nothing by itself, so Parley tracks it and publishes nothing before it is back; a closed one never
comes back, so it is fatal (docs/architecture.md#the-bus).
"""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable

import nats
import nats.js.errors
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext

from libs.runtime import metrics
from libs.runtime.errors import BusDown, MessageTooLarge, StartError
from libs.runtime.logs import Log
from libs.runtime.seams.nats import NatsClient, Received
from libs.schemas.config import Nats
from libs.schemas.subjects import HEADER_ROOM, MAX_MESSAGE_BYTES

FLUSH_SECONDS = 2  # a publish into a dying connection waits for ever without
CLOSE_SECONDS = 5

Receive = Callable[[Received], Awaitable[None]]

log = Log("parley.bus")


class Connection:
    """One connection. Made by `open`; `closed` is set when it is gone for good."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.lost: list[Callable[[], None]] = []  # called when the connection breaks
        self._connected = asyncio.Event()
        self._nc = NatsClient(self._on_stall)
        self._ending = False
        self._echo = f"_INBOX.echo.{os.urandom(12).hex()}"
        self._echoes: deque[asyncio.Future[None]] = deque()
        self._restores: list[Callable[[], Awaitable[None]]] = []
        self._restoring: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, settings: Nats, name: str) -> "Connection":
        """Connect, or raise StartError within `settings.connect_timeout_seconds`."""
        made = cls()
        last_error = "no answer"

        async def on_error(error: Exception) -> None:
            nonlocal last_error
            last_error = str(error) or type(error).__name__
            if made._connected.is_set():
                log.warning("bus_error", error=last_error)

        connecting = made._nc.connect(
            settings.url,
            name=f"parley-{name}",
            error_cb=on_error,
            disconnected_cb=made._on_disconnected,
            reconnected_cb=made._on_reconnected,
            closed_cb=made._on_closed,
            ping_interval=5,
            max_outstanding_pings=2,
            reconnect_time_wait=0.25,
            max_reconnect_attempts=-1,
            connect_timeout=2,
            flush_timeout=FLUSH_SECONDS,
        )
        try:
            # Unlimited reconnects also loop on a wrong credential, inside connect itself.
            await asyncio.wait_for(connecting, settings.connect_timeout_seconds)
        except (TimeoutError, OSError, nats.errors.Error) as error:
            reason = last_error if isinstance(error, TimeoutError) else str(error)
            raise StartError(f"no connection to NATS at {settings.url}: {reason}") from None
        await made.subscribe(made._echo, made._on_echo)
        made._connected.set()
        return made

    @property
    def connected(self) -> bool:
        """Whether the connection stands at this moment, as far as the client knows."""
        return self._connected.is_set() and self._nc.is_connected

    async def alive(self, timeout_seconds: float = 2.0) -> bool:
        """Ask the server: a client whose read loop died still calls itself connected."""
        if not self.connected:
            return False
        try:
            await asyncio.wait_for(self._nc.flush(timeout=int(timeout_seconds) + 1), timeout_seconds)
        except (TimeoutError, nats.errors.Error, OSError):
            return False
        return True

    def jetstream(self, timeout_seconds: float = 5.0) -> JetStreamContext:
        """Return a JetStream context on this connection."""
        return self._nc.jetstream(timeout=timeout_seconds)

    def message_limit(self) -> int:
        """Largest message in bytes, payload and headers, that may be published."""
        return min(MAX_MESSAGE_BYTES, self._nc.max_payload - HEADER_ROOM)

    def check_size(self, payload: bytes, headers: dict[str, str]) -> None:
        """Raise MessageTooLarge where the server would close the connection."""
        size = len(payload) + sum(len(key) + len(value) + 4 for key, value in headers.items()) + 12
        limit = self.message_limit()
        if size > limit:
            raise MessageTooLarge(size, limit)

    async def subscribe(self, subject: str, receive: Receive, queue: str = "") -> Subscription:
        """Have `receive` called for each message, one after another."""
        return await self._nc.subscribe(subject, queue=queue, cb=receive)  # type: ignore[arg-type]

    async def flush(self) -> None:
        """Return when the server has seen what was sent before. Raises BusDown.

        Not nats-py's own flush: it writes its PING past the commands that wait in its buffer, so that
        the PONG may come before a subscription has even been sent. A message to ourselves waits in line.
        """
        echo: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._echoes.append(echo)
        try:
            await self.publish(self._echo, b"", {})
            async with asyncio.timeout(FLUSH_SECONDS):
                await echo
        except TimeoutError:
            raise BusDown("the server does not answer") from None
        finally:
            echo.cancel()

    async def _on_echo(self, msg: Received) -> None:
        while self._echoes:
            echo = self._echoes.popleft()
            if not echo.done():
                echo.set_result(None)
                return

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str], reply: str = "") -> None:
        """Send a message. Raises MessageTooLarge, BusDown."""
        self.check_size(payload, headers)
        if not self.connected:
            raise BusDown("no connection to NATS")
        try:
            await self._nc.publish(subject, payload, reply=reply, headers=headers)
        except (nats.errors.Error, OSError) as error:
            raise BusDown(f"publish failed: {type(error).__name__}") from None

    async def await_connected(self, timeout: float) -> None:
        """Wait for a lost connection to come back. Raises BusDown after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._connected.wait()
        except TimeoutError:
            raise BusDown("no connection to NATS") from None

    async def close(self) -> None:
        """Send what is pending, then close."""
        if self._nc.is_closed:
            return
        try:
            await asyncio.wait_for(self._nc.drain() if self.connected else self._nc.close(), CLOSE_SECONDS)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            log.warning("close_failed", error=type(error).__name__)

    def ending(self) -> None:
        """From now on, a connection that closes is no accident."""
        self._ending = True

    def on_reconnect(self, restore: Callable[[], Awaitable[None]]) -> None:
        """Have `restore` run after each reconnect: the server may have come back with an empty store."""
        self._restores.append(restore)

    # -- callbacks of the client --------------------------------------------------------------------

    def _on_stall(self, seconds: float) -> None:
        log.warning("loop_stood_still", seconds=round(seconds, 3))

    async def _on_disconnected(self) -> None:
        if self._ending or not self._connected.is_set():
            return
        self._connected.clear()
        metrics.BUS_DISCONNECTS.inc()
        log.warning("bus_disconnected")
        for notify in self.lost:
            notify()

    async def _on_reconnected(self) -> None:
        url = self._nc.connected_url
        log.info("bus_reconnected", server="" if url is None else f"{url.hostname}:{url.port}")
        self._connected.set()
        for restore in self._restores:
            task = asyncio.create_task(self._restore(restore))
            self._restoring.add(task)
            task.add_done_callback(self._restoring.discard)

    async def _restore(self, restore: Callable[[], Awaitable[None]]) -> None:
        try:
            await restore()
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            log.error("restore_failed", error=type(error).__name__)

    async def _on_closed(self) -> None:
        self._connected.clear()
        if not self._ending:
            log.error("bus_closed")
        self.closed.set()
