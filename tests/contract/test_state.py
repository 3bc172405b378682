"""The state service on each of its stores: a real nats-server, a real Redis, and its own memory."""

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from deploy.local.nats_server import free_port
from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.runtime.errors import RequestInvalid
from libs.runtime.jetstream import ensure_bucket
from libs.runtime.sealing import Seals
from libs.schemas.bus.state import (
    ClaimRequest,
    CommitReply,
    CommitRequest,
    DeleteReply,
    DeleteRequest,
    KeptToolCall,
    ListRequest,
    MarkRequest,
    ReadReply,
    ReadRequest,
    ReleaseRequest,
    ResolveReply,
    ResolveRequest,
    StateStatusRequest,
    StoredResponse,
    Wanted,
)
from libs.schemas.config import Nats, Retention
from libs.schemas.config import State as Settings
from libs.schemas.subjects import CLAIM, COMMIT, DELETE, LIST, MARK, MARK_SECONDS, READ, RESOLVE, STATE, STATE_STATUS
from services.state.cache import Cache
from services.state.eviction import Evictions
from services.state.handlers import State
from services.state.records import HEAD
from services.state.stores.base import Conflict, Store, StoreDown
from services.state.stores.jetstream import JetStreamStore
from services.state.stores.memory import MemoryStore
from services.state.stores.redis import RedisStore
from services.state.vault import Vault
from tests.support.nats import NatsServer, running_nats
from tests.support.poll import eventually
from tests.support.redis import RedisServer, running_redis
from tests.support.turns import turn_of

STORES = ("jetstream", "redis", "memory")
SCOPE, OTHER_SCOPE = "5c" * 8, "5d" * 8
SECRET = b"s" * 32

Change = Literal["open", "renew", "close", "spoil"]


class Place:
    """Where a store keeps its bytes, and how to take it away."""

    def __init__(self, kind: str, folder: Path, stack: ExitStack) -> None:
        self.kind = kind
        self.folder = folder
        self.server: NatsServer | RedisServer | None = None
        self.memory = MemoryStore()
        if kind == "jetstream":
            self.server = stack.enter_context(running_nats(folder))
        elif kind == "redis":
            self.server = stack.enter_context(running_redis(folder))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        """Open the store anew, as another replica does; memory has only one."""
        if self.server is None:
            yield self.memory
        elif self.kind == "jetstream":
            bus = await Bus.connect(Nats(url=self.server.url), "state")
            await ensure_bucket(bus.jetstream(), STATE, 1)
            yield await JetStreamStore.open(bus, 1)
            await bus.drain(1)
        else:
            store = await RedisStore.open(self.server.url, 5)
            yield store
            await store.close()

    def raw(self) -> bytes:
        """All bytes that are kept."""
        files = b"".join(path.read_bytes() for path in self.folder.rglob("*") if path.is_file())
        return files + repr(self.memory._kept).encode()


class Tenant:
    """The state service as one tenant meets it, with a tenant and a cache of its own."""

    def __init__(self, store: Store, *, secret: bytes = SECRET, **settings: Any) -> None:
        self.id = os.urandom(16).hex()
        self.store = store
        self.secret = secret
        of_retention = {name: settings.pop(name) for name in Retention.__struct_fields__ if name in settings}
        self.settings, self.retention = Settings(**settings), Retention(**of_retention)
        self.later = 0.0  # seconds by which the clock of the state service is ahead
        self.cold()

    def cold(self, *, secret: bytes | None = None) -> "Tenant":
        """Start anew, with nothing in memory."""
        seals = Seals(self.secret if secret is None else secret)
        self.vault = Vault(self.store, seals, Cache(self.settings.cache_bytes), no_one)
        self.state = State(self.vault, self.settings, self.retention, lambda: time.time() + self.later)
        return self

    @property
    def call(self) -> BusContext:
        return BusContext(tenant=self.id)

    async def commit(
        self,
        number: int,
        *items: bytes,
        loose: str | None = None,
        scope: str = SCOPE,
        mark: str = "",
        numbered: int = 0,
        **turn: Any,
    ) -> CommitReply:
        made = turn_of(number, **turn)
        loose = f"100{number:x}" if loose is None else loose
        request = CommitRequest(scope=scope, loose=loose, turn=made, items=list(items), mark=mark, number=numbered)
        return await self.state.commit(request, self.call)

    async def mark(self, id_: str, change: Change = "open", **fields: Any) -> int:
        """Change the open call `id_` of the conversation; its number is returned."""
        request = MarkRequest(**{"scope": SCOPE, "conversation": "c", "id": id_, "change": change, **fields})
        return (await self.state.mark(request, self.call)).number

    async def answer(self, number: int, **turn: Any) -> int:
        """Open a call, and commit its answer; the number of the call is returned."""
        numbered = await self.mark(f"call {number}")
        assert (await self.commit(number, mark=f"call {number}", numbered=numbered, **turn)).refused is None
        return numbered

    async def open(self) -> list[tuple[int, bool]]:
        return [(call.number, call.live) for call in (await self.resolve(head="c")).open]

    async def resolve(self, *numbers: int, items_bytes: int = 0, head: str | None = None, **more: str) -> ResolveReply:
        turns = [Wanted(turn_key=f"e{number:x}", loose=more.get("loose", f"100{number:x}")) for number in numbers]
        request = ResolveRequest(scope=more.get("scope", SCOPE), turns=turns, items_bytes=items_bytes, head=head)
        return await self.state.resolve(request, self.call)

    async def found(self, *numbers: int, **more: Any) -> list[tuple[int, bool, str]]:
        reply = await self.resolve(*numbers, **more)
        return [(found.index, found.exact, found.turn.response_id) for found in reply.found]

    async def items(self, *numbers: int, items_bytes: int) -> list[list[bytes] | None]:
        return [found.items for found in (await self.resolve(*numbers, items_bytes=items_bytes)).found]

    async def head(self, conversation: str = "c", scope: str = SCOPE) -> tuple[str, str | None] | None:
        head = (await self.resolve(head=conversation, scope=scope)).head
        return None if head is None else (head.turn.key, None if head.before is None else head.before.key)

    async def delete(self, **what: Any) -> DeleteReply:
        return await self.state.delete(DeleteRequest(**what), self.call)

    async def read(self, **what: Any) -> ReadReply:
        return await self.state.read(ReadRequest(**what), self.call)

    async def listed(self, **what: Any) -> tuple[list[str], bool]:
        reply = await self.state.list(ListRequest(**what), self.call)
        return [info.id for info in reply.conversations], reply.has_more


