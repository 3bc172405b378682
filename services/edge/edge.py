"""What an edge process is made of: configuration, bus, upstreams, tenants, records, live streams."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec

from libs.runtime.bus import Bus
from libs.runtime.logs import Log
from libs.schemas.config import Config, Upstream
from libs.schemas.records import CallRecord, Record
from services.edge.disk.outbox import Outbox
from services.edge.errors import UpstreamUnknown
from services.edge.http.streams import Streams
from services.edge.pending_claims import Claims
from services.edge.tenants import Tenants
from services.edge.upstreams.client import Upstreams
from services.edge.upstreams.not_chaining import Unchained

log = Log("parley.edge")


class RecordSink(Protocol):
    """Takes records; never raises, never blocks."""

    def open(self, record: CallRecord) -> None:
        """Keep what is to be reported should this process die during the call."""

    def close(self, record: Record) -> None:
        """Keep the record, opened before or not, and see that it is published."""


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

    def upstream(self, name: str) -> Upstream:
        """Return the upstream that the converter named. Raises UpstreamUnknown where none is called so here."""
        found = next((upstream for upstream in self.config.upstream if upstream.name == name), None)
        if found is None:
            log.error("upstream_unknown", upstream=name)
            raise UpstreamUnknown
        return found
