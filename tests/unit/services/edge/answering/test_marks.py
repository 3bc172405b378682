"""The mark of a call: what is told to the state service and to the client, and what happens without it."""

import asyncio
from typing import Any

import pytest

from libs.schemas.bus.state import MarkReply, MarkRequest
from libs.schemas.plan import MarkPlan
from libs.schemas.subjects import MARK
from libs.translate.request.options import CONTINUITY_HEADER
from services.edge.answering import marks
from services.edge.answering.marks import Mark
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
    assert renewed[0] == "open" and set(renewed[1:]) == {"renew"} and 2 <= len(renewed) <= 4
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
