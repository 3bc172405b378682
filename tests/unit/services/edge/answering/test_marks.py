"""The mark of a call: what is told to the state service and to the client, and what happens without it."""

import asyncio
import time
from contextlib import nullcontext
from typing import Any

import msgspec
import pytest

from libs.runtime import metrics
from libs.schemas.bus.state import MarkReply, MarkRequest
from libs.schemas.plan import MarkPlan, StreamPlan
from libs.schemas.subjects import MARK, MARK_SECONDS
from libs.translate.request.options import CONTINUITY_HEADER
from services.edge.answering import marks
from services.edge.answering.marks import Mark, begin
from services.edge.errors import StateUnavailable
from services.edge.http.exchange import Exchange
from tests.unit.services.edge.fakes import Client, Stage

PLAN = MarkPlan(scope="5c", conversation="c", asked="aa", start="bb")


def stage_of(*numbers: int) -> Stage:
    return Stage({MARK.name: [MarkReply(number=number) for number in numbers]})


def exchange() -> Exchange:
    made = Client("POST", "/").exchange()
    made.report({CONTINUITY_HEADER: "none;reason=first_turn;matched=0"})
    return made


def continuity(asked: Exchange) -> str:
    return asked.reported(CONTINUITY_HEADER) or ""


def told(stage: Stage) -> list[str]:
    return [request.change for _, request in stage.bus.asked]


async def settled(stage: Stage) -> None:
    await asyncio.gather(*stage.edge.background)


async def test_call_marks_itself_and_knows_its_number() -> None:
    stage, asked = stage_of(7), exchange()
    mark = Mark(stage.served(asked), PLAN)
    await mark.settled()
    assert (mark.id, mark.number) == (asked.request_id, 7)
    assert stage.bus.asked == [
        (
            MARK.name,
            MarkRequest(scope="5c", conversation="c", id=asked.request_id, change="open", asked="aa", start="bb"),
        )
    ]
    assert continuity(asked).endswith("matched=0")


async def test_without_a_plan_nothing_is_told() -> None:
    stage = Stage({})
    mark = Mark(stage.served(exchange()), None)
    await mark.settled()
    mark.end()
    mark.lost()
    assert (mark.id, stage.bus.asked, len(stage.edge.background)) == ("", [], 0)


@pytest.mark.parametrize(
    ("committed", "seen", "end"), [(True, True, []), (False, True, ["spoil"]), (False, False, ["close"])]
)
async def test_end_of_the_call_decides_what_becomes_of_its_mark(committed: bool, seen: bool, end: list[str]) -> None:
    stage = stage_of(1, 0)
    mark = Mark(stage.served(exchange()), PLAN)
    mark.committed, mark.seen = committed, seen
    mark.end()
    await settled(stage)
    assert told(stage) == ["open", *end]


async def test_answer_that_is_neither_in_nor_kept_makes_the_mark_unusable() -> None:
    stage = stage_of(1, 0)
    mark = Mark(stage.served(exchange()), PLAN)
    mark.committed = True
    mark.end()
    mark.lost()
    await settled(stage)
    assert told(stage) == ["open", "spoil"]


async def test_mark_is_renewed_while_the_call_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "RENEW_SECONDS", 0.05)
    stage = Stage({MARK.name: MarkReply(number=1)})
    mark = Mark(stage.served(exchange()), PLAN)
    await asyncio.sleep(0.18)
    mark.committed = True
    mark.end()
    await settled(stage)
    renewed = told(stage)
    assert renewed[0] == "open" and set(renewed[1:]) == {"renew"} and 3 <= len(renewed) <= 4
    assert {(request.scope, request.conversation, request.id) for _, request in stage.bus.asked} == {
        ("5c", "c", mark.id)
    }
    await asyncio.sleep(0.1)
    assert told(stage) == renewed


@pytest.mark.parametrize("replies", [{}, {MARK.name: MarkReply(number=0)}], ids=["nobody answers", "too many open"])
async def test_whole_history_goes_on_without_a_mark_and_says_so(replies: dict[str, Any]) -> None:
    stage, asked = Stage(replies), exchange()
    mark = Mark(stage.served(asked), PLAN)
    await mark.settled()
    await mark.settled()
    assert continuity(asked) == "none;reason=first_turn;matched=0;kept=no"


@pytest.mark.parametrize("replies", [{}, {MARK.name: MarkReply(number=0)}], ids=["nobody answers", "too many open"])
async def test_what_is_new_is_refused_without_a_mark(replies: dict[str, Any]) -> None:
    mark = Mark(Stage(replies).served(exchange()), PLAN, delta=True)
    with pytest.raises(StateUnavailable):
        await mark.settled()
    mark.end()


@pytest.mark.parametrize("delta", [True, False])
async def test_mark_that_does_not_come_in_time(delta: bool) -> None:
    stage, never = Stage({}), asyncio.Event()

    async def hangs(*_: object) -> MarkReply:
        await never.wait()
        return MarkReply(number=3)

    stage.bus.call = hangs  # type: ignore[method-assign,assignment]
    asked: list[Exchange] = []

    async def request() -> None:
        asked.append(exchange())
        mark = Mark(stage.served(asked[0]), PLAN, delta=delta)
        await asyncio.sleep(1)  # the upstream takes its time
        mark.end()

    started = asyncio.get_running_loop().time()
    if delta:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(request())
        assert asked[0].aborted == "unmarked"
        assert asyncio.get_running_loop().time() - started < 0.9
    else:
        await asyncio.create_task(request())
        assert asked[0].aborted is None
    never.set()
    await settled(stage)