async def no_one(keys: Sequence[str]) -> None:
    """There is no other replica."""


@pytest.fixture(scope="module", params=STORES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(request.param, tmp_path_factory.mktemp(request.param), stack)


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    async with place.open() as store:
        yield store


@pytest.fixture
def tenant(store: Store) -> Tenant:
    return Tenant(store)


# -- turns ------------------------------------------------------------------------------------------


async def test_kept_turn_is_found_as_it_was(tenant: Tenant) -> None:
    calls = [KeptToolCall(id="call_1", name="f", outline=b"\x00" * 8)]
    await tenant.commit(1, tool_calls=calls)
    for _ in ("warm", "cold"):
        found = (await tenant.resolve(1)).found
        assert [(one.index, one.exact, one.turn.tool_calls, one.items) for one in found] == [(0, True, calls, None)]
        tenant.cold()


async def test_all_known_turns_are_found_in_the_order_asked(tenant: Tenant) -> None:
    for number in (1, 2):
        await tenant.commit(number)
    assert await tenant.cold().found(3, 2, 1) == [(1, True, "resp_2"), (2, True, "resp_1")]


async def test_unknown_history_is_no_error(tenant: Tenant) -> None:
    assert await tenant.resolve(1, 2, head="c") == ResolveReply()
    assert await tenant.resolve() == ResolveReply()


async def test_long_history_is_asked_in_one_batch_of_its_newest(tenant: Tenant) -> None:
    await tenant.commit(300)
    await tenant.commit(301)
    assert await tenant.cold().found(*range(1, 302)) == [(299, True, "resp_300")]


async def test_turn_of_another_context_is_found_by_its_loose_key(tenant: Tenant) -> None:
    await tenant.commit(1, b"item", loose="aa")
    reply = await tenant.cold().resolve(9, loose="aa", items_bytes=100)
    assert [(one.exact, one.turn.response_id, one.items) for one in reply.found] == [(False, "resp_1", [b"item"])]


async def test_loose_key_of_two_turns_leads_to_neither_for_good(tenant: Tenant) -> None:
    for number in (1, 1, 2, 2, 1):
        await tenant.commit(number, loose="aa", response_id=f"resp_{number}")
    assert await tenant.cold().found(9, loose="aa") == []
    assert await tenant.found(2, loose="aa") == [(0, True, "resp_2")]
    await tenant.delete(turn_keys=["e1"])
    assert await tenant.found(9, loose="aa") == []


async def test_expired_turn_is_not_found_though_it_is_kept(tenant: Tenant) -> None:
    await tenant.commit(1, expires=int(time.time()) - 1)
    assert await tenant.found(1) == []
    assert await tenant.cold().found(9, loose="1001") == []
    assert await tenant.head() is None


async def test_times_to_live_end_in_the_store(store: Store) -> None:
    tenant = Tenant(store, link_ttl_seconds=3600, items_ttl_seconds=1)
    await tenant.commit(1, b"item", stored=True)
    await tenant.commit(2, b"item", conversation="other")

    async def gone() -> bool:
        found, head = await tenant.cold().found(1, 2), await tenant.head("other")
        # The head was written last, and goes last.
        return (found, head) == ([(0, True, "resp_1")], None) and await tenant.listed() == (["c"], False)

    await eventually(gone, what="expiry")
    assert await tenant.items(1, items_bytes=100) == [None]
    assert await tenant.head() == ("e1", None)
    assert await tenant.commit(2, conversation="other") == CommitReply(turns=1)


@pytest.mark.parametrize("word", ["", "a.b", "*", ">", "A", "g", "a" * 200, "ü"])
async def test_digest_that_is_none_is_refused_and_nothing_is_kept(tenant: Tenant, word: str) -> None:
    bad: tuple[dict[str, Any], ...] = ({"loose": word}, {"key": word}, {"scope": word})
    for wrong in bad:
        with pytest.raises(msgspec.ValidationError):
            await tenant.commit(1, **wrong)
    with pytest.raises(msgspec.ValidationError):
        await tenant.resolve(1, loose=word)
    tenant.id, known = word, tenant.id
    with pytest.raises(msgspec.ValidationError):
        await tenant.resolve(1)
    tenant.id = known
    assert await tenant.found(1) == []


# -- items ------------------------------------------------------------------------------------------


async def test_items_come_newest_first_until_one_turn_does_not_fit(tenant: Tenant) -> None:
    for number, size in ((1, 5), (2, 50), (3, 20), (4, 0), (5, 30)):
        await tenant.commit(number, *([b"x" * size] if size else []))
    history = (5, 4, 3, 2, 1)
    for budget, sizes in ((0, ()), (29, ()), (30, (30,)), (60, (30, None, 20)), (105, (30, None, 20, 50, 5))):
        found = await tenant.cold().items(*history, items_bytes=budget)
        assert [sum(map(len, items)) if items else None for items in found] == [*sizes, *[None] * (5 - len(sizes))]


async def test_no_items_come_where_the_newest_turn_chains(tenant: Tenant) -> None:
    await tenant.commit(1, b"old", stored=True)
    await tenant.commit(2, b"new", stored=True)
    for newest, expected in ((2, [None, None]), (3, [[b"new"], [b"old"]])):
        turns = [
            Wanted(turn_key=f"e{number:x}", loose=f"100{number:x}") for number in (newest, 2, 1)[-2 - newest % 2 :]
        ]
        request = ResolveRequest(scope=SCOPE, turns=turns, items_bytes=100, chains=True)
        reply = await tenant.state.resolve(request, tenant.call)
        assert [found.items for found in reply.found] == expected


async def test_turn_is_kept_without_items_that_are_too_large(store: Store) -> None:
    tenant = Tenant(store, max_items_bytes=10)
    await tenant.commit(1, b"x" * 6, b"y" * 5)
    await tenant.commit(2, b"x" * 6, b"y" * 4)
    assert await tenant.items(2, 1, items_bytes=1000) == [[b"x" * 6, b"y" * 4], None]


async def test_items_of_another_answer_are_never_given(tenant: Tenant) -> None:
    await tenant.commit(1, b"first")
    await tenant.commit(1, response_id="resp_other")
    assert await tenant.cold().items(1, items_bytes=1000) == [None]


async def test_many_and_large_items_come_in_one_reply(tenant: Tenant) -> None:
    item = os.urandom(200_000)
    for number in range(20):
        await tenant.commit(number, item)
    found = await tenant.cold().items(*range(20), items_bytes=5_000_000)
    assert found == [[item]] * 20


# -- heads ------------------------------------------------------------------------------------------


async def test_commit_counts_the_answers_of_a_conversation(tenant: Tenant) -> None:
    assert [(await tenant.commit(number)).turns for number in (1, 2, 3)] == [1, 2, 3]
    assert (await tenant.commit(4, conversation="other")).turns == 1


async def test_repeated_commit_counts_once_even_when_others_came_between(tenant: Tenant) -> None:
    await tenant.commit(1, b"item")
    await tenant.commit(2)
    assert await tenant.commit(1, b"item") == CommitReply(turns=2)
    assert await tenant.head() == ("e2", "e1")
    assert await tenant.items(1, items_bytes=100) == [[b"item"]]


async def test_commits_at_the_same_time_all_count(tenant: Tenant) -> None:
    replies = await asyncio.gather(*(tenant.commit(number) for number in range(8)))
    assert sorted(reply.turns for reply in replies) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert await tenant.head() is not None


async def test_head_knows_the_turn_before_it(tenant: Tenant) -> None:
    await tenant.commit(1)
    assert await tenant.head() == ("e1", None)
    await tenant.commit(2)
    assert await tenant.head() == ("e2", "e1")
    await tenant.commit(12, start="h1")  # another answer to what turn 2 answered
    assert await tenant.head() == ("ec", "e1")
    await tenant.commit(30, start="elsewhere")
    assert await tenant.cold().head() == ("e1e", None)


async def test_head_is_its_own_response_though_another_one_had_the_same_words(tenant: Tenant, store: Store) -> None:
    await tenant.answer(1)
    await tenant.answer(2, response_id="resp_first")
    other = Tenant(store)  # a replica whose memory holds the first answer
    other.id = tenant.id
    assert (await other.resolve(2, head="c")).found[0].turn.response_id == "resp_first"
    again = await tenant.mark("again")
    await tenant.commit(2, response_id="resp_again", mark="again", numbered=again)
    for replica in (other, tenant, tenant.cold()):
        head = (await replica.resolve(head="c")).head
        assert head is not None and head.before is not None
        assert (head.turn.response_id, head.before.response_id) == ("resp_again", "resp_1")


async def test_turn_before_the_head_is_its_own_response_too(tenant: Tenant) -> None:
    first = await tenant.mark("late")
    await tenant.answer(1, response_id="resp_seen")
    await tenant.answer(2)
    # The same words, kept in the same place, of a call that nobody follows.
    await tenant.commit(1, response_id="resp_late", mark="late", numbered=first)
    head = (await tenant.cold().resolve(head="c")).head
    assert head is not None and head.before is not None
    assert (head.turn.response_id, head.before.response_id) == ("resp_2", "resp_seen")


async def test_head_belongs_to_its_scope(tenant: Tenant) -> None:
    await tenant.commit(1)
    assert await tenant.head(scope=OTHER_SCOPE) is None


async def test_conversation_names_may_be_anything(tenant: Tenant) -> None:
    for number, name in enumerate(("a b.c>*", "ü", "x" * 500, "")):
        assert await tenant.commit(number, conversation=name) == CommitReply(turns=1)
        assert await tenant.head(name) == (f"e{number:x}", None)


# -- open calls and the order of commits ------------------------------------------------------------


async def test_calls_are_numbered_in_the_order_in_which_they_begin(tenant: Tenant) -> None:
    assert [await tenant.mark(name) for name in ("a", "b", "a", "c")] == [1, 2, 1, 3]
    assert await tenant.open() == [(1, True), (2, True), (3, True)]
    assert await tenant.mark("elsewhere", conversation="other") == 1
    assert await tenant.head() is None
    assert await tenant.read(conversation="c") == ReadReply()
    assert await tenant.listed() == ([], False)


async def test_marks_at_the_same_time_get_different_numbers(tenant: Tenant) -> None:
    numbers = await asyncio.gather(*(tenant.mark(f"call {k}") for k in range(8)))
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_late_commit_never_moves_the_head_back_but_is_kept(tenant: Tenant) -> None:
    await tenant.answer(1)
    late = await tenant.mark("late")
    await tenant.answer(2)
    assert (await tenant.commit(12, start="h1", mark="late", numbered=late)) == CommitReply(turns=3)
    assert await tenant.head() == ("e2", "e1")
    assert await tenant.found(12) == [(0, True, "resp_12")]
    assert await tenant.open() == []


async def test_late_commit_that_follows_the_head_moves_it(tenant: Tenant) -> None:
    late = await tenant.mark("late")
    await tenant.answer(1)
    await tenant.commit(2, mark="late", numbered=late)
    assert await tenant.head() == ("e2", "e1")
    # The head keeps the number of the newest call: one that is older than that still cannot move it.
    await tenant.commit(30, start="elsewhere", mark="older", numbered=late)
    assert await tenant.head() == ("e2", "e1")


async def test_repeated_commit_changes_nothing_however_late(tenant: Tenant) -> None:
    first = await tenant.answer(1, stored=True)
    await tenant.answer(2)
    await tenant.delete(turn_keys=["e1"])  # the upstream has forgotten it
    assert await tenant.commit(1, stored=True, mark="call 1", numbered=first) == CommitReply(turns=2)
    assert await tenant.head() == ("e2", None)
    assert await tenant.found(1) == []


async def test_commit_after_a_branch_goes_by_its_number(tenant: Tenant) -> None:
    await tenant.answer(1)
    one, two = await tenant.mark("one"), await tenant.mark("two")
    await tenant.commit(22, start="h1", mark="two", numbered=two)
    await tenant.commit(21, start="h1", mark="one", numbered=one)
    assert await tenant.head() == ("e16", "e1")


async def test_call_whose_mark_did_not_get_through_moves_the_head_only_where_it_follows_it(tenant: Tenant) -> None:
    await tenant.answer(1)
    await tenant.commit(30, start="elsewhere", mark="lost")
    assert await tenant.head() == ("e1", None)
    await tenant.commit(2, mark="also lost")
    assert await tenant.head() == ("e2", "e1")


async def test_number_is_found_by_the_mark_when_its_answer_was_lost(tenant: Tenant) -> None:
    await tenant.answer(1)
    await tenant.mark("call")
    await tenant.commit(30, start="elsewhere", mark="call")
    assert await tenant.head() == ("e1e", None)


async def test_commit_removes_its_mark_and_all_before_it(tenant: Tenant) -> None:
    numbers = [await tenant.mark(name) for name in ("cut", "lives", "commits", "later")]
    await tenant.mark("cut", "spoil")
    assert await tenant.open() == [(1, False), (2, True), (3, True), (4, True)]
    await tenant.commit(1, mark="commits", numbered=numbers[2])
    assert await tenant.open() == [(4, True)]


async def test_mark_is_taken_off_or_made_unusable(tenant: Tenant) -> None:
    for name in ("refused", "cut"):
        await tenant.mark(name)
    assert await tenant.mark("refused", "close") == 0
    assert await tenant.mark("cut", "spoil") == 2
    assert await tenant.open() == [(2, False)]
    # What comes late, or again, is none.
    assert [await tenant.mark(name) for name in ("refused", "cut")] == [0, 2]
    assert await tenant.mark("cut", "renew") == 0
    assert await tenant.open() == [(2, False)]


@pytest.mark.parametrize("end", ["close", "spoil"])
async def test_mark_that_comes_after_its_end_is_none(tenant: Tenant, end: Change) -> None:
    await tenant.answer(1)
    await tenant.mark("late", end)
    assert await tenant.mark("late") == 0
    assert await tenant.commit(2, mark="committed") == CommitReply(turns=2)
    assert await tenant.mark("committed") == 0
    assert await tenant.open() == []


async def test_mark_lives_while_it_is_renewed(tenant: Tenant) -> None:
    for name in ("renewed", "silent"):
        await tenant.mark(name)
    tenant.later = MARK_SECONDS / 2
    await tenant.mark("renewed", "renew")
    tenant.later = MARK_SECONDS + 1
    assert await tenant.open() == [(1, True), (2, False)]


async def test_conversation_has_so_many_open_calls_at_most(tenant: Tenant) -> None:
    for number in range(20):
        await tenant.mark(f"cut {number}")
        await tenant.mark(f"cut {number}", "spoil")
    numbers = [await tenant.mark(f"call {number}") for number in range(70)]
    assert numbers == [*range(21, 85), *[0] * 6]
    assert await tenant.open() == [*((number, False) for number in range(13, 21)), *((n, True) for n in range(21, 85))]


async def test_mark_of_a_call_that_keeps_nothing_begins_no_conversation(tenant: Tenant) -> None:
    assert await tenant.mark("call", known=True) == 0
    assert await tenant.store.keys(f"{tenant.id}.h.") == []
    await tenant.answer(1)
    assert await tenant.mark("call", known=True) == 2


async def test_answer_that_finds_no_room_makes_its_mark_unusable(store: Store) -> None:
    tenant = Tenant(store, max_tenant_turns=1)
    await tenant.answer(1)
    number = await tenant.mark("call")
    assert (await tenant.commit(2, mark="call", numbered=number)).refused == "tenant_full"
    assert await tenant.open() == [(2, False)]


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "unknown number"])
@pytest.mark.parametrize("answered", [True, False], ids=["second turn", "first turn"])
async def test_commit_of_a_call_that_began_before_a_deletion_writes_nothing(
    tenant: Tenant, answered: bool, numbered: bool
) -> None:
    if answered:
        await tenant.answer(1)
    number = await tenant.mark("late")
    assert (await tenant.delete(conversation="c")).known
    before = sorted(await tenant.store.keys(f"{tenant.id}.h."))
    for _ in range(2):
        reply = await tenant.commit(2, b"item", stored=True, mark="late", numbered=number if numbered else 0)
        assert reply.refused == "deleted"
    assert await tenant.cold().found(1, 2) == []
    assert await tenant.read(conversation="c", upstream_id="resp_2") == ReadReply()
    assert await tenant.delete(conversation="c") == DeleteReply()
    for kind in ("t", "m"):
        assert await tenant.store.keys(f"{tenant.id}.{kind}.") == []
    assert sorted(await tenant.store.keys(f"{tenant.id}.h.")) == before


