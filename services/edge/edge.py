"""What the edge's endpoints share: configuration, bus, upstreams, tenants, records, live streams.

It also asks the converter for them; what is asked of the state service stands in `state.py`.
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Literal

import msgspec

from libs.runtime.bus import Bus
from libs.runtime.call import Call
from libs.runtime.errors import BusError, MessageTooLarge, ReplyTooLarge
from libs.runtime.logs import Log
from libs.schemas.bus.convert import Converted, ConvertRequest, Native, PlanUnsupported, Refused, Said
from libs.schemas.config import Config, Upstream
from libs.schemas.plan import PLAN_VERSION
from libs.schemas.subjects import CONVERT
from libs.translate.lift import Skeleton
from services.edge.disk.outbox import Outbox
from services.edge.errors import ConversionRefused, Overloaded, UpstreamUnknown
from services.edge.http.exchange import Exchange
from services.edge.http.media import text_too_large
from services.edge.http.options import Asked, read_options
from services.edge.http.streams import Streams
from services.edge.pending_claims import Claims
from services.edge.records.calls import RecordSink
from services.edge.tenants import Caller, Tenants
from services.edge.upstreams.client import Upstreams
from services.edge.upstreams.not_chaining import Unchained

log = Log("parley.edge")


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of one edge process."""

    config: Config
    bus: Bus
    tenants: Tenants
    upstreams: Upstreams
    sink: RecordSink
    outbox: Outbox
    streams: Streams
    unchained: Unchained = msgspec.field(default_factory=Unchained)
    claims: Claims = msgspec.field(default_factory=Claims)
    background: set[asyncio.Task[Any]] = msgspec.field(default_factory=set)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something that outlives its request; a shutdown waits for it."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return task

    def options(self, exchange: Exchange, caller: Caller) -> Asked:
        """Return what the request asks for outside of its body. Raises InvalidRequest."""
        asked = read_options(self.config.conversation, exchange, retain=caller.retain)
        unchained_at = self.unchained.known(self.tenants.accounts(caller))
        said = msgspec.structs.replace(asked.said, unchained_at=unchained_at) if unchained_at else asked.said
        return Asked(said, asked.name_param)

    def upstream(self, name: str) -> Upstream:
        """Return the upstream that the converter named. Raises UpstreamUnknown where none is called so here."""
        found = next((upstream for upstream in self.config.upstream if upstream.name == name), None)
        if found is None:
            log.error("upstream_unknown", upstream=name)
            raise UpstreamUnknown
        return found

    async def convert(
        self,
        exchange: Exchange,
        caller: Caller,
        skeleton: Skeleton,
        said: Said,
        mode: Literal["auto", "plain"] = "auto",
        token: str | None = None,
    ) -> Converted | Native:
        """Return the conversion of a chat body, or that the upstream must answer it natively.

        `mode` and `token` are those of `ConvertRequest`.
        Raises ConversionRefused or InvalidRequest for what the client must hear, Overloaded when nobody converts.
        """
        asked = ConvertRequest(
            plan_version=PLAN_VERSION,
            body=skeleton.body,
            lifted=skeleton.lifted,
            tenant=caller.tenant,
            accounts=self.tenants.accounts(caller),
            said=said,
            mode=mode,
            token=token,
            format=said.format,
        )
        try:
            reply = await self.bus.call(CONVERT, asked, travels(exchange, caller, seconds=_patience(exchange)))
        except (MessageTooLarge, ReplyTooLarge):  # as it came, or once it is converted
            raise text_too_large(self.bus.message_limit()) from None
        except BusError as error:
            log.warning("convert_failed", request_id=exchange.request_id, error=type(error).__name__)
            raise Overloaded from None
        if isinstance(reply, Refused):
            raise ConversionRefused(reply)
        if isinstance(reply, PlanUnsupported):
            log.error("plan_unsupported", ours=PLAN_VERSION, theirs=reply.supported)
            raise Overloaded
        return reply


def _patience(exchange: Exchange) -> float | None:
    """How many seconds the client still waits: a conversion is not worth more."""
    if exchange.patience_seconds is None:
        return None
    return exchange.patience_seconds - exchange.milliseconds() / 1000


def travels(exchange: Exchange, caller: Caller, *, seconds: float | None = None) -> Call:
    """Return what travels with a request on the bus, which is given up after `seconds`."""
    return Call(
        tenant=caller.tenant,
        request_id=exchange.request_id,
        traceparent=exchange.traceparent,
        deadline=None if seconds is None else time.monotonic() + seconds,
    )
