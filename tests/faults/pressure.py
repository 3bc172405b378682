"""What a machine runs out of, or has wrong: room in the stream, descriptors, the time."""

import asyncio
import os
import resource
import socket
import sys
from contextlib import ExitStack
from random import Random

import nats

from libs.schemas.subjects import RECORDS
from tests.faults.client import Answer, Client, chat_body
from tests.faults.counts import Counts
from tests.faults.load import LONG, Load, Promise
from tests.faults.records import recorded
from tests.faults.registry import scenario
from tests.faults.site import Site
from tests.faults.sizes import Sizes
from tests.support.cluster import Service

_ROOM_BYTES = 32 * 1024  # for some twenty calls
_SKEWS = (("converter", 10.0), ("state", 10.0), ("converter", -10.0), ("state", -10.0))
_SPARE_DESCRIPTORS = 8
_STREAMS = 8


@scenario("full-stream")
async def full_stream(site: Site, sizes: Sizes, chance: Random) -> Counts:
    """The stream of records has less room than what passes through it: what was consumed makes room by itself."""
    counts = Counts(tried=1)
    connection = await nats.connect(site.cluster.nats.url)
    manager = connection.jsm()
    info = await manager.stream_info(RECORDS.name)
    small = info.config.evolve(max_bytes=info.state.bytes + _ROOM_BYTES)
    await manager.update_stream(small)
    try:
        async with Load(site, sizes, chance, Promise()) as load:
            while load.answers < sizes.full_calls:
                await asyncio.sleep(0.1)
        await load.count(counts)
    finally:
        await manager.update_stream(info.config)
        await connection.close()
    counts.survived += await site.serving()
    return counts


@scenario("descriptors")
async def descriptors(site: Site, sizes: Sizes, chance: Random) -> Counts:
    """Idle connections use up an edge's descriptors while answers are under way: they end whole, and are recorded."""
    if sys.platform != "linux":
        return Counts(notes=["the limit of a running process can be set on Linux alone"])
    counts, edge = Counts(tried=1), site.edges[1]
    async with Client() as client:
        body = chat_body([{"role": "user", "content": LONG}], stream=True)
        begun = [asyncio.Event() for _ in range(_STREAMS)]
        asked = [asyncio.create_task(_watched(client, edge.port, body, event)) for event in begun]
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in begun)), 20)
        with ExitStack() as idle:
            _use_up(edge, idle)
            answers = await asyncio.gather(*asked)
            await asyncio.sleep(sizes.window)  # in which the records are to be published
        counts.survived += await site.serving()
    counts.answers = sum(answer.whole for answer in answers)
    ids = {answer.request_id for answer in answers}
    counts.expected, counts.found, counts.doubled = await recorded(site, ids, sizes.settle)
    counts.broken += [f"a stream ended with {answer.code}" for answer in answers if not answer.whole]
    return counts


async def _watched(client: Client, port: int, body: bytes, begun: asyncio.Event) -> Answer:
    def watch(answer: Answer) -> bool:
        begun.set()
        return False

    return await client.ask(port, body, watch=watch)


def _use_up(edge: Service, idle: ExitStack) -> None:
    """Leave the edge a few more descriptors than it holds, and take these; the limit is put back with `idle`."""
    pid = edge.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    held = max(int(name) for name in os.listdir(f"/proc/{pid}/fd")) + 1
    idle.callback(resource.prlimit, pid, resource.RLIMIT_NOFILE, before)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (held + _SPARE_DESCRIPTORS, before[1]))
    for _ in range(held + 2 * _SPARE_DESCRIPTORS):
        idle.enter_context(socket.create_connection(("127.0.0.1", edge.port), timeout=5))


@scenario("clock")
async def clock(site: Site, sizes: Sizes, chance: Random) -> Counts:
    """A second worker whose clock is ten seconds ahead or behind takes its share of the calls, and refuses none."""
    counts = Counts()
    for name, seconds in _SKEWS:
        skewed = site.cluster.another(name, wrapper=["-m", "tests.faults.skewed", str(seconds)])
        await asyncio.to_thread(skewed.start)
        counts.tried += 1
        try:
            async with Load(site, sizes, chance, Promise()) as load:
                await asyncio.sleep(sizes.window)
            counts.survived += await site.serving() and not load.told
        finally:
            await asyncio.to_thread(skewed.stop)
        await load.count(counts)
    return counts
