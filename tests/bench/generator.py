"""The load, as a process of its own: reads one job from standard input, writes its result to standard output.

It reads the CPU time of the processes under load itself, so that it covers the load and nothing else.
"""

import asyncio
import sys
import time

import msgspec
import uvloop

from tests.bench.client import Client
from tests.bench.jobs import Called, Calls, FirstToken, Held, Hold, Job, Pile
from tests.bench.processes import CpuMeter, resident_bytes
from tests.bench.requests import Request

_OPENED_AT_ONCE = 20


async def hold(job: Hold) -> Held:
    """Run a Hold."""
    clients = await _open(job.port, job.request, job.streams)
    await asyncio.sleep(max(job.settle_seconds, job.begin_at - time.monotonic()))
    for client in clients:
        client.longest_gap = 0.0
    events, reads = _sum(clients)
    meter = CpuMeter(job.pids)
    await asyncio.sleep(job.seconds)
    cpu, (events_after, reads_after) = meter.seconds(), _sum(clients)
    longest = max(client.longest_gap for client in clients)
    for client in clients:
        client.close()
    return Held(events=events_after - events, reads=reads_after - reads, cpu=cpu, longest_gap=longest)


async def calls(job: Calls) -> Called:
    """Run a Calls."""
    clients = [await Client.connect(job.port) for _ in range(job.concurrency)]
    requests = [_own(job.request, k).encode() for k in range(job.concurrency)]
    if not job.begin_at:  # the connections of everybody are open then
        await asyncio.gather(*(client.call(request) for client, request in zip(clients, requests, strict=True)))
    await asyncio.sleep(job.begin_at - time.monotonic())
    meter, started, left = CpuMeter(job.pids), time.monotonic(), iter(range(job.calls))

    async def work(client: Client, request: bytes) -> None:
        for _ in left:
            await client.call(request)

    await asyncio.gather(*map(work, clients, requests))
    await asyncio.sleep(job.settle_seconds)
    return Called(cpu=meter.seconds(), seconds=time.monotonic() - started)


async def first_token(job: FirstToken) -> list[list[float]]:
    """Run a FirstToken; return the seconds of each call, by target."""
    clients = [(await Client.connect(port), request.encode()) for port, request in job.targets]
    taken: list[list[float]] = [[] for _ in clients]
    for k in range(-10, job.calls):
        for (client, request), seconds in zip(clients, taken, strict=True):
            second = await client.call(request)
            if k >= 0:  # the first ones open connections
                seconds.append(second)
    return taken


async def pile(job: Pile) -> list[int]:
    """Run a Pile; return the resident bytes before, and after each time."""
    clients = await _open(job.port, job.request, 1)
    sizes = []
    for streams in (0, *[job.streams] * job.times):
        clients += await _open(job.port, job.request, streams)
        await asyncio.sleep(job.settle_seconds)
        sizes.append(resident_bytes(job.pid))
    for client in clients:
        client.close()
    return sizes


async def _open(port: int, request: Request, streams: int) -> list[Client]:
    clients: list[Client] = []
    for start in range(0, streams, _OPENED_AT_ONCE):
        some = [await Client.connect(port) for _ in range(min(_OPENED_AT_ONCE, streams - start))]
        await asyncio.gather(*(client.send(_own(request, 0).encode()) for client in some))
        clients += some
    return clients


def _own(request: Request, number: int) -> Request:
    """Return a request of one connection: each names a conversation of its own, where it names one."""
    name = request.conversation and f"{request.conversation}-{number}"
    return msgspec.structs.replace(request, conversation=name)


def _sum(clients: list[Client]) -> tuple[int, int]:
    return sum(client.events for client in clients), sum(client.reads for client in clients)


async def _run(job: Job) -> object:
    match job:
        case Hold():
            return await hold(job)
        case Calls():
            return await calls(job)
        case FirstToken():
            return await first_token(job)
        case Pile():
            return await pile(job)


if __name__ == "__main__":
    result = uvloop.run(_run(msgspec.json.decode(sys.stdin.buffer.read(), type=Job)))
    sys.stdout.buffer.write(msgspec.json.encode(result))
