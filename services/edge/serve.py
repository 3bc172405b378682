"""Puts the edge together, listens, and ends it in order.

On SIGTERM: not ready, no new connections, live answers end within the grace time or with an error
frame, then what goes on in the background, then the records.
"""

import asyncio
from collections.abc import Mapping

import uvicorn

from libs.runtime.bus import Bus
from libs.runtime.errors import StartError
from libs.runtime.health import Readiness
from libs.runtime.jetstream import ensure_stream, prepared
from libs.runtime.logs import Log
from libs.runtime.seams.uvicorn import Server
from libs.runtime.secret import load_secret
from libs.runtime.service import first, raise_descriptor_limit, spare_collector, stop_event
from libs.schemas.config import Config
from libs.schemas.subjects import RECORDS
from services.edge import listening
from services.edge.app import create_app
from services.edge.disk.outbox import Outbox
from services.edge.edge import Edge
from services.edge.http.streams import Streams
from services.edge.records.publisher import Publisher
from services.edge.records.spool import Spool
from services.edge.tenants import Tenants
from services.edge.upstreams.client import Upstreams

BACKGROUND_SECONDS = 5.0  # for commits that outlived their answers
OUTBOX_SECONDS = 2.0  # for requests to the state service that did not get through; the rest stays on disk
PUBLISH_SECONDS = 5.0  # for the last records; the spool keeps what does not make it

log = Log("parley.edge")


async def serve(config: Config, environ: Mapping[str, str]) -> int:
    """Run until SIGTERM, or until the bus is closed for good; return the exit status. Raises StartError."""
    if not config.upstream:
        raise StartError("no upstream: set OPENAI_API_KEY, or list an [[upstream]] in parley.toml")
    stop = stop_event()
    raise_descriptor_limit()
    secret = load_secret(environ, config.secret.file)
    tenants = Tenants(secret, config.upstream, environ, config.tenant)
    listener = listening.listen(config)
    listening.warn(config)
    bus = await Bus.connect(config.nats, "edge")

    async def ensure_records() -> None:
        await ensure_stream(bus.jetstream(), RECORDS, config.nats.replicas)

    await prepared(ensure_records, config.nats.connect_timeout_seconds)
    bus.on_reconnect(ensure_records)
    spool = Spool(config.edge.spool_dir, config.edge.spool_max_bytes)
    publisher = Publisher(spool, bus)
    outbox = Outbox(spool.folders, secret, bus)
    upstreams = Upstreams(config.edge, tenants)
    streams = Streams(config.edge)
    edge = Edge(
        config=config,
        bus=bus,
        tenants=tenants,
        upstreams=upstreams,
        sink=publisher,
        outbox=outbox,
        streams=streams,
    )
    readiness = Readiness()
    server = Server(_uvicorn(config, edge, readiness))
    await upstreams.start()
    await publisher.start()
    await outbox.start()
    streams.start()
    spare_collector()
    serving = asyncio.create_task(server.serve([listener]))
    port = listener.getsockname()[1]
    log.info("ready", port=port, upstreams=[upstream.name for upstream in config.upstream])
    print(f"ready {port}", flush=True)
    await first(stop, bus.closed)
    lost = bus.closed.is_set()
    readiness.draining = True
    server.should_exit = True
    await _finish_answers(config, streams, serving)
    await _finish_background(edge)
    await outbox.stop(OUTBOX_SECONDS)
    await publisher.stop(PUBLISH_SECONDS)
    await streams.stop()
    await upstreams.close()
    await bus.drain(1.0)
    return 1 if lost else 0


def _uvicorn(config: Config, edge: Edge, readiness: Readiness) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(edge, readiness),
        interface="asgi3",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,  # longer than common balancers, so that they close first
        timeout_graceful_shutdown=int(config.edge.grace_seconds) + 5,
    )


async def _finish_answers(config: Config, streams: Streams, serving: "asyncio.Task[None]") -> None:
    """Let live answers end; tell those that do not, while their connections still stand."""
    done, _ = await asyncio.wait({serving}, timeout=config.edge.grace_seconds)
    if not done:
        log.warning("grace_over", live=len(streams))
        streams.abort_all()
        await serving


async def _finish_background(edge: Edge) -> None:
    if edge.background:
        await asyncio.wait(set(edge.background), timeout=BACKGROUND_SECONDS)