async def test_conversation_begins_anew_under_its_name_and_old_calls_stay_out(tenant: Tenant) -> None:
    await tenant.answer(1)
    late = await tenant.mark("late")
    await tenant.delete(conversation="c")
    assert await tenant.open() == []
    for number in (10, 11, 12):
        await tenant.answer(number)
    assert await tenant.head() == ("ec", "eb")
    assert (await tenant.commit(2, mark="late", numbered=late)).refused == "deleted"
    assert (await tenant.commit(3, mark="unknown")).refused == "deleted"
    assert await tenant.head() == ("ec", "eb")
    assert await tenant.commit(13, mark="no mark") == CommitReply(turns=4)
    assert await tenant.head() == ("ed", "ec")


async def test_commit_that_meets_a_deletion_half_way_leaves_nothing(tenant: Tenant) -> None:
    number = await tenant.mark("call")
    write, deleted = tenant.vault.write, False

    async def delete_then_write(*what: Any) -> None:
        nonlocal deleted
        if not deleted:
            deleted = True
            await tenant.delete(conversation="c")
        await write(*what)

    tenant.vault.write = delete_then_write  # type: ignore[assignment,method-assign]
    assert (await tenant.commit(1, b"item", stored=True, mark="call", numbered=number)).refused == "deleted"
    assert deleted
    assert await tenant.cold().found(1) == []
    assert await tenant.read(conversation="c", upstream_id="resp_1") == ReadReply()
    for kind in ("t", "m"):
        assert await tenant.store.keys(f"{tenant.id}.{kind}.") == []


