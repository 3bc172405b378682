"""What no real store shows at will: replicas that lag, answers that are lost, races that others win."""

from collections.abc import Sequence

import pytest

from libs.runtime.call import BusContext
from libs.runtime.sealing import Seals
from libs.schemas.bus.state import CommitReply, CommitRequest, ResolveRequest, Turn, Wanted
from libs.schemas.config import Retention
from libs.schemas.config import State as Settings
from services.state.cache import Cache
from services.state.handlers import State
from services.state.keys import Keys
from services.state.moving import UNKNOWN_TRIES
from services.state.stores.base import StoreDown
from services.state.stores.memory import MemoryStore
from services.state.vault import Vault

CALL = BusContext(tenant="0a" * 16)


class Lagging(MemoryStore):
    """Replicas that know nothing yet; `asked` are the keys that the leader was asked for."""

    lags = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        return {}

    async def get(self, key: str):  # type: ignore[no-untyped-def]
        self.asked.append(key)
        return await super().get(key)


class Losing(MemoryStore):
    """Loses the answers of the first `losses` swaps of heads, which happen where `happens` says so."""

    def __init__(self, losses: int, happens: bool) -> None:
        super().__init__()
        self._losses = losses
        self._happens = happens

    async def swap(self, key: str, value: bytes, expect: int, ttl_seconds: int) -> None:
        lose = ".h." in key and self._losses > 0
        if not lose or self._happens:
            await super().swap(key, value, expect, ttl_seconds)
        if lose:
            self._losses -= 1
            raise StoreDown("no answer")


async def no_one(keys: Sequence[str]) -> None:
    """There is no other replica."""


def state(store: MemoryStore) -> State:
    return State(Vault(store, Seals(b"s" * 32), Cache(0), no_one), Settings(), Retention(), clock=lambda: 100.0)


def commit(entry: str, loose: str = "aa") -> CommitRequest:
    turn = Turn(
        key=entry,
        response_id=f"resp_{entry}",
        upstream="up",
        account="a",
        model="m",
        prefix="p",
        end=entry,
        asked="q",
        start="start",
        context="x",
        conversation="c",
        chainable=True,
        stored=False,
        created=100,
        expires=200,
    )
    return CommitRequest(scope="5c", loose=loose, turn=turn)


async def test_newest_missing_turn_alone_is_asked_of_the_leader() -> None:
    store = Lagging()
    await state(store).commit(commit("e1"), CALL)
    store.asked.clear()
    wanted = [Wanted(turn_key="e1", loose="bb"), Wanted(turn_key="e2", loose="cc"), Wanted(turn_key="e3", loose="dd")]
    reply = await state(store).resolve(ResolveRequest(scope="5c", turns=wanted, head="c"), CALL)
    assert [(found.index, found.exact) for found in reply.found] == [(0, True)]
    assert reply.head is not None and reply.head.turn.key == "e1"
    keys = Keys(CALL.tenant)
    assert sorted(store.asked) == sorted([keys.turn("e1"), keys.head("c", "5c"), keys.turn("e1")])


async def test_leader_knows_a_loose_key_too() -> None:
    store = Lagging()
    await state(store).commit(commit("e1", loose="aa"), CALL)
    for loose, found in (("aa", [(0, False)]), ("bb", [])):
        wanted = [Wanted(turn_key="e9", loose=loose)]
        reply = await state(store).resolve(ResolveRequest(scope="5c", turns=wanted), CALL)
        assert [(one.index, one.exact) for one in reply.found] == found


@pytest.mark.parametrize("happens", [True, False])
async def test_lost_answer_of_a_head_is_looked_after_and_counts_once(happens: bool) -> None:
    store = Losing(UNKNOWN_TRIES, happens)
    assert await state(store).commit(commit("e1"), CALL) == CommitReply(turns=1)
    assert await state(store).commit(commit("e2", loose="bb"), CALL) == CommitReply(turns=2)


async def test_store_that_stays_away_is_an_error() -> None:
    store = Losing(UNKNOWN_TRIES + 1, happens=False)
    with pytest.raises(StoreDown):
        await state(store).commit(commit("e1"), CALL)
    assert await state(store).commit(commit("e1"), CALL) == CommitReply(turns=1)
