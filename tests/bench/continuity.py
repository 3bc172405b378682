"""What it costs to go on from earlier answers: time added to a turn, the state service's own, and bytes kept.

A warm state service has just seen what it is asked; a cold one has no cache, so that each call is its first.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import msgspec
from msgspec import Raw

from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.schemas.bus.convert import ClientOptions, Converted, ConvertRequest
from libs.schemas.bus.state import CommitRequest, ResolveRequest, StateStatus, StateStatusRequest, Wanted
from libs.schemas.config import Nats
from libs.schemas.plan import PLAN_VERSION, StreamPlan
from libs.schemas.subjects import COMMIT, CONVERT, RESOLVE, STATE_STATUS
from libs.translate.continuity.keeping import to_commit
from tests.bench.answers import agent_output
from tests.bench.conversing import ANSWER_BYTES, answers_in, conversation
from tests.bench.jobs import FirstToken
from tests.bench.measures import Results, percentile
from tests.bench.requests import AGENT, Model, Request, history_body
from tests.bench.site import Site, run
from tests.bench.sizes import Sizes

_SECTION = "continuity"
_MODEL = Model(AGENT)
_SHARES = (0.5, 0.99)
_FILLERS = 32  # commits at once; half of what the state service takes; each has a tenant of its own
_LINK_SECONDS, _ITEMS_SECONDS = 29 * 86400, 86400
_TOOL, _TEXT = 0, 2  # numbers of answers that have a call, and have none
_numbers = count(1)


def continuity(site: Site, sizes: Sizes, results: Results) -> None:
    """Turns of a long history, RESOLVE and COMMIT, warm and cold; then with many turns in the store."""
    histories = {
        "replay": Request(surface="chat", model=_MODEL, messages=conversation(site.edge, _MODEL, sizes.turn_messages)),
        "chain": Request(
            surface="chat",
            model=_MODEL,
            messages=conversation(site.edge, _MODEL, sizes.turn_messages, "bench-turns"),
            conversation="bench-turns",
        ),
    }
    asyncio.run(_kept(site, sizes, results))
    _measured(site, sizes, results, histories, "warm")
    with _without_cache(site):
        _measured(site, sizes, results, histories, "cold")
    asyncio.run(_fill(site, sizes, results))
    _measured(site, sizes, results, histories, "warm, full store")
    with _without_cache(site):
        _measured(site, sizes, results, histories, "cold, full store")


@contextmanager
def _without_cache(site: Site) -> Iterator[None]:
    """Have another state service, which remembers nothing between two requests, while the block runs."""
    usual = site.cluster["state"]
    cold = site.cluster.another("state", {"PARLEY_STATE_CACHE_BYTES": "0"})
    for old, new in ((usual, cold), (cold, usual)):
        new.start()
        new.wait_ready()
        old.stop()
        site.pids["state"] = new.process.pid
        if new is cold:
            yield


def _measured(site: Site, sizes: Sizes, results: Results, histories: dict[str, Request], state: str) -> None:
    for _ in range(sizes.rounds):
        _turns(site, sizes, results, histories, state)
        asyncio.run(_asked(site, sizes, results, state))


# -- whole turns ------------------------------------------------------------------------------------


def _turns(site: Site, sizes: Sizes, results: Results, histories: dict[str, Request], state: str) -> None:
    """Time to the first token over a straight call of the size that goes up, and over a call of one message."""
    up = len(histories["replay"].messages) + answers_in(sizes.turn_messages) * ANSWER_BYTES
    short = Request(surface="responses", model=_MODEL)
    straight = [(site.upstream, short), (site.upstream, msgspec.structs.replace(short, text_bytes=up))]
    through = [(site.edge, request) for request in (Request(surface="chat", model=_MODEL), *histories.values())]
    job = FirstToken(targets=[*straight, *through], calls=sizes.turn_calls)
    one_up, all_up, one, *longs = run(job, list[list[float]])
    for share in _SHARES:
        at = f"{state}, p{100 * share:.0f}"
        base = percentile(one, share) - percentile(one_up, share)
        results.add(_SECTION, f"added to 1 message, {at}", "ms", 1e3 * base)
        for name, long in zip(histories, longs, strict=True):
            sent = all_up if name == "replay" else one_up
            added = percentile(long, share) - percentile(sent, share)
            title = f"{name} of {sizes.turn_messages}"
            results.add(_SECTION, f"added to {title}, {at}", "ms", 1e3 * added)
            results.add(_SECTION, f"{title} over 1 message, {at}", "ms", 1e3 * (added - base))


# -- the state service alone ------------------------------------------------------------------------


async def _asked(site: Site, sizes: Sizes, results: Results, state: str) -> None:
    """RESOLVE one at a time, for several numbers of answers; COMMIT, for several at once."""
    bus = await Bus.connect(Nats(url=site.cluster.nats.url), "bench")
    sample = await _sample(bus, _TOOL)
    call = _call()
    known = [_another(sample) for _ in range(max(sizes.resolved))]
    for commit in known:
        await bus.call(COMMIT, commit, call)
    wanted = [Wanted(turn_key=commit.turn.key, loose=commit.loose) for commit in known]
    for answers in sizes.resolved:
        taken = []
        question = ResolveRequest(scope=sample.scope, turns=wanted[:answers], items_bytes=512 * 1024)
        for _ in range(sizes.state_calls):
            started = time.perf_counter()
            reply = await bus.call(RESOLVE, question, call)
            taken.append(time.perf_counter() - started)
            assert sum(found.items is not None for found in reply.found) == answers
        _add(results, f"RESOLVE, {_answers(answers)}, {state}", taken)
    for at_once in sizes.resolved:
        taken = []
        for _ in range(max(1, sizes.state_calls // at_once)):
            commits = [_another(sample, f"bench-{k}") for k in range(min(at_once, _FILLERS))]
            taken += await asyncio.gather(*(_commit(bus, commit, call) for commit in commits))
        _add(results, f"COMMIT, {min(at_once, _FILLERS)} at once, {state}", taken)
    await bus.drain(1.0)


def _answers(number: int) -> str:
    return f"{number} answer{'s' if number > 1 else ''}"


def _add(results: Results, name: str, taken: list[float]) -> None:
    for share in _SHARES:
        results.add(_SECTION, f"{name}, p{100 * share:.0f}", "ms", 1e3 * percentile(taken, share))


async def _commit(bus: Bus, commit: CommitRequest, context: BusContext) -> float:
    started = time.perf_counter()
    reply = await bus.call(COMMIT, commit, context)
    assert reply.refused is None, reply
    return time.perf_counter() - started


def _call(tenant: int = 0) -> BusContext:
    return BusContext(tenant=f"{tenant:032x}", request_id="req_bench")


# -- what is kept -----------------------------------------------------------------------------------


async def _kept(site: Site, sizes: Sizes, results: Results) -> None:
    """Bytes and messages of the store for each turn of a conversation, by kind of turn."""
    bus = await Bus.connect(Nats(url=site.cluster.nats.url), "bench")
    plan, named = await _plan(bus), await _plan(bus, "bench-kept")
    message, tool = agent_output(_TEXT)[1:], agent_output(_TOOL)
    assert _to_commit(plan, message) is None, "a plain text turn without a name is kept after all"
    turns = {
        "text turn, named": _to_commit(named, message),
        "reasoning turn": _to_commit(plan, agent_output(_TEXT)),
        "tool turn": _to_commit(plan, tool[1:]),
        "tool turn with reasoning": _to_commit(plan, tool),
        "tool turn with reasoning, named": _to_commit(named, tool),
    }
    for _ in range(sizes.rounds):
        for name, commit in turns.items():
            assert commit is not None
            before = await _status(bus)
            for _ in range(sizes.kept_turns):
                await _commit(bus, _another(commit), _call())
            after = await _status(bus)
            assert before.bytes is not None and after.bytes is not None
            results.add(_SECTION, f"{name}: bytes", "bytes", (after.bytes - before.bytes) / sizes.kept_turns)
            results.add(_SECTION, f"{name}: messages", "entries", (after.entries - before.entries) / sizes.kept_turns)
            results.add(_SECTION, f"{name}: items alone", "bytes", sum(map(len, commit.items)))
    await bus.drain(1.0)


async def _fill(site: Site, sizes: Sizes, results: Results) -> None:
    """Keep many more turns, of other tenants, as many as the time allows."""
    bus = await Bus.connect(Nats(url=site.cluster.nats.url), "bench")
    sample, before = await _sample(bus, _TOOL), await _status(bus)
    started, left, done = time.monotonic(), iter(range(sizes.filled_turns)), 0

    async def work(own: int) -> None:
        nonlocal done
        for number in left:
            name = f"fill-{own}-{number // 1000}"  # a conversation has some 30 turns
            await _commit(bus, _another(sample, name), _call(1 + own))
            done += 1
            if time.monotonic() - started > sizes.fill_seconds:
                return

    await asyncio.gather(*(work(own) for own in range(_FILLERS)))
    seconds, after = time.monotonic() - started, await _status(bus)
    assert before.bytes is not None and after.bytes is not None
    results.add(_SECTION, "fill: turns", "turns", done)
    results.add(_SECTION, "fill: turns a second", "turns/s", done / seconds)
    results.add(_SECTION, "fill: bytes of a turn", "bytes", (after.bytes - before.bytes) / done)
    results.add(_SECTION, "fill: entries in the store", "entries", after.entries)
    await bus.drain(1.0)


async def _status(bus: Bus) -> StateStatus:
    return await bus.call(STATE_STATUS, StateStatusRequest(), BusContext())


async def _sample(bus: Bus, number: int) -> CommitRequest:
    commit = _to_commit(await _plan(bus), agent_output(number))
    assert commit is not None
    return commit


async def _plan(bus: Bus, name: str | None = None) -> StreamPlan:
    """Return the plan of a call's answer, made as the edge has it made."""
    asked = ConvertRequest(
        plan_version=PLAN_VERSION,
        body=history_body(1),
        tenant=_call().tenant,
        accounts={},
        client_options=ClientOptions(conversation=name),
    )
    reply = await bus.call(CONVERT, asked, _call())
    assert isinstance(reply, Converted), reply
    return reply.plan


def _to_commit(plan: StreamPlan, output: list[bytes]) -> CommitRequest | None:
    return to_commit(
        plan,
        list(map(Raw, output)),
        "resp_00000000",
        complete=True,
        now=int(time.time()),
        link_seconds=_LINK_SECONDS,
        items_seconds=_ITEMS_SECONDS,
    )


def _another(commit: CommitRequest, conversation_: str = "") -> CommitRequest:
    """Return the same turn as an answer of another history, which goes on from nothing."""
    turn = msgspec.structs.replace(
        commit.turn,
        key=_digest(),
        response_id=f"resp_{next(_numbers):08x}",
        prefix=_digest(),
        end=_digest(),
        asked=_digest(),
        start=_digest(),
        conversation=conversation_ or commit.turn.conversation,
    )
    return msgspec.structs.replace(commit, loose=_digest(), turn=turn)


def _digest() -> str:
    return os.urandom(16).hex()
