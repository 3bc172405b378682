"""What the edge asks of the state service, and tells it.

Only what a client asked for by itself can fail for want of that service; all else goes on without.
"""

import asyncio
from typing import Any, TypeVar

from libs.runtime import metrics
from libs.runtime.call import Call
from libs.runtime.errors import BusError, CallTimeout
from libs.runtime.logs import Log
from libs.schemas.bus import (
    ClaimRequest,
    CommitReply,
    CommitRequest,
    DeleteRequest,
    ReadRequest,
    StateStatus,
    StateStatusRequest,
)
from libs.schemas.config import Upstream
from libs.schemas.errors import ErrorBody
from libs.schemas.subjects import CLAIM, COMMIT, DELETE, READ, STATE_STATUS, Subject
from libs.translate.errors import TranslationError
from services.edge.edge import Edge, travels
from services.edge.exchange import Exchange
from services.edge.tenants import Caller

Req = TypeVar("Req")
Rep = TypeVar("Rep")

OWNER_SECONDS = 1.0  # a relayed request waits no longer to be told whose its id is

log = Log("parley.edge")


class StateUnavailable(TranslationError):
    """The state service does not answer, and the request is about what it holds."""

    def __init__(self) -> None:
        error = ErrorBody(
            message="Parley cannot reach its conversations at this moment. Try again shortly.",
            type="service_unavailable_error",
            code="state_unavailable",
        )
        super().__init__(503, error)


async def ask(edge: Edge, exchange: Exchange, caller: Caller, subject: Subject[Req, Rep], request: Req) -> Rep:
    """Return the reply to a client's own question. Raises StateUnavailable."""
    try:
        return await edge.bus.call(subject, request, travels(exchange, caller))
    except BusError as error:
        log.warning("state_unavailable", request_id=exchange.request_id, error=type(error).__name__)
        raise StateUnavailable from None


def commit(edge: Edge, exchange: Exchange, caller: Caller, request: CommitRequest) -> asyncio.Task[None]:
    """Begin to have a turn kept; it goes on by itself."""
    return edge.spawn(_commit(edge, request, travels(exchange, caller)))


async def _commit(edge: Edge, request: CommitRequest, call: Call) -> None:
    try:
        result = _result(await edge.bus.call(COMMIT, request, call))
    except BusError as error:
        result = "timeout" if isinstance(error, CallTimeout) else "failed"
        log.warning("commit_failed", request_id=call.request_id, error=type(error).__name__)
    metrics.COMMITS.labels(result).inc()


def _result(reply: CommitReply) -> str:
    return "ok" if reply.refused is None else "refused"


def delete_entries(edge: Edge, exchange: Exchange, caller: Caller, entries: list[str]) -> None:
    """Have turns dropped that the upstream cannot continue any more; not waited for."""
    if entries:
        request = DeleteRequest(entries=entries)
        edge.spawn(_tell(edge, DELETE, request, travels(exchange, caller), "delete_failed"))


def claim(edge: Edge, exchange: Exchange, caller: Caller, upstream_id: str, upstream: Upstream) -> None:
    """Have it remembered whose an id is, unless it is where unknown ids go anyway; not waited for."""
    if upstream_id and upstream.name != edge.config.upstream[0].name:
        request = ClaimRequest(upstream_id=upstream_id, upstream=upstream.name)
        edge.spawn(_tell(edge, CLAIM, request, travels(exchange, caller), "claim_failed"))


async def _tell(edge: Edge, subject: Subject[Any, Any], request: Any, call: Call, failure: str) -> None:
    try:
        await edge.bus.call(subject, request, call)
    except BusError as error:
        log.warning(failure, request_id=call.request_id, error=type(error).__name__)


async def owner(edge: Edge, exchange: Exchange, caller: Caller, upstream_id: str) -> Upstream | None:
    """Return the upstream that owns an id; None where that is not known, or there is but one."""
    upstreams = edge.config.upstream
    if len(upstreams) == 1:
        return None
    call = travels(exchange, caller, seconds=OWNER_SECONDS)
    try:
        reply = await edge.bus.call(READ, ReadRequest(upstream_id=upstream_id), call)
    except BusError as error:
        log.warning("owner_unknown", request_id=exchange.request_id, error=type(error).__name__)
        return None
    return next((upstream for upstream in upstreams if upstream.name == reply.upstream), None)


async def status(edge: Edge) -> StateStatus | None:
    """Return how the state service is; None when it does not answer."""
    try:
        return await edge.bus.call(STATE_STATUS, StateStatusRequest(), Call())
    except BusError:
        return None