# -- conversations ----------------------------------------------------------------------------------


async def test_conversation_is_told_over_all_its_scopes(tenant: Tenant) -> None:
    await tenant.commit(1, created=100, stored=True)
    await tenant.commit(2, created=200, scope=OTHER_SCOPE, model="newer")
    info = (await tenant.read(conversation="c")).conversation
    assert info is not None
    assert (info.id, info.turns, info.model, info.upstream) == ("c", 2, "newer", "up")
    assert (info.stored, info.last_response_id, info.created, info.updated) == (True, "resp_2", 100, 200)
    assert info.expires == pytest.approx(time.time() + 29 * 86400, abs=60)
    assert await tenant.read(conversation="unknown") == ReadReply()


async def test_owner_of_an_id_is_remembered(tenant: Tenant) -> None:
    await tenant.commit(1, stored=True)
    await tenant.commit(2)
    await tenant.state.claim(ClaimRequest(upstream_id="file.*>", upstream="theirs"), tenant.call)
    owners = [(await tenant.read(upstream_id=id)).upstream for id in ("resp_1", "resp_2", "file.*>")]
    assert owners == ["up", None, "theirs"]


async def test_owners_of_many_ids_are_claimed_and_read_in_one_message(tenant: Tenant) -> None:
    await tenant.commit(1, stored=True)
    names = [f"item:msg_{number}" for number in range(300)]
    await tenant.state.claim(ClaimRequest(upstream_id="conversation:c", upstream="b", more=names), tenant.call)
    asked = ["resp_1", "conversation:c", "unknown", *names]
    found = (await tenant.read(upstream_ids=asked)).owners
    assert found == {"resp_1": "up", **dict.fromkeys(["conversation:c", *names], "b")}
    stranger = Tenant(tenant.store)
    assert (await stranger.read(upstream_ids=asked)).owners == {}


