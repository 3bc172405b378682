"""Requests of the edge to the state service.

Only what a client asked for by itself can fail for want of that service; all else goes on without.
"""

import asyncio
import time
from typing import Any, TypeVar

from libs.runtime import metrics
from libs.runtime.call import BusContext
from libs.runtime.errors import BusError, CallTimeout, MessageTooLarge, RequestInvalid
from libs.runtime.logs import Log
from libs.schemas.bus.state import CommitRequest, DeleteRequest, StateStatus, StateStatusRequest
from libs.schemas.subjects import COMMIT, DELETE, STATE_STATUS, Subject
from services.edge.edge import Edge
from services.edge.errors import StateUnavailable
from services.edge.served import ServedRequest

Req = TypeVar("Req")
Rep = TypeVar("Rep")

OWNER_SECONDS = 1.0  # a relayed request waits no longer for the owner of its id

log = Log("parley.edge")


async def ask(served: ServedRequest, subject: Subject[Req, Rep], request: Req) -> Rep:
    """Return the reply to a client's own question. Raises StateUnavailable."""
    try:
        return await served.edge.bus.call(subject, request, served.bus_call())
    except BusError as error:
        log.warning("state_unavailable", request_id=served.request_id, error=type(error).__name__)
        raise StateUnavailable from None


async def commit(edge: Edge, request: CommitRequest, context: BusContext) -> str:
    """Have a turn kept; return what became of it: `ok`, `later`, why it was refused, or `failed`."""
    expires = int(time.time()) + edge.config.retention.items_ttl_seconds
    try:
        reply = await deliver(edge, COMMIT, request, context, conversation=request.turn.conversation, expires=expires)
        result = "later" if reply is None else reply.refused or "ok"
    except BusError:
        result = "failed"
    metrics.COMMITS.labels(result).inc()
    return result


async def deliver(
    edge: Edge, subject: Subject[Req, Rep], request: Req, context: BusContext, *, conversation: str | None, expires: int
) -> Rep | None:
    """Send what must not be lost; wait for the reply for `edge.commit_timeout_seconds` at most.

    None means that it is on disk by now and tried until it is in, or `expires`, in Unix seconds, has come.
    Raises BusError where it is neither in nor kept.
    """
    begun = time.monotonic()
    sending = edge.spawn(edge.bus.call(subject, request, context))
    sending.add_done_callback(_looked_at)
    await asyncio.wait({sending}, timeout=edge.config.edge.commit_timeout_seconds)
    error = sending.exception() if sending.done() else CallTimeout(f"{subject.name}: no reply in time")
    if error is None:
        reply: Rep = sending.result()
        return reply
    kept = not isinstance(error, RequestInvalid | MessageTooLarge) and edge.outbox.keep(
        subject, request, context, conversation=conversation, expires=expires, begun=begun, sending=sending
    )
    log.warning(
        "not_delivered", request_id=context.request_id, subject=subject.name, error=type(error).__name__, kept=kept
    )
    if kept:
        return None
    raise error


def _looked_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def delete_turns(served: ServedRequest, entries: list[str]) -> None:
    """Have turns dropped that the upstream cannot continue any more; not waited for."""
    if entries:
        request = DeleteRequest(turn_keys=entries)
        served.edge.spawn(_send_later(served.edge, DELETE, request, served.bus_call(), "delete_failed"))


async def _send_later(edge: Edge, subject: Subject[Any, Any], request: Any, context: BusContext, failure: str) -> None:
    try:
        await edge.bus.call(subject, request, context)
    except BusError as error:
        log.warning(failure, request_id=context.request_id, error=type(error).__name__)


async def status(edge: Edge) -> StateStatus | None:
    """Return how the state service is; None when it does not answer."""
    try:
        return await edge.bus.call(STATE_STATUS, StateStatusRequest(), BusContext())
    except BusError:
        return None
