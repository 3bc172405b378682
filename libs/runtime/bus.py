"""NATS request/reply for services: `Bus.call` and `Bus.serve`, and what nats-py leaves to its users.

Handled here, once: callbacks are serial, so each request gets a task, bounded; drain forgets such
tasks, so they are awaited; the client checks payloads without headers, so sizes are checked before a
publish; calls in flight outlive their connection, so they are failed; replies echo headers, so they
get their own; a closed connection never comes back, so it is fatal (infrastructure reference 1.2, 1.3).
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import nats
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext

from libs.runtime import metrics, tracing
from libs.runtime.errors import (
    BusDown,
    BusError,
    CallTimeout,
    MessageTooLarge,
    NoWorkers,
    RequestInvalid,
    StartError,
    WorkerBusy,
    WorkerFailed,
)
from libs.runtime.logs import Log
from libs.schemas.bus import BusFailure
from libs.schemas.config import Nats
from libs.schemas.subjects import (
    DEADLINE_HEADER,
    HEADER_ROOM,
    MAX_MESSAGE_BYTES,
    REQUEST_ID_HEADER,
    STATUS_BUSY,
    STATUS_FAILED,
    STATUS_HEADER,
    STATUS_INVALID,
    TENANT_HEADER,
    TRACEPARENT_HEADER,
    Subject,
)

Req = TypeVar("Req")
Rep = TypeVar("Rep")

RETRY_DELAYS_SECONDS = (0.05, 0.15, 0.3)  # between tries that found no worker; the last repeats
DOWN_PATIENCE_SECONDS = 2.0  # how long a call waits for a lost connection to come back
FLUSH_SECONDS = 2  # a publish into a dying connection waits for ever without
OFFER_SUFFIX = ".offer"  # asked of all workers after a time-out; those with room answer
OFFER_SECONDS = 1.0
_NO_RESPONDERS = "503"

log = Log("parley.bus")

_FAILURES: dict[str, type[BusError]] = {
    STATUS_BUSY: WorkerBusy,
    STATUS_INVALID: RequestInvalid,
    STATUS_FAILED: WorkerFailed,
}
_FAILURE_ENCODER = msgspec.msgpack.Encoder()
_FAILURE_DECODER = msgspec.msgpack.Decoder(BusFailure)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What travels beside a request: whose it is, until when it counts, which trace it belongs to.

    `deadline` in Unix milliseconds; 0 means the subject's own time-out alone.
    """

    tenant: str = ""
    request_id: str = ""
    traceparent: str = ""
    deadline: int = 0


Handler = Callable[[Req, Call], Awaitable[Rep]]