async def test_released_id_is_nobody_s_and_may_be_claimed_anew(tenant: Tenant) -> None:
    claim = ClaimRequest(upstream_id="resp_1", upstream="a", more=["resp_2"])
    for _ in range(2):
        await tenant.state.claim(claim, tenant.call)
        for _ in range(2):
            await tenant.state.release(ReleaseRequest(upstream_id="resp_1"), tenant.call)
        assert (await tenant.read(upstream_ids=["resp_1", "resp_2"])).owners == {"resp_2": "a"}


async def test_claim_that_is_in_use_outlives_its_time(tenant: Tenant) -> None:
    tenant.retention = Retention(link_ttl_seconds=4)
    tenant.cold()
    await tenant.state.claim(ClaimRequest(upstream_id="used", upstream="a", more=["unused"]), tenant.call)
    for _ in range(4):
        await asyncio.sleep(1.7)
        assert (await tenant.read(upstream_ids=["used"])).owners == {"used": "a"}
    assert (await tenant.read(upstream_ids=["used", "unused"])).owners == {"used": "a"}


async def test_conversations_are_listed_newest_first_by_pages(tenant: Tenant) -> None:
    for number in range(5):
        await tenant.commit(number, conversation=f"c{number}", created=100 + number)
    assert await tenant.listed() == (["c4", "c3", "c2", "c1", "c0"], False)
    assert await tenant.listed(limit=2) == (["c4", "c3"], True)
    assert await tenant.listed(limit=2, after="c3") == (["c2", "c1"], True)
    assert await tenant.listed(limit=2, after="c1") == (["c0"], False)


