"""What the edge's endpoints share: configuration, bus, upstreams, tenants, records, live streams.

It also asks the other services for them: one method for each question.
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Literal

import msgspec

from libs.runtime import metrics
from libs.runtime.bus import Bus
from libs.runtime.call import Call
from libs.runtime.errors import BusError, CallTimeout, MessageTooLarge
from libs.runtime.logs import Log
from libs.schemas.bus import (
    CommitRequest,
    Converted,
    ConvertRequest,
    ForgetRequest,
    Native,
    PlanUnsupported,
    Refused,
    Turn,
)
from libs.schemas.config import Config
from libs.schemas.errors import ErrorBody
from libs.schemas.plan import PLAN_VERSION, CommitPlan, Format
from libs.schemas.subjects import COMMIT, CONVERT, FORGET
from libs.translate.errors import InvalidRequest, TranslationError
from libs.translate.lift import Skeleton
from services.edge.calls import RecordSink
from services.edge.exchange import Exchange
from services.edge.streams import Streams
from services.edge.tenants import Caller, Tenants
from services.edge.upstream import Upstreams

FORMAT_HEADER = "x-parley-format"
_FORMATS: dict[str, Format] = {"chat": "chat", "responses": "responses"}

log = Log("parley.edge")


class Overloaded(TranslationError):
    """The cluster cannot convert a request at this moment; nothing was sent upstream."""

    def __init__(self) -> None:
        error = ErrorBody(
            message="Parley cannot take your request at this moment. Try again shortly.",
            type="service_unavailable_error",
            code="server_is_overloaded",
        )
        super().__init__(503, error)


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of one edge process."""

    config: Config
    bus: Bus
    tenants: Tenants
    upstreams: Upstreams
    sink: RecordSink
    streams: Streams
    background: set[asyncio.Task[Any]] = msgspec.field(default_factory=set)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something that outlives its request; a shutdown waits for it."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return task

    def conversation(self, exchange: Exchange) -> str | None:
        """Return the name that the request gives its conversation. Raises InvalidRequest for a bad one."""
        for name in self.config.conversation.name_headers:
            value = exchange.headers.get(name.lower(), "").strip()
            if len(value) > 512:
                raise InvalidRequest(f"Invalid '{name}': must have at most 512 characters.", name, "invalid_value")
            if value:
                return value
        return None

    async def convert(
        self,
        exchange: Exchange,
        caller: Caller,
        skeleton: Skeleton,
        conversation: str | None,
        mode: Literal["auto", "plain"] = "auto",
    ) -> Converted | Native:
        """Return the conversion of a chat body, or that the upstream must answer it natively.

        Raises InvalidRequest for a refusal that the client must hear, Overloaded when nobody converts.
        """
        asked = ConvertRequest(
            plan_version=PLAN_VERSION,
            body=skeleton.body,
            lifted=skeleton.lifted,
            tenant=caller.tenant,
            accounts=self.tenants.accounts(caller),
            conversation=conversation,
            mode=mode,
            format=_format(exchange),
        )
        try:
            reply = await self.bus.call(CONVERT, asked, _call(exchange, caller, bounded=True))
        except MessageTooLarge as error:
            raise InvalidRequest(
                f"The text of your request exceeds the limit of {error.limit} bytes.",
                None,
                "request_too_large",
                status=413,
            ) from None
        except BusError as error:
            log.warning("convert_failed", request_id=exchange.request_id, error=type(error).__name__)
            raise Overloaded from None
        if isinstance(reply, Refused):
            error_body = reply.error
            raise InvalidRequest(error_body.message, error_body.param, error_body.code, status=reply.status)
        if isinstance(reply, PlanUnsupported):
            log.error("plan_unsupported", ours=PLAN_VERSION, theirs=reply.supported)
            raise Overloaded
        return reply

    async def commit(self, exchange: Exchange, caller: Caller, plan: CommitPlan, prefix: str, turn: Turn) -> None:
        """Have a turn kept before its answer is released; after `commit_timeout_seconds` it goes on alone."""
        request = CommitRequest(scope=plan.scope, prefix=prefix, conversation=plan.conversation, turn=turn)
        task = self.spawn(self._commit(request, _call(exchange, caller)))
        await asyncio.wait({task}, timeout=self.config.edge.commit_timeout_seconds)

    async def _commit(self, request: CommitRequest, call: Call) -> None:
        result = "ok"
        try:
            await self.bus.call(COMMIT, request, call)
        except BusError as error:
            result = "timeout" if isinstance(error, CallTimeout) else "failed"
            log.warning("commit_failed", request_id=call.request_id, error=type(error).__name__)
        metrics.COMMITS.labels(result).inc()

    def forget(self, exchange: Exchange, caller: Caller, scope: str, prefix: str) -> None:
        """Have a turn dropped that the upstream does not know any more; not waited for."""
        self.spawn(self._forget(ForgetRequest(scope=scope, prefix=prefix), _call(exchange, caller)))

    async def _forget(self, request: ForgetRequest, call: Call) -> None:
        try:
            await self.bus.call(FORGET, request, call)
        except BusError as error:
            log.warning("forget_failed", request_id=call.request_id, error=type(error).__name__)


def _format(exchange: Exchange) -> Format | None:
    told = exchange.headers.get(FORMAT_HEADER)
    if told is not None and told not in _FORMATS:
        raise InvalidRequest(
            f"Invalid value: '{told}'. Supported values are: 'chat', 'responses'.", FORMAT_HEADER, "invalid_value"
        )
    return None if told is None else _FORMATS[told]


def _call(exchange: Exchange, caller: Caller, *, bounded: bool = False) -> Call:
    """Return what travels with a request; `bounded` ones are not worth more time than the client waits."""
    deadline = 0
    if bounded and exchange.patience_seconds is not None:
        left = exchange.patience_seconds - exchange.milliseconds() / 1000
        deadline = int((time.time() + left) * 1000)
    return Call(
        tenant=caller.tenant, request_id=exchange.request_id, traceparent=exchange.traceparent, deadline=deadline
    )