class Bus:
    """One connection to NATS. Made by `connect`; not usable after `drain`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = asyncio.Event()  # set when the connection is gone for good
        self._connected = asyncio.Event()
        self._pending: dict[str, asyncio.Future[Msg]] = {}
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._counter = 0
        self._inbox = ""
        self._nc: Client = Client()
        self._draining = False
        self._restored: list[Callable[[], Awaitable[None]]] = []

    @classmethod
    async def connect(cls, settings: Nats, name: str) -> "Bus":
        """Connect, or raise StartError within `settings.connect_timeout_seconds`."""
        bus = cls(name)
        last_error = "no answer"

        async def on_error(error: Exception) -> None:
            nonlocal last_error
            last_error = str(error) or type(error).__name__
            if bus._connected.is_set():
                log.warning("bus_error", error=last_error)

        connecting = nats.connect(
            settings.url,
            name=f"parley-{name}",
            error_cb=on_error,
            disconnected_cb=bus._on_disconnected,
            reconnected_cb=bus._on_reconnected,
            closed_cb=bus._on_closed,
            ping_interval=5,
            max_outstanding_pings=2,
            reconnect_time_wait=0.25,
            max_reconnect_attempts=-1,
            connect_timeout=2,
            flush_timeout=FLUSH_SECONDS,
        )
        try:
            # Unlimited reconnects also loop on a wrong credential, inside connect itself.
            bus._nc = await asyncio.wait_for(connecting, settings.connect_timeout_seconds)
        except (TimeoutError, OSError, nats.errors.Error) as error:
            reason = last_error if isinstance(error, TimeoutError) else str(error)
            raise StartError(f"no connection to NATS at {settings.url}: {reason}") from None
        bus._inbox = f"_INBOX.{name}.{os.urandom(12).hex()}"
        await bus._nc.subscribe(f"{bus._inbox}.*", cb=bus._on_reply)
        bus._connected.set()
        return bus

    # -- state ------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the connection stands at this moment, as far as the client knows."""
        return self._connected.is_set()

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

    async def _on_disconnected(self) -> None:
        if self._draining or not self._connected.is_set():
            return
        self._connected.clear()
        metrics.BUS_DISCONNECTS.inc()
        log.warning("bus_disconnected", pending_calls=len(self._pending))
        for future in self._pending.values():
            if not future.done():
                future.set_exception(BusDown("the connection to NATS broke during the call"))

    async def _on_reconnected(self) -> None:
        log.info("bus_reconnected", server=str(self._nc.connected_url.netloc if self._nc.connected_url else ""))
        self._connected.set()
        for restore in self._restored:
            task = asyncio.create_task(self._restore(restore))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _restore(self, restore: Callable[[], Awaitable[None]]) -> None:
        try:
            await restore()
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            log.error("restore_failed", error=type(error).__name__)

    async def _on_closed(self) -> None:
        self._connected.clear()
        if not self._draining:
            log.error("bus_closed")
        self.closed.set()

    def on_reconnect(self, restore: Callable[[], Awaitable[None]]) -> None:
        """Have `restore` run after each reconnect: the server may have come back with an empty store."""
        self._restored.append(restore)

    # -- calling ----------------------------------------------------------------------------------

    async def call(self, subject: Subject[Req, Rep], request: Req, call: Call) -> Rep:
        """Send `request` and return the reply, with the subject's retries, before `call.deadline`.

        Raises BusDown, NoWorkers, WorkerBusy, CallTimeout, WorkerFailed, RequestInvalid or
        MessageTooLarge.
        """
        started = time.monotonic()
        result = "ok"
        try:
            payload = subject.encoder.encode(request)
            msg = await self._call_with_retries(subject, payload, call)
            return subject.reply_decoder.decode(msg.data)
        except BusError as error:
            result = type(error).__name__
            raise
        finally:
            metrics.BUS_CALLS.labels(subject.name, result).inc()
            metrics.BUS_CALL_SECONDS.labels(subject.name).observe(time.monotonic() - started)

    async def _call_with_retries(self, subject: Subject[Any, Any], payload: bytes, call: Call) -> Msg:
        started = time.monotonic()
        tries, at = 0, subject.name
        while True:
            try:
                return await self._try(subject, at, payload, call)
            except CallTimeout:
                if at != subject.name or not subject.idempotent:
                    raise
                at = await self._offer(subject)
            except (NoWorkers, WorkerBusy, BusDown) as error:
                if isinstance(error, BusDown) and not subject.idempotent:
                    raise
                delay = RETRY_DELAYS_SECONDS[min(tries, len(RETRY_DELAYS_SECONDS) - 1)]
                patience = DOWN_PATIENCE_SECONDS if isinstance(error, BusDown) else subject.patience_seconds
                if time.monotonic() - started + delay > patience:
                    raise
                tries += 1
                await asyncio.sleep(delay)

    async def _offer(self, subject: Subject[Any, Any]) -> str:
        """Return the own subject of a worker that is alive: a queue group might pick the frozen one again."""
        msg = await self._request(subject.name + OFFER_SUFFIX, b"", {}, OFFER_SECONDS)
        return msg.data.decode()

    async def _try(self, subject: Subject[Any, Any], at: str, payload: bytes, call: Call) -> Msg:
        timeout = subject.timeout_seconds
        if call.deadline:
            timeout = min(timeout, call.deadline / 1000 - time.time())
            if timeout <= 0:
                raise CallTimeout(f"{subject.name}: the deadline has passed")
        headers = _headers(call, int((time.time() + timeout) * 1000))
        self.check_size(payload, headers)
        msg = await self._request(at, payload, headers, timeout)
        status = (msg.headers or {}).get(STATUS_HEADER)
        if status is not None:
            raise _FAILURES.get(status, WorkerFailed)(_FAILURE_DECODER.decode(msg.data).message)
        return msg

    async def _request(self, name: str, payload: bytes, headers: dict[str, str], timeout: float) -> Msg:
        if not self.connected:
            await self._await_connection(min(timeout, DOWN_PATIENCE_SECONDS))
        self._counter += 1
        token = str(self._counter)
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._pending[token] = future
        try:
            # Not inside the time-out: nats-py swallows a cancellation that meets it in a flush.
            await self._publish(name, payload, headers, reply=f"{self._inbox}.{token}")
            async with asyncio.timeout(timeout):
                msg = await future
        except TimeoutError:
            raise CallTimeout(f"{name}: no reply within {timeout:.2f} s") from None
        finally:
            del self._pending[token]
        if not msg.data and (msg.headers or {}).get("Status") == _NO_RESPONDERS:
            raise NoWorkers(f"{name}: nobody serves it")
        return msg

    async def _await_connection(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._connected.wait()
        except TimeoutError:
            raise BusDown("no connection to NATS") from None

    async def _publish(self, subject: str, payload: bytes, headers: dict[str, str], reply: str = "") -> None:
        try:
            await self._nc.publish(subject, payload, reply=reply, headers=headers)
        except (nats.errors.Error, OSError) as error:
            raise BusDown(f"publish failed: {type(error).__name__}") from None

    async def _on_reply(self, msg: Msg) -> None:
        future = self._pending.get(msg.subject.rpartition(".")[2])
        if future is not None and not future.done():
            future.set_result(msg)

    # -- serving ----------------------------------------------------------------------------------

    async def serve(self, subject: Subject[Req, Rep], handler: Handler[Req, Rep], *, concurrency: int) -> None:
        """Answer `subject` in the consumer's queue group, at most `concurrency` requests at a time.

        Beyond that the answer is busy, at once. Expired requests are dropped. A handler's exception
        becomes `failed` for the caller and a log line here; its text stays here.
        """
        running: set[asyncio.Task[None]] = set()

        async def receive(msg: Msg) -> None:
            if len(running) >= concurrency:
                metrics.BUS_HANDLED.labels(subject.name, "busy").inc()
                await self._reply_failure(msg, STATUS_BUSY, "busy")
                return
            task = asyncio.create_task(self._handle(subject, handler, msg))
            for tasks in (running, self._tasks):
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        async def offer(msg: Msg) -> None:
            if len(running) < concurrency:
                await self._publish(msg.reply, own.encode(), {})

        own = f"{subject.name}.at.{os.urandom(8).hex()}"
        self._subscriptions += [
            await self._nc.subscribe(subject.name, queue=subject.consumer, cb=receive),
            await self._nc.subscribe(own, cb=receive),
            await self._nc.subscribe(subject.name + OFFER_SUFFIX, cb=offer),
        ]
        await self._nc.flush()  # the server knows of it before anybody is told that this worker is ready

    async def _handle(self, subject: Subject[Req, Rep], handler: Handler[Req, Rep], msg: Msg) -> None:
        call = _call(msg.headers or {})
        if call.deadline and time.time() * 1000 > call.deadline:
            metrics.BUS_HANDLED.labels(subject.name, "expired").inc()
            return
        result = "ok"
        with metrics.BUS_IN_FLIGHT.labels(subject.name).track_inprogress():
            try:
                request = subject.request_decoder.decode(msg.data)
                with tracing.span(subject.name, call.traceparent):
                    reply = await handler(request, call)
                await self._reply(msg, subject.encoder.encode(reply), {})
            except msgspec.DecodeError as error:
                result = STATUS_INVALID
                await self._reply_failure(msg, STATUS_INVALID, str(error))
            except BusError as error:
                result = STATUS_FAILED
                log.warning("reply_failed", subject=subject.name, request_id=call.request_id, error=str(error))
                await self._reply_failure(msg, STATUS_FAILED, str(error))
            except Exception:  # the process loop: one bad request must not end the worker
                result = STATUS_FAILED
                log.exception("handler_failed", subject=subject.name, request_id=call.request_id)
                await self._reply_failure(msg, STATUS_FAILED, "the worker failed")
        metrics.BUS_HANDLED.labels(subject.name, result).inc()

    async def _reply(self, msg: Msg, payload: bytes, headers: dict[str, str]) -> None:
        # Not msg.respond(): it sends the request's headers back.
        self.check_size(payload, headers)
        await self._publish(msg.reply, payload, headers)

    async def _reply_failure(self, msg: Msg, status: str, message: str) -> None:
        payload = _FAILURE_ENCODER.encode(BusFailure(message=message))
        try:
            await self._reply(msg, payload, {STATUS_HEADER: status})
        except BusError as error:
            log.warning("reply_lost", status=status, error=str(error))

    # -- the end ----------------------------------------------------------------------------------

    async def drain(self, grace_seconds: float) -> None:
        """Take no more requests, finish those taken within `grace_seconds`, then close."""
        self._draining = True
        for subscription in self._subscriptions:
            try:
                await subscription.drain()  # type: ignore[no-untyped-call]
            except (nats.errors.Error, OSError, TimeoutError) as error:
                log.warning("drain_failed", error=type(error).__name__)
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=grace_seconds)
            for task in left:
                task.cancel()
            if left:
                log.warning("drain_cancelled", requests=len(left))
        if self._nc.is_closed:
            return
        try:
            await asyncio.wait_for(self._nc.drain() if self.connected else self._nc.close(), 5)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            log.warning("close_failed", error=type(error).__name__)


def _headers(call: Call, deadline: int) -> dict[str, str]:
    headers = {DEADLINE_HEADER: str(deadline), TENANT_HEADER: call.tenant, REQUEST_ID_HEADER: call.request_id}
    traceparent = tracing.current(call.traceparent)
    if traceparent:
        headers[TRACEPARENT_HEADER] = traceparent
    return headers


def _call(headers: dict[str, str]) -> Call:
    deadline = headers.get(DEADLINE_HEADER, "")
    return Call(
        tenant=headers.get(TENANT_HEADER, ""),
        request_id=headers.get(REQUEST_ID_HEADER, ""),
        traceparent=headers.get(TRACEPARENT_HEADER, ""),
        deadline=int(deadline) if deadline.isdigit() else 0,
    )
