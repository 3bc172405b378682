"""What a service has of the bus: `call` asks another service, `serve` answers, `drain` ends both.

A call carries deadline, tenant, request id and trace context in its headers, and is tried again as its
subject says. Calls in flight outlive a lost connection in nats-py, so they are failed here.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from libs.runtime import metrics
from libs.runtime.backoff import Backoff
from libs.runtime.call import BusContext, to_headers
from libs.runtime.connection import Connection
from libs.runtime.errors import (
    BusDown,
    BusError,
    CallTimeout,
    NoWorkers,
    ReplyTooLarge,
    RequestInvalid,
    WorkerBusy,
    WorkerFailed,
)
from libs.runtime.serving import Handler, Serving
from libs.schemas.bus.failure import BusFailure
from libs.schemas.config import Nats
from libs.schemas.subjects import (
    OFFER_SUFFIX,
    STATUS_BUSY,
    STATUS_FAILED,
    STATUS_HEADER,
    STATUS_INVALID,
    STATUS_TOO_LARGE,
    Subject,
)

Req = TypeVar("Req")
Rep = TypeVar("Rep")

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.05, 0.3  # between tries that found no worker
DOWN_PATIENCE_SECONDS = 2.0  # how long a call waits for a lost connection to come back
OFFER_SECONDS = 1.0
_NO_RESPONDERS = "503"

_FAILURES: dict[str, type[BusError]] = {
    STATUS_BUSY: WorkerBusy,
    STATUS_INVALID: RequestInvalid,
    STATUS_FAILED: WorkerFailed,
    STATUS_TOO_LARGE: ReplyTooLarge,
}
_FAILURE_DECODER = msgspec.msgpack.Decoder(BusFailure)


class Bus:
    """A service's side of the bus. Made by `connect`; not usable after `drain`."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._serving = Serving(connection)
        self._pending: dict[str, asyncio.Future[Msg]] = {}
        self._counter = 0
        self._inbox = f"_INBOX.{name}.{os.urandom(12).hex()}"
        connection.lost.append(self._fail_pending)

    @classmethod
    async def connect(cls, settings: Nats, name: str) -> "Bus":
        """Connect, or raise StartError within `settings.connect_timeout_seconds`."""
        connection = await Connection.open(settings, name)
        bus = cls(connection, name)
        await connection.subscribe(f"{bus._inbox}.*", bus._on_reply)
        return bus

    # -- the connection -----------------------------------------------------------------------------

    @property
    def closed(self) -> asyncio.Event:
        """Set when the connection is gone for good: the process must end, and start anew."""
        return self._connection.closed

    @property
    def connected(self) -> bool:
        """Whether the connection stands at this moment, as far as the client knows."""
        return self._connection.connected

    async def alive(self, timeout_seconds: float = 2.0) -> bool:
        """Whether the server answers."""
        return await self._connection.alive(timeout_seconds)

    def jetstream(self, timeout_seconds: float = 5.0) -> JetStreamContext:
        """Return a JetStream context on this connection."""
        return self._connection.jetstream(timeout_seconds)

    def message_limit(self) -> int:
        """Largest message in bytes, payload and headers, that may be published."""
        return self._connection.message_limit()

    def check_size(self, payload: bytes, headers: dict[str, str]) -> None:
        """Raise MessageTooLarge for a message that the bus does not carry."""
        self._connection.check_size(payload, headers)

    def on_reconnect(self, restore: Callable[[], Awaitable[None]]) -> None:
        """Have `restore` run after each reconnect: the server may have come back with an empty store."""
        self._connection.on_reconnect(restore)

    def on_lost(self, notify: Callable[[], None]) -> None:
        """Have `notify` called whenever the connection breaks."""
        self._connection.lost.append(notify)

    # -- messages to all ----------------------------------------------------------------------------

    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Send a message to all who listen. Raises MessageTooLarge, BusDown."""
        await self._connection.publish(subject, payload, {}, reply=reply)

    async def listen(self, subject: str, receive: Callable[[Msg], Awaitable[None]]) -> None:
        """Have `receive` called for each message on `subject`, one after another; in every process that listens."""
        await self._connection.subscribe(subject, receive)
        await self._connection.flush()

    # -- serving ------------------------------------------------------------------------------------

    async def serve(self, subject: Subject[Req, Rep], handler: Handler[Req, Rep], *, concurrency: int) -> None:
        """Answer `subject`; see `Serving.serve`."""
        await self._serving.serve(subject, handler, concurrency=concurrency)

    async def drain(self, grace_seconds: float) -> None:
        """Take no more requests, finish those taken within `grace_seconds`, then close."""
        self._connection.ending()
        await self._serving.drain(grace_seconds)
        await self._connection.close()

    # -- calling ------------------------------------------------------------------------------------

    async def call(self, subject: Subject[Req, Rep], request: Req, context: BusContext) -> Rep:
        """Send `request` and return the reply, with the subject's retries, before `call.deadline`.

        Raises BusDown, NoWorkers, WorkerBusy, CallTimeout, WorkerFailed, RequestInvalid or
        MessageTooLarge, or ReplyTooLarge for what a worker could not answer in one message.
        """
        started = time.monotonic()
        result = "ok"
        try:
            payload = subject.encoder.encode(request)
            msg = await self._call_with_retries(subject, payload, context)
            return subject.reply_decoder.decode(msg.data)
        except BusError as error:
            result = type(error).__name__
            raise
        finally:
            metrics.BUS_CALLS.labels(subject.name, result).inc()
            metrics.BUS_CALL_SECONDS.labels(subject.name).observe(time.monotonic() - started)

    async def _call_with_retries(self, subject: Subject[Any, Any], payload: bytes, context: BusContext) -> Msg:
        started = time.monotonic()
        at, backoff = subject.name, Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while True:
            try:
                return await self._try(subject, at, payload, context)
            except CallTimeout:
                passed = context.deadline is not None and time.monotonic() >= context.deadline
                if at != subject.name or not subject.idempotent or passed:
                    raise
                at = await self._offer(subject)
            except (NoWorkers, WorkerBusy, BusDown) as error:
                if isinstance(error, BusDown) and not subject.idempotent:
                    raise
                delay = backoff.next()
                patience = DOWN_PATIENCE_SECONDS if isinstance(error, BusDown) else subject.patience_seconds
                if time.monotonic() - started + delay > patience:
                    raise
                await asyncio.sleep(delay)

    async def _offer(self, subject: Subject[Any, Any]) -> str:
        """Return the own subject of a worker that is alive: a queue group might pick the frozen one again."""
        await self._await_connected(OFFER_SECONDS)
        msg = await self._request(subject.name + OFFER_SUFFIX, b"", {}, OFFER_SECONDS)
        return msg.data.decode()

    async def _try(self, subject: Subject[Any, Any], at: str, payload: bytes, context: BusContext) -> Msg:
        timeout = subject.timeout_seconds
        await self._await_connected(timeout)
        if context.deadline is not None:
            timeout = min(timeout, context.deadline - time.monotonic())
            if timeout <= 0:
                raise CallTimeout(f"{subject.name}: the deadline has passed")
        msg = await self._request(at, payload, to_headers(context, timeout), timeout)
        status = (msg.headers or {}).get(STATUS_HEADER)
        if status is not None:
            raise _FAILURES.get(status, WorkerFailed)(_FAILURE_DECODER.decode(msg.data).message)
        return msg

    async def _await_connected(self, timeout: float) -> None:
        if not self.connected:
            await self._connection.await_connected(min(timeout, DOWN_PATIENCE_SECONDS))

    async def _request(self, name: str, payload: bytes, headers: dict[str, str], timeout: float) -> Msg:
        ends = asyncio.get_running_loop().time() + timeout
        self._counter += 1
        token = str(self._counter)
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._pending[token] = future
        try:
            # Not inside the time-out: nats-py swallows a cancellation that meets it in a flush.
            await self._connection.publish(name, payload, headers, reply=f"{self._inbox}.{token}")
            async with asyncio.timeout_at(ends):
                msg = await future
        except TimeoutError:
            raise CallTimeout(f"{name}: no reply within {timeout:.2f} s") from None
        finally:
            del self._pending[token]
        if not msg.data and (msg.headers or {}).get("Status") == _NO_RESPONDERS:
            raise NoWorkers(f"{name}: nobody serves it")
        return msg

    def _fail_pending(self) -> None:
        for future in self._pending.values():
            if not future.done():
                future.set_exception(BusDown("the connection to NATS broke during the call"))

    async def _on_reply(self, msg: Msg) -> None:
        future = self._pending.get(msg.subject.rpartition(".")[2])
        if future is not None and not future.done():
            future.set_result(msg)
