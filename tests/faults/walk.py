"""A thousand turns of named conversations over two edges, while the state service and NATS are killed and frozen."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from random import Random

import msgspec

from libs.translate.ids import response_id
from tests.faults.client import Answer, Client
from tests.faults.counts import Counts
from tests.faults.judge import Judge, watch_upstream
from tests.faults.questions import Question
from tests.faults.records import recorded
from tests.faults.registry import scenario
from tests.faults.site import How, Site
from tests.faults.sizes import Sizes
from tests.faults.steps import Steps
from tests.faults.talk import Talk, Told
from tests.support.cluster import Service

SHARE_BY_DELTA = 0.97  # of the deltas; the rest are answered after one resend of the whole history
_LEAST_DELTAS = 300  # fewer say nothing of a share
_SURVIVAL_SECONDS = 25.0

Strike = Callable[["Walk", Random], Awaitable[Counter[str]]]


class Walk:
    """What the conversations of one walk share."""

    def __init__(self, site: Site, sizes: Sizes, client: Client) -> None:
        self.site = site
        self.sizes = sizes
        self.client = client
        self.steps = Steps()
        self.told = Told()
        self.over = False
        self.questions: dict[str, Question] = {}
        self.seen: dict[str, Question] = {}  # by response id: the answers that clients saw to their end
        self.request_ids: set[str] = set()
        self.mended: list[float] = []  # when each fault was over
        self.begun: list[tuple[float, float]] = []  # when each answered try began and ended

    def answered(self, question: Question, answer: Answer) -> None:
        """Take note of an answer that a client saw to its end."""
        self.told.answers += 1
        self.seen[response_id(answer.id) or answer.id] = question

    def heard(self, question: Question, form: str, answer: Answer, started: float) -> None:
        """Take note of one try."""
        now, told = time.monotonic(), "ok" if answer.whole else "left" if answer.left else answer.code
        if answer.status == 200 and answer.request_id:
            self.request_ids.add(answer.request_id)
        if answer.whole:
            self.begun.append((started, now))
        else:
            self.told.heard[f"{answer.status} {told}"] += 1
        self.told.heard["kept=no"] += "kept=no" in answer.continuity
        self.site.note(
            "try",
            question=question.key,
            form=form,
            parent=question.parent,
            status=answer.status,
            told=told,
            id=answer.id,
            request_id=answer.request_id,
            continuity=answer.continuity,
            seconds=round(now - started, 2),
        )

    def survived(self) -> int:
        """After how many faults a call that began then was answered in time."""
        return sum(
            any(mended <= begun and ended <= mended + _SURVIVAL_SECONDS for begun, ended in self.begun)
            for mended in self.mended
        )


@scenario("walk")
async def walk(site: Site, sizes: Sizes, chance: Random) -> Counts:
    """State and NATS, and now and then others, are struck at every step: no delta follows the wrong turn."""
    return await _walked(site, sizes, chance, _strike)


@scenario("replicas")
async def replicas(site: Site, sizes: Sizes, chance: Random) -> Counts:
    """Two replicas of the state service, struck in turn, know of each other's turns: also of one told again."""
    fewer = msgspec.structs.replace(sizes, turns=sizes.turns // 5, think=sizes.think / 10)
    other = site.cluster.another("state")
    await asyncio.to_thread(other.start)
    try:
        return await _walked(site, fewer, chance, partial(_strike_replicas, (site.cluster["state"], other)))
    finally:
        await asyncio.to_thread(other.stop)


async def _walked(site: Site, sizes: Sizes, chance: Random, strike: Strike) -> Counts:
    counts = Counts()
    await asyncio.to_thread(site.cluster.simulator.clear_ledger)  # of another walk
    async with Client() as client:
        shared, name = Walk(site, sizes, client), f"walk-{chance.randrange(10**6)}"
        talks = [Talk(shared, f"{name}-{k}", Random(chance.random())) for k in range(sizes.talks)]
        judge, watcher = Judge(), asyncio.Event()
        watching = asyncio.create_task(watch_upstream(site.cluster.simulator, judge, watcher))
        talking = [asyncio.create_task(talk.run()) for talk in talks]
        struck = await strike(shared, chance)
        while shared.told.turns < sizes.turns:
            await asyncio.sleep(0.1)
        shared.over = True
        await asyncio.gather(*talking)
        await site.mend()
        goes_on = await asyncio.gather(*(talk.goes_on() for talk in talks))
        watcher.set()
        await watching
    told = shared.told
    counts.tried, counts.survived, counts.answers = len(shared.mended), shared.survived(), told.answers
    counts.expected, counts.found, counts.doubled = await recorded(site, shared.request_ids, sizes.settle)
    verdict = judge.verdict(shared.questions, shared.seen)
    counts.wrong = len(verdict)
    counts.broken += verdict[:10]
    counts.broken += [f"never answered: {key}" for key in told.lost[:10]]
    if not all(goes_on):
        counts.broken.append(f"{goes_on.count(False)} of {len(talks)} conversations do not go on by delta")
    by_delta = 1 - told.resent / max(told.deltas, 1)
    if by_delta < SHARE_BY_DELTA and told.deltas >= _LEAST_DELTAS:
        counts.broken.append(f"only {by_delta:.1%} of {told.deltas} deltas were answered without a resend")
    counts.notes += [
        f"{told.turns} turns, {told.deltas} deltas, {told.resent} resent ({by_delta:.1%} without), "
        f"{len(talks)} conversations",
        f"faults by step: {_listed(struck)}",
        f"turns by kind: {_listed(told.acts)}",
        f"heard: {_listed(told.heard)}",
    ]
    return counts


# -- faults -----------------------------------------------------------------------------------------


async def _strike(walk: Walk, chance: Random) -> Counter[str]:
    """Strike all that the sizes say; return how often at which step."""
    sizes, struck = walk.sizes, Counter[str]()
    faults, others = iter(range(sizes.faults)), iter(range(sizes.others))
    rarely = sizes.faults * 1.8 / (sizes.others + 1)
    await asyncio.gather(
        _strike_some(walk, ["state"], faults, sizes.pause, sizes.longest, struck, Random(chance.random())),
        _strike_some(walk, ["nats"], faults, sizes.pause, sizes.longest, struck, Random(chance.random())),
        _strike_some(walk, ["edge", "converter"], others, rarely, 1.0, struck, Random(chance.random())),
    )
    return struck


async def _strike_some(
    walk: Walk,
    names: list[str],
    faults: Iterator[int],
    pause: float,
    longest: float,
    struck: Counter[str],
    chance: Random,
) -> None:
    """Strike one of these processes at a time, as long as there are `faults` left, which others may share."""
    for _ in faults:
        await asyncio.sleep(chance.uniform(0.2, 1.8) * pause)
        struck[await walk.steps.reached(chance)] += 1
        how: How = chance.choice(["kill", "freeze"])
        seconds = _duration(walk.sizes.shortest, longest, chance)
        await walk.site.strike(walk.site.victim(chance.choice(names), chance), how, seconds)
        walk.mended.append(time.monotonic())


async def _strike_replicas(replicas: tuple[Service, Service], walk: Walk, chance: Random) -> Counter[str]:
    """Strike one of two replicas after the other, never both at once."""
    struck = Counter[str]()
    for number in range(2 * walk.sizes.strikes):
        await asyncio.sleep(chance.uniform(0.2, 1.8) * walk.sizes.pause)
        struck[await walk.steps.reached(chance)] += 1
        how: How = "freeze" if number % 4 < 2 else "kill"
        await walk.site.strike(replicas[number % 2], how, chance.uniform(0.1, walk.sizes.strike_seconds))
        walk.mended.append(time.monotonic())
    return struck


def _duration(shortest: float, longest: float, chance: Random) -> float:
    """Seconds between these two, short ones far more often."""
    seconds: float = shortest * (longest / shortest) ** (chance.random() ** 2)
    return seconds


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counter.items()) if number)
