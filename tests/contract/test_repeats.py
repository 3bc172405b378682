"""What a frozen server delivers late: each request of the state service twice, the second time after others."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.schemas.bus.state import (
    ClaimRequest,
    CommitRequest,
    DeleteRequest,
    ListRequest,
    ReadReply,
    ReadRequest,
    ResolveRequest,
    Wanted,
)
from libs.schemas.config import Nats
from libs.schemas.subjects import CLAIM, COMMIT, DELETE, LIST, READ, RESOLVE, Subject
from tests.support.cluster import Service
from tests.support.nats import running_nats
from tests.support.redis import running_redis
from tests.support.turns import turn_of

SCOPE = "5c" * 8


@pytest.fixture(scope="module", params=["jetstream", "redis", "memory"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bus of a state service with that store, which runs in a process of its own."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        server = stack.enter_context(running_nats(folder / "nats"))
        environ = {
            "PARLEY_NATS_URL": server.url,
            "PARLEY_STATE_STORE": request.param,
            "PARLEY_SECRET_FILE": str(folder / "secret"),
        }
        if request.param == "redis":
            environ["PARLEY_STATE_REDIS_URL"] = stack.enter_context(running_redis(folder / "redis")).url
        service = Service("state", environ, folder / "state.log")
        service.start()
        stack.callback(service.stop)
        yield server.url


class Delivered:
    """A request as its bytes went over the bus, to be delivered once more."""

    def __init__(self, raw: Client, subject: Subject[Any, Any], payload: bytes, headers: dict[str, str]) -> None:
        self._raw = raw
        self._subject = subject
        self._payload = payload
        self._headers = headers

    async def deliver(self) -> Any:
        """Return what the worker says; nobody hears it when a server delivers late."""
        msg = await self._raw.request(self._subject.name, self._payload, timeout=10, headers=self._headers)
        assert not msg.headers, msg.data
        return self._subject.reply_decoder.decode(msg.data)


class Tenant:
    """A tenant of its own, as an edge speaks for it."""

    def __init__(self, raw: Client, bus: Bus) -> None:
        self._raw = raw
        self._bus = bus
        self._tenant = os.urandom(16).hex()
        self._requests = 0

    async def send(self, subject: Subject[Any, Any], request: Any) -> tuple[Any, Delivered]:
        """Send a request, and return its answer and the request."""
        self._requests += 1
        headers = {
            "parley-tenant": self._tenant,
            "parley-request-id": f"req_{self._requests}",
            "parley-remaining-ms": "5000",
        }
        sent = Delivered(self._raw, subject, subject.encoder.encode(request), headers)
        return await sent.deliver(), sent

    async def ask(self, subject: Subject[Any, Any], request: Any) -> Any:
        return await self._bus.call(subject, request, BusContext(tenant=self._tenant))

    async def commit(self, turn: int, **more: Any) -> Delivered:
        """Keep turn `turn`, which follows the one before it."""
        request = CommitRequest(scope=SCOPE, loose=f"100{turn:x}", turn=turn_of(turn, stored=True), **more)
        reply, sent = await self.send(COMMIT, request)
        assert reply.refused is None
        return sent

    async def conversation(self) -> tuple[str | None, int]:
        """Return the response that a delta would follow, and how many answers the conversation has."""
        head = (await self.ask(RESOLVE, ResolveRequest(scope=SCOPE, head="c"))).head
        told = (await self.ask(READ, ReadRequest(conversation="c"))).conversation
        return None if head is None else head.turn.response_id, 0 if told is None else told.turns

    async def known(self, *numbers: int) -> list[str]:
        turns = [Wanted(turn_key=f"e{number:x}", loose=f"100{number:x}") for number in numbers]
        reply = await self.ask(RESOLVE, ResolveRequest(scope=SCOPE, turns=turns))
        return [found.turn.response_id for found in reply.found]


@pytest.fixture
async def client(url: str) -> AsyncIterator[Tenant]:
    raw, bus = await nats.connect(url), await Bus.connect(Nats(url=url), "edge")
    yield Tenant(raw, bus)
    await bus.drain(1)
    await raw.close()


async def test_commit_that_comes_again_late_moves_and_counts_nothing(client: Tenant) -> None:
    first = await client.commit(1)
    for number in (2, 3):
        await client.commit(number)
    assert await client.conversation() == ("resp_3", 3)
    await first.deliver()
    assert await client.conversation() == ("resp_3", 3)
    assert await client.known(1, 2, 3) == ["resp_1", "resp_2", "resp_3"]


async def test_commits_that_come_again_together_change_nothing(client: Tenant) -> None:
    sent = [await client.commit(number) for number in (1, 2, 3, 4)]
    for order in (sent, sent[::-1]):
        await asyncio.gather(*(one.deliver() for one in order))
    assert await client.conversation() == ("resp_4", 4)


async def test_commit_that_comes_again_after_a_deletion_brings_nothing_back(client: Tenant) -> None:
    sent = [await client.commit(number) for number in (1, 2)]
    await client.send(DELETE, DeleteRequest(conversation="c"))
    for one in sent:
        await one.deliver()
    assert await client.conversation() == (None, 0)
    assert await client.known(1, 2) == []


async def test_claim_that_comes_again_late_changes_no_owner(client: Tenant) -> None:
    _, first = await client.send(CLAIM, ClaimRequest(upstream_id="resp_a", upstream="one"))
    await client.send(CLAIM, ClaimRequest(upstream_id="resp_b", upstream="two"))
    await client.commit(1)
    await first.deliver()
    owners = [await client.ask(READ, ReadRequest(upstream_id=name)) for name in ("resp_a", "resp_b", "resp_c")]
    assert owners == [ReadReply(upstream="one"), ReadReply(upstream="two"), ReadReply()]
    assert await client.conversation() == ("resp_1", 1)


async def test_deletion_that_comes_again_late_spares_what_was_begun_anew(client: Tenant) -> None:
    await client.commit(1)
    told, deletion = await client.send(DELETE, DeleteRequest(conversation="c"))
    assert told.known and await client.conversation() == (None, 0)
    for number in (5, 6):
        await client.commit(number, number=number)
    assert await deletion.deliver() == told
    assert await client.conversation() == ("resp_6", 2)
    assert await client.known(5, 6) == ["resp_5", "resp_6"]
    _, again = await client.send(DELETE, DeleteRequest(conversation="c"))
    assert await client.conversation() == (None, 0)
    assert (await client.ask(LIST, ListRequest())).conversations == []


async def test_deletion_of_what_was_not_there_spares_what_comes_later(client: Tenant) -> None:
    told, deletion = await client.send(DELETE, DeleteRequest(conversation="c"))
    assert not told.known
    await client.commit(1)
    await deletion.deliver()
    assert await client.conversation() == ("resp_1", 1)


async def test_deletion_of_stale_turns_that_comes_again_spares_the_others(client: Tenant) -> None:
    for number in (1, 2):
        await client.commit(number)
    _, deletion = await client.send(DELETE, DeleteRequest(turn_keys=["e2"]))
    await client.commit(3)
    await deletion.deliver()
    assert await client.known(1, 2, 3) == ["resp_1", "resp_3"]