async def test_deleted_conversation_is_gone_and_may_begin_again(tenant: Tenant) -> None:
    await tenant.commit(1, b"item", stored=True)
    await tenant.commit(1, b"item", stored=True, response_id="resp_twin")
    await tenant.commit(2, b"item", scope=OTHER_SCOPE)
    await tenant.commit(3, conversation="kept")
    reply = await tenant.delete(conversation="c")
    assert reply.known
    responses = {StoredResponse(upstream="up", response_id=id) for id in ("resp_1", "resp_twin")}
    assert set(map(msgspec.structs.astuple, reply.responses)) == set(map(msgspec.structs.astuple, responses))
    for _ in ("warm", "cold"):
        assert await tenant.found(1, 2, 3) == [(2, True, "resp_3")]
        assert await tenant.found(9, loose="1001") == []
        assert await tenant.head() is None
        tenant.cold()
    assert await tenant.read(conversation="c", upstream_id="resp_1") == ReadReply()
    assert await tenant.listed() == (["kept"], False)
    assert await tenant.delete(conversation="c") == DeleteReply()
    await tenant.answer(1)
    assert await tenant.found(1) == [(0, True, "resp_1")]


async def test_deleted_turns_are_gone_alone(tenant: Tenant) -> None:
    for number in (1, 2):
        await tenant.commit(number, b"item", stored=True)
    assert await tenant.delete(turn_keys=["e1", "ff"]) == DeleteReply(known=True)
    assert await tenant.found(2, 1) == [(0, True, "resp_2")]
    assert await tenant.cold().found(9, loose="1001") == []
    assert await tenant.delete(turn_keys=["e1"]) == DeleteReply()


async def test_nothing_of_an_erased_conversation_is_left(tenant: Tenant, place: Place) -> None:
    await tenant.commit(1, b"item", stored=True)
    for prefix in ("t", "h"):
        assert len(await tenant.store.keys(f"{tenant.id}.{prefix}.")) == 1
    await tenant.delete(conversation="c")
    assert await tenant.store.keys(f"{tenant.id}.t.") == []
    (tombstone,) = await tenant.store.keys(f"{tenant.id}.h.")
    kept = (await tenant.vault.get(tombstone, HEAD)).record
    assert (kept.head, kept.start, kept.end, kept.recent, kept.open) == (None, "", "", [], [])
    assert kept.expires == pytest.approx(time.time() + 2 * 86400, abs=60)  # as long as a commit may be late


# -- tenants ----------------------------------------------------------------------------------------


async def test_tenants_never_meet(store: Store) -> None:
    one, other = Tenant(store), Tenant(store)
    await one.commit(1, b"item", stored=True)
    assert await other.resolve(1, items_bytes=100, head="c") == ResolveReply()
    assert await other.read(conversation="c", upstream_id="resp_1") == ReadReply()
    assert await other.listed() == ([], False)
    assert await other.delete(conversation="c", turn_keys=["e1"]) == DeleteReply()
    assert await other.delete(turn_keys=["e1"]) == DeleteReply()
    assert await one.cold().found(1) == [(0, True, "resp_1")]


