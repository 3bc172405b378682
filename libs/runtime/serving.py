"""Answers requests from the bus: tasks for what nats-py would call one after another, and their end.

Each request gets a task, bounded, for callbacks are serial; drain forgets such tasks, so they are
awaited; replies echo headers, so they get their own (docs/architecture.md#the-bus).
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import nats
from nats.aio.subscription import Subscription

from libs.runtime import metrics, tracing
from libs.runtime.call import BusContext, from_headers
from libs.runtime.connection import Connection
from libs.runtime.errors import BusError, HandlerFailed, MessageTooLarge
from libs.runtime.logs import Log
from libs.runtime.seams.nats import Received
from libs.schemas.bus.failure import BusFailure
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

log = Log("parley.bus")

_FAILURE_ENCODER = msgspec.msgpack.Encoder()


Handler = Callable[[Req, BusContext], Awaitable[Rep]]


class Serving:
    """The subjects that one process answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, subject: Subject[Req, Rep], handler: Handler[Req, Rep], *, concurrency: int) -> None:
        """Answer `subject` in the consumer's queue group, at most `concurrency` requests at a time.

        Beyond that the answer is busy, at once. Requests that have expired, and those that waited while the
        loop stood still for longer than their time-out, are dropped. A handler's exception becomes `failed`
        for the caller and a log line here; its text stays here.
        """
        running: set[asyncio.Task[None]] = set()

        async def receive(msg: Received) -> None:
            if msg.stalled_seconds > subject.timeout_seconds:
                metrics.BUS_HANDLED.labels(subject.name, "stalled").inc()
                return
            if len(running) >= concurrency:
                metrics.BUS_HANDLED.labels(subject.name, "busy").inc()
                await self._reply_failure(msg, STATUS_BUSY, "busy")
                return
            task = asyncio.create_task(self._handle(subject, handler, msg))
            for tasks in (running, self._tasks):
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        async def offer(msg: Received) -> None:
            if len(running) < concurrency:
                await self._connection.publish(msg.reply, own.encode(), {})

        own = f"{subject.name}.at.{os.urandom(8).hex()}"
        self._subscriptions += [
            await self._connection.subscribe(subject.name, receive, queue=subject.consumer),
            await self._connection.subscribe(own, receive),
            await self._connection.subscribe(subject.name + OFFER_SUFFIX, offer),
        ]
        await self._connection.flush()  # the server knows of it before this worker reports that it is ready

    async def _handle(self, subject: Subject[Req, Rep], handler: Handler[Req, Rep], msg: Received) -> None:
        context = from_headers(msg.headers or {}, msg.read_at, subject.timeout_seconds)
        if context.deadline is not None and time.monotonic() > context.deadline:
            metrics.BUS_HANDLED.labels(subject.name, "expired").inc()
            return
        result = "ok"
        with metrics.BUS_IN_FLIGHT.labels(subject.name).track_inprogress():
            try:
                request = subject.request_decoder.decode(msg.data)
                with tracing.span(subject.name, context.traceparent):
                    reply = await handler(request, context)
                await self._reply(msg, subject.encoder.encode(reply), {})
            except msgspec.DecodeError as error:
                result = STATUS_INVALID
                await self._reply_failure(msg, STATUS_INVALID, str(error))
            except MessageTooLarge as error:
                result = STATUS_TOO_LARGE
                await self._reply_failure(msg, STATUS_TOO_LARGE, str(error))
            except (BusError, HandlerFailed) as error:
                result = STATUS_FAILED
                log.warning("reply_failed", subject=subject.name, request_id=context.request_id, error=str(error))
                await self._reply_failure(msg, STATUS_FAILED, str(error))
            except Exception:  # the process loop: one bad request must not end the worker
                result = STATUS_FAILED
                log.exception("handler_failed", subject=subject.name, request_id=context.request_id)
                await self._reply_failure(msg, STATUS_FAILED, "the worker failed")
        metrics.BUS_HANDLED.labels(subject.name, result).inc()

    async def _reply(self, msg: Received, payload: bytes, headers: dict[str, str]) -> None:
        # Not msg.respond(): it sends the request's headers back.
        await self._connection.publish(msg.reply, payload, headers)

    async def _reply_failure(self, msg: Received, status: str, message: str) -> None:
        payload = _FAILURE_ENCODER.encode(BusFailure(message=message))
        try:
            await self._reply(msg, payload, {STATUS_HEADER: status})
        except BusError as error:
            log.warning("reply_lost", status=status, error=str(error))

    async def drain(self, grace_seconds: float) -> None:
        """Take no more requests, and finish those taken within `grace_seconds`."""
        for subscription in self._subscriptions:
            try:
                await subscription.drain()  # type: ignore[no-untyped-call]
            except (nats.errors.Error, OSError, TimeoutError) as error:
                log.warning("drain_failed", error=type(error).__name__)
        if not self._tasks:
            return
        _, left = await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in left:
            task.cancel()
        if left:
            log.warning("drain_cancelled", requests=len(left))