async def test_where_there_is_no_conversation_nothing_is_marked_and_nothing_ends() -> None:
    stage, asked = stage_of(0), exchange()
    mark = Mark(stage.served(asked), MarkPlan(scope="5c", conversation="c", known=True))
    await mark.settled()
    mark.seen = True
    mark.end()
    await settled(stage)
    assert told(stage) == ["open"]
    assert "kept=no" not in continuity(asked)


@pytest.mark.parametrize(("seen", "change"), [(True, "spoil"), (False, "close")])
async def test_last_change_names_the_mark_and_is_saved_until_it_is_in(seen: bool, change: str) -> None:
    stage = Stage({MARK.name: [MarkReply(number=1)]})
    mark = Mark(stage.served(exchange()), PLAN)
    await mark.settled()
    mark.seen = seen
    del stage.bus.replies[MARK.name]
    before = int(time.time()) + MARK_SECONDS
    kept: list[tuple[Any, dict[str, Any]]] = []

    def keep(_: object, request: MarkRequest, __: object, **options: Any) -> bool:
        kept.append((request, options))
        return True

    stage.outbox.keep = keep  # type: ignore[method-assign,assignment]
    mark.end()
    await settled(stage)
    [(request, options)] = kept
    assert isinstance(request, MarkRequest)
    assert (request.scope, request.conversation, request.id, request.change) == ("5c", "c", mark.id, change)
    assert options["conversation"] == "c" and before <= options["expires"] <= int(time.time()) + MARK_SECONDS


async def test_renewal_is_not_saved() -> None:
    stage = stage_of(1)
    mark = Mark(stage.served(exchange()), PLAN)
    await mark.settled()
    del stage.bus.replies[MARK.name]
    mark._renew()
    mark.committed = True
    mark.end()
    await settled(stage)
    assert (told(stage), stage.outbox.kept) == (["open", "renew"], [])


@pytest.mark.parametrize(
    ("reply", "known", "result"),
    [(1, False, "marked"), (1, True, "marked"), (0, False, "failed"), (0, True, None), (None, True, "failed")],
)
async def test_marks_are_counted_by_what_became_of_them(reply: int | None, known: bool, result: str | None) -> None:
    counters = {name: metrics.MARKS.labels(name)._value for name in ("marked", "failed")}
    before = {name: counter.get() for name, counter in counters.items()}
    stage = Stage({}) if reply is None else stage_of(reply)
    mark = Mark(stage.served(exchange()), msgspec.structs.replace(PLAN, known=known))
    await settled(stage)
    assert {name for name, counter in counters.items() if counter.get() != before[name]} == ({result} - {None})
    assert [request.known for _, request in stage.bus.asked] == [known]
    mark.end()
    await settled(stage)


async def test_without_the_bus_a_whole_history_waits_for_no_mark_and_a_partial_one_does() -> None:
    for delta in (False, True):
        stage, reply = stage_of(3), asyncio.Event()
        stage.bus.connected = False
        answer = stage.bus.call

        async def waits(*given: Any, reply: asyncio.Event = reply, answer: Any = answer) -> Any:
            await reply.wait()
            return await answer(*given)

        stage.bus.call = waits  # type: ignore[method-assign,assignment]
        asked = exchange()
        mark = Mark(stage.served(asked), PLAN, delta=delta)
        waiting = asyncio.create_task(mark.settled())
        for _ in range(5):
            await asyncio.sleep(0)
        assert waiting.done() is not delta
        assert continuity(asked).endswith(";kept=no") is not delta
        reply.set()
        await waiting
        mark.end()
        await settled(stage)


async def test_whole_history_goes_on_when_the_time_for_its_mark_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MARKED_SECONDS", 0.01)
    stage, never, asked = Stage({}), asyncio.Event(), exchange()

    async def hangs(*_: object) -> MarkReply:
        await never.wait()
        return MarkReply(number=3)

    stage.bus.call = hangs  # type: ignore[method-assign,assignment]
    mark = Mark(stage.served(asked), PLAN)
    async with asyncio.timeout(5):
        await mark.settled()
    assert continuity(asked).endswith(";kept=no")
    never.set()
    mark.end()
    await settled(stage)


async def test_plan_says_whether_a_call_is_marked_and_whether_it_needs_that() -> None:
    stage = Stage({MARK.name: MarkReply(number=0)})
    assert begin(stage.served(exchange()), StreamPlan(stream=False)).id == ""
    for delta in (True, False):
        asked = exchange()
        mark = begin(stage.served(asked), StreamPlan(stream=False, mark=PLAN, delta=delta))
        assert mark.id == asked.request_id
        with pytest.raises(StateUnavailable) if delta else nullcontext():
            await mark.settled()
        mark.end()
    await settled(stage)