async def test_value_moved_to_another_tenant_does_not_open(store: Store) -> None:
    one, other = Tenant(store), Tenant(store)
    await one.commit(1)
    moved = await store.read([f"{one.id}.t.e1"])
    await store.write(f"{other.id}.t.e1", moved[f"{one.id}.t.e1"], 60)
    assert await other.found(1) == []


async def test_full_tenant_keeps_nothing_more(store: Store) -> None:
    tenant = Tenant(store, max_tenant_turns=2)
    for number in (1, 2):
        assert (await tenant.commit(number)).refused is None
    for _ in ("counted here", "counted by the store"):
        assert await tenant.commit(3) == CommitReply(refused="tenant_full")
        assert (await tenant.commit(2)).refused is None
        assert await tenant.found(3) == []
        tenant.cold()
    assert (await Tenant(store, max_tenant_turns=2).commit(3)).refused is None
    await tenant.delete(conversation="c")
    assert (await tenant.commit(3, conversation="another")).refused is None


async def test_status_tells_the_store_and_its_use(tenant: Tenant, place: Place) -> None:
    await tenant.commit(1)
    await tenant.resolve(1, 2, 3)
    status = await tenant.state.status(StateStatusRequest(), BusContext())
    assert (status.store, status.hits, status.misses) == (place.kind, 1, 2)
    assert status.entries >= 4
    assert status.bytes


# -- seals ------------------------------------------------------------------------------------------


async def test_no_text_and_no_id_is_kept_in_the_clear(tenant: Tenant, place: Place) -> None:
    text = b"recognisable"
    await tenant.commit(1, text * 3, conversation="recognisable name", response_id="resp_recognisable", stored=True)
    await tenant.commit(2, model="recognisable model", upstream="recognisable upstream", account="recognisable")
    await tenant.state.claim(ClaimRequest(upstream_id="file_recognisable", upstream="recognisable"), tenant.call)
    assert await tenant.cold().items(1, items_bytes=1000) == [[text * 3]]
    raw = place.raw()
    assert tenant.id.encode() in raw
    assert text not in raw


async def test_another_secret_is_a_miss(tenant: Tenant) -> None:
    await tenant.commit(1, b"item")
    assert await tenant.cold(secret=b"n" * 32).resolve(1, items_bytes=100, head="c") == ResolveReply()
    # What does not open is written over.
    assert await tenant.cold(secret=b"n" * 32).commit(1, b"new") == CommitReply(turns=1)
    assert await tenant.items(1, items_bytes=100) == [[b"new"]]


async def test_damaged_value_is_a_miss(tenant: Tenant) -> None:
    await tenant.commit(1)
    for damaged in (b"x", b"x" * 100):
        await tenant.store.write(f"{tenant.id}.t.e1", damaged, 60)
        assert await tenant.cold().found(1) == []


# -- the stores themselves --------------------------------------------------------------------------


async def test_store_swaps_only_what_is_as_expected(store: Store) -> None:
    key = f"{os.urandom(16).hex()}.h.aa.bb"
    with pytest.raises(Conflict):
        await store.swap(key, b"1", 7, 60)
    await store.swap(key, b"1", 0, 60)
    entry = await store.get(key)
    assert entry is not None and entry.value == b"1"
    with pytest.raises(Conflict):
        await store.swap(key, b"2", 0, 60)
    await store.swap(key, b"2", entry.revision, 60)
    with pytest.raises(Conflict):
        await store.swap(key, b"3", entry.revision, 60)
    await store.delete([key, key + "00"])
    assert await store.get(key) is None
    await store.swap(key, b"4", 0, 60)
    assert await store.read([key]) == {key: b"4"}


async def test_store_reads_and_lists_more_keys_than_one_batch_holds(store: Store) -> None:
    tenant = os.urandom(16).hex()
    keys = [f"{tenant}.t.{number:x}" for number in range(1100)]
    for start in range(0, len(keys), 50):  # a store answers each within a second, on a busy machine too
        await asyncio.gather(*(store.write(key, key.encode(), 60) for key in keys[start : start + 50]))
    assert await store.read([*keys, f"{tenant}.t.ffff"]) == {key: key.encode() for key in keys}
    assert sorted(await store.keys(f"{tenant}.t.")) == sorted(keys)
    assert await store.count(f"{tenant}.t.") == len(keys)
    await store.delete(keys)
    assert await store.count(f"{tenant}.t.") == 0
    assert await store.read([]) == {}


