"""What is broken: a cluster with two edges, real processes all of them, and the ways to strike one."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Literal, Protocol

from deploy.local.nats_server import free_port
from tests.faults.client import Client, chat_body
from tests.support.cluster import Cluster, Service, running_cluster
from tests.support.nats import NatsServer

How = Literal["kill", "freeze", "empty"]

_SERVING_SECONDS = 20.0
_START_TRIES = 5
_ENVIRON = {
    "PARLEY_ANALYTICS_LEASE_SECONDS": "2",
    "PARLEY_ANALYTICS_BATCH_SECONDS": "0.2",
    "PARLEY_NATS_CONNECT_TIMEOUT_SECONDS": "20",
    "PARLEY_GRACE_SECONDS": "10",
}


class Victim(Protocol):
    """A process that can be struck."""

    def send(self, number: int) -> None: ...
    def kill(self) -> None: ...
    def start(self) -> None: ...


class Site:
    """The cluster, and a journal of all that happened to it."""

    def __init__(self, cluster: Cluster, second: Service, directory: Path) -> None:
        self.cluster = cluster
        self.edges = (cluster["edge"], second)
        self.directory = directory
        self._journal = (directory / "journal.jsonl").open("a")
        self._started = time.monotonic()

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def note(self, what: str, **fields: Any) -> None:
        """Add a line to the journal."""
        line = {"at": round(time.monotonic() - self._started, 3), "what": what, **fields}
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()

    def victim(self, name: str, chance: Random) -> Victim:
        """Return a process by its name; of the edges any."""
        if name == "nats":
            return self.cluster.nats
        return chance.choice(self.edges) if name == "edge" else self.cluster[name]

    async def strike(self, victim: Victim, how: How, seconds: float) -> None:
        """Break a process for so long, and mend it."""
        name = "nats" if isinstance(victim, NatsServer) else getattr(victim, "name", "")
        self.note("strike", victim=name, how=how, seconds=round(seconds, 2))
        if how == "freeze":
            victim.send(signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                victim.send(signal.SIGCONT)
        else:
            victim.send(signal.SIGKILL)  # at once: the thread comes later
            await asyncio.to_thread(victim.kill)
            if how == "empty":
                assert isinstance(victim, NatsServer)
                victim.wipe()
            await asyncio.sleep(seconds)
            await asyncio.to_thread(_start, victim)
        self.note("mended", victim=name)

    async def serving(self, seconds: float = _SERVING_SECONDS) -> bool:
        """Return whether each edge answers a chat call, one whose answer is kept, within this time."""
        ends = time.monotonic() + seconds
        async with Client() as client:
            for edge in self.edges:
                while not await _answers(client, edge.port):
                    if time.monotonic() > ends:
                        return False
                    await asyncio.sleep(0.1)
        return True

    async def mend(self) -> None:
        """Return once every process says that it is ready."""
        for service in (*self.cluster.services.values(), self.edges[1]):
            await asyncio.to_thread(service.wait_ready)


async def _answers(client: Client, port: int) -> bool:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    body = chat_body([*messages, {"role": "user", "content": "[[text: Here.]]"}])
    answer = await client.ask(port, body, {"x-parley-conversation": "serving"})
    return answer.whole and "state_unavailable" not in answer.continuity


def _start(victim: Victim) -> None:
    """Start, as often as a supervisor would: another fault may be in the way."""
    for left in reversed(range(_START_TRIES)):
        try:
            victim.start()
            return
        except AssertionError:
            if not left:
                raise


@contextmanager
def running_site(directory: Path) -> Iterator[Site]:
    """Run the cluster while the block runs; every process that it started is stopped after it, also a frozen one."""
    with running_cluster(directory, environ=_ENVIRON) as cluster:
        second = cluster.another("edge", {"PARLEY_PORT": str(free_port())})
        second.start()
        second.wait_ready()
        site = Site(cluster, second, directory)
        try:
            yield site
        finally:
            site.close()
