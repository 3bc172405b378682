"""The state service's store on a real nats-server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from libs.runtime.bus import Bus
from libs.runtime.call import Call
from libs.runtime.errors import BusDown
from libs.runtime.jetstream import ensure_bucket
from libs.schemas.bus import CommitReply, CommitRequest, ForgetRequest, ResolveReply, ResolveRequest, Turn
from libs.schemas.config import Nats
from libs.schemas.subjects import HEADS, TURNS
from services.state.handlers import State
from services.state.store import JetStreamStore
from tests.support.nats import NatsServer, running_nats
from tests.support.poll import eventually


def turn(response_id: str) -> Turn:
    return Turn(response_id=response_id, account="a", model="m", created=1, expires=2)


def commit(prefix: str, response_id: str, conversation: str | None = "c", scope: str = "s") -> CommitRequest:
    return CommitRequest(scope=scope, prefix=prefix, conversation=conversation, turn=turn(response_id))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with running_nats(tmp_path) as server:
        yield server


@pytest.fixture
async def bus(server: NatsServer) -> AsyncIterator[Bus]:
    bus = await Bus.connect(Nats(url=server.url), "state")
    for bucket in (TURNS, HEADS):
        await ensure_bucket(bus.jetstream(), bucket, 1)
    yield bus
    await bus.drain(1)


@pytest.fixture
def state(bus: Bus) -> State:
    return State(JetStreamStore(bus.jetstream(1.0), turn_ttl_seconds=3600))


async def resolve(state: State, *prefixes: str, scope: str = "s") -> ResolveReply:
    return await state.resolve(ResolveRequest(scope=scope, prefixes=list(prefixes)), Call())


async def test_kept_turn_is_found(state: State) -> None:
    await state.commit(commit("p1", "resp_1"), Call())
    assert await resolve(state, "p1") == ResolveReply(index=0, turn=turn("resp_1"))


async def test_newest_known_turn_is_found(state: State) -> None:
    for number in (1, 2):
        await state.commit(commit(f"p{number}", f"resp_{number}"), Call())
    assert await resolve(state, "p3", "p2", "p1") == ResolveReply(index=1, turn=turn("resp_2"))


async def test_unknown_history_is_no_error(state: State) -> None:
    assert await resolve(state, "p1", "p2") == ResolveReply()
    assert await resolve(state) == ResolveReply()


async def test_turn_of_another_scope_is_never_found(state: State) -> None:
    await state.commit(commit("p1", "resp_1"), Call())
    assert await resolve(state, "p1", scope="other") == ResolveReply()


async def test_forgotten_turn_is_gone_and_may_be_kept_again(state: State) -> None:
    await state.commit(commit("p1", "resp_1"), Call())
    await state.forget(ForgetRequest(scope="s", prefix="p1"), Call())
    assert await resolve(state, "p1") == ResolveReply()
    await state.commit(commit("p1", "resp_2"), Call())
    assert await resolve(state, "p1") == ResolveReply(index=0, turn=turn("resp_2"))


async def test_commit_counts_the_answers_of_a_conversation(state: State) -> None:
    assert await state.commit(commit("p1", "resp_1"), Call()) == CommitReply(turns=1)
    assert await state.commit(commit("p2", "resp_2"), Call()) == CommitReply(turns=2)
    assert await state.commit(commit("p3", "resp_3", conversation=None), Call()) == CommitReply(turns=0)


async def test_repeated_commit_counts_once(state: State) -> None:
    await state.commit(commit("p1", "resp_1"), Call())
    assert await state.commit(commit("p1", "resp_1"), Call()) == CommitReply(turns=1)


async def test_commits_at_the_same_time_all_count(state: State) -> None:
    replies = await asyncio.gather(*(state.commit(commit(f"p{n}", f"resp_{n}"), Call()) for n in range(6)))
    assert sorted(reply.turns for reply in replies) == [1, 2, 3, 4, 5, 6]


async def test_conversation_names_may_be_anything(state: State) -> None:
    for name in ("a b.c>*", "ü", "x" * 500):
        assert await state.commit(commit("p1", f"resp_{name}", conversation=name), Call()) == CommitReply(turns=1)


async def test_turns_survive_a_killed_server(state: State, server: NatsServer) -> None:
    await state.commit(commit("p1", "resp_1"), Call())
    server.kill()
    server.start()

    async def found() -> bool:
        try:
            return await resolve(state, "p1") == ResolveReply(index=0, turn=turn("resp_1"))
        except BusDown:  # JetStream takes a moment to read its store
            return False

    await eventually(found, what="the turn")


async def test_turn_expires_by_its_time_to_live(bus: Bus) -> None:
    state = State(JetStreamStore(bus.jetstream(1.0), turn_ttl_seconds=1))
    await state.commit(commit("p1", "resp_1"), Call())

    async def gone() -> bool:
        return await resolve(state, "p1") == ResolveReply()

    await eventually(gone, what="expiry")
    assert await state.commit(commit("p1", "resp_2"), Call()) == CommitReply(turns=1)


async def test_lost_store_is_an_error_of_the_bus_and_never_a_hit(state: State, server: NatsServer) -> None:
    server.kill()
    with pytest.raises(BusDown):
        await resolve(state, "p1")
    server.start()


async def test_no_text_of_a_conversation_is_stored(state: State, bus: Bus, tmp_path: Path) -> None:
    await state.commit(commit("p1", "resp_1", conversation="the secret name"), Call())
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"resp_1" in stored
    assert b"secret name" not in stored