# -- faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["jetstream", "redis"])
async def test_killed_server_is_an_error_of_the_store_never_a_hit_and_loses_nothing(kind: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        place = Place(kind, tmp_path, stack)
        assert place.server is not None
        async with place.open() as store:
            tenant = Tenant(store)
            await tenant.commit(1)
            place.server.kill()
            tenant.cold()
            for attempt in (tenant.found(1), tenant.commit(2), tenant.delete(conversation="c"), tenant.listed()):
                with pytest.raises(StoreDown):
                    await attempt
            place.server.start()

            async def found() -> bool:
                try:
                    return await tenant.found(1) == [(0, True, "resp_1")]
                except StoreDown:  # the server takes a moment to read its store
                    return False

            await eventually(found, what="the turn")
            assert await tenant.commit(2) == CommitReply(turns=2)


async def test_lost_bucket_is_an_error_of_the_store_or_a_miss(tmp_path: Path) -> None:
    with ExitStack() as stack:
        place = Place("jetstream", tmp_path, stack)
        async with place.open() as store:
            tenant = Tenant(store)
            await tenant.commit(1)
            assert place.server is not None
            bus = await Bus.connect(Nats(url=place.server.url), "operator")
            await bus.jetstream().delete_stream(f"KV_{STATE.name}")
            tenant.cold()
            assert await tenant.head() is None
            for attempt in (tenant.found(1), tenant.commit(2), tenant.listed(), tenant.delete(conversation="c")):
                with pytest.raises(StoreDown):
                    await attempt
            await ensure_bucket(bus.jetstream(), STATE, 1)
            assert await tenant.commit(2) == CommitReply(turns=1)
            await bus.drain(1)


async def test_what_one_replica_erases_no_other_gives_from_its_memory(tmp_path: Path) -> None:
    with running_nats(tmp_path) as server:
        replicas, buses = [], []
        for _ in range(2):
            bus = await Bus.connect(Nats(url=server.url), "state")
            await ensure_bucket(bus.jetstream(), STATE, 1)
            cache = Cache(1_000_000)
            evictions = await Evictions.join(bus, cache)
            tenant = Tenant(await JetStreamStore.open(bus, 1))
            vault = Vault(tenant.store, Seals(SECRET), cache, evictions.notify)
            tenant.state = State(vault, tenant.settings, tenant.retention)
            replicas.append(tenant)
            buses.append(bus)
        one, other = replicas
        other.id = one.id
        await one.commit(1, b"item")
        assert await other.items(1, items_bytes=100) == [[b"item"]]
        # Away from the store, the other one has it still.
        await one.store.delete([f"{one.id}.t.e1"])
        assert await other.found(1) == [(0, True, "resp_1")]
        await one.delete(conversation="c")

        async def gone() -> bool:
            return await other.found(1) == []

        await eventually(gone, what="eviction", seconds=1)
        for bus in buses:
            await bus.drain(1)


# -- the process ------------------------------------------------------------------------------------


def environment(nats_url: str, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PARLEY_NATS_URL": nats_url,
        "PARLEY_SECRET": "x" * 32,
        "PARLEY_HEALTH_PORT": "0",
        "OPENAI_API_KEY": "sk-none",
        **more,
    }


async def spawn(**environ: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.state", env=environ, stdout=PIPE, stderr=PIPE
    )


async def test_process_serves_all_subjects_from_the_store_that_is_configured(place: Place, tmp_path: Path) -> None:
    with running_nats(tmp_path) as nats:
        redis = {"PARLEY_STATE_REDIS_URL": place.server.url} if isinstance(place.server, RedisServer) else {}
        process = await spawn(**environment(nats.url, PARLEY_STATE_STORE=place.kind, **redis))
        assert process.stdout is not None
        assert (await process.stdout.readline()).startswith(b"ready")
        bus, call = await Bus.connect(Nats(url=nats.url), "edge"), BusContext(tenant=os.urandom(16).hex())
        request = CommitRequest(scope=SCOPE, loose="aa", turn=turn_of(1))
        assert await bus.call(COMMIT, request, call) == CommitReply(turns=1)
        wanted = ResolveRequest(scope=SCOPE, turns=[Wanted(turn_key="e1", loose="aa")])
        assert len((await bus.call(RESOLVE, wanted, call)).found) == 1
        await bus.call(CLAIM, ClaimRequest(upstream_id="file_1", upstream="up"), call)
        assert (await bus.call(READ, ReadRequest(upstream_id="file_1"), call)).upstream == "up"
        assert len((await bus.call(LIST, ListRequest(), call)).conversations) == 1
        mark = MarkRequest(scope=SCOPE, conversation="c", id="call", change="open")
        assert (await bus.call(MARK, mark, call)).number == 1
        assert (await bus.call(DELETE, DeleteRequest(conversation="c"), call)).known
        assert (await bus.call(STATE_STATUS, StateStatusRequest(), call)).store == place.kind
        with pytest.raises(RequestInvalid):
            await bus.call(RESOLVE, wanted, BusContext(tenant="no digest"))
        await bus.drain(1)
        process.terminate()
        assert await process.wait() == 0


async def test_process_without_its_redis_ends_with_one_line(tmp_path: Path) -> None:
    with running_nats(tmp_path) as nats:
        redis = {"PARLEY_STATE_STORE": "redis", "PARLEY_STATE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
        environ = environment(nats.url, PARLEY_NATS_CONNECT_TIMEOUT_SECONDS="0.5", **redis)
        process = await spawn(**environ)
        _, errors = await process.communicate()
    lines = [line for line in errors.decode().splitlines() if not line.startswith("{")]
    assert process.returncode == 1
    assert len(lines) == 1 and lines[0].startswith("parley state: no connection to Redis")
