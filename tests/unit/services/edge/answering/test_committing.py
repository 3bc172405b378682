"""After the end of an answer: which turn is kept, and what is deleted, here and upstream."""

import asyncio
import json
import time
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from libs.runtime import metrics
from libs.runtime.call import BusContext
from libs.runtime.errors import MessageTooLarge
from libs.schemas.bus.state import CommitReply, CommitRequest, DeleteRequest, MarkReply
from libs.schemas.plan import CommitPlan, ContinuedTurn, MarkPlan, StreamPlan
from libs.schemas.records import Outcome
from libs.schemas.subjects import COMMIT, DELETE
from libs.schemas.wire.completion import AssistantMessage
from libs.schemas.wire.output import Response
from services.edge.answering.committing import Keeper
from services.edge.answering.marks import Mark
from tests.support.answers import Json, call, message
from tests.unit.services.edge.fakes import Stage

DIGEST = "0a" * 16
TO = CommitPlan(
    scope=DIGEST,
    asked=DIGEST,
    start=DIGEST,
    context=DIGEST,
    conversation="tok",
    upstream="two",
    model="m",
    chainable=True,
    stored=True,
)
CONTINUED = [ContinuedTurn(turn_key="e1", ids=["rs_1", "fc_1"]), ContinuedTurn(turn_key="e2", ids=["rs_2"])]
RESPONSE = Response(id="resp_1")


def raw(*items: Json) -> list[Raw]:
    return [Raw(json.dumps(item).encode()) for item in items]


def stage_of(reply: CommitReply | None = None) -> Stage:
    return Stage({COMMIT.name: reply or CommitReply(turns=1), DELETE.name: None})


def keeper(stage: Stage, **fields: Any) -> tuple[Keeper, Mark]:
    served = stage.served()
    mark = Mark(served, None)
    plan = StreamPlan(**{"stream": False, "commit": TO, "continued": CONTINUED, **fields})
    return Keeper(served, plan, mark), mark


async def idle(stage: Stage) -> None:
    while stage.edge.background:
        await asyncio.gather(*stage.edge.background)


def commits(stage: Stage) -> list[CommitRequest]:
    return [request for _, request in stage.bus.asked if isinstance(request, CommitRequest)]


def deleted(stage: Stage) -> list[list[str]]:
    return [request.turn_keys for _, request in stage.bus.asked if isinstance(request, DeleteRequest)]


@pytest.mark.parametrize(
    ("outcome", "kept", "chainable"),
    [
        ("ok", True, True),
        ("incomplete", True, False),
        ("failed", False, False),
        ("refused", False, False),
        ("truncated", False, False),
        ("cancelled", False, False),
    ],
)
async def test_answer_that_ended_well_or_too_early_is_kept(outcome: Outcome, kept: bool, chainable: bool) -> None:
    stage = stage_of()
    keeps, mark = keeper(stage)
    keeps.ended(RESPONSE, raw(message("Yes")), outcome)
    await keeps.kept()
    assert mark.committed is kept
    assert [(one.turn.response_id, one.turn.chainable) for one in commits(stage)] == [("resp_1", chainable)] * kept


async def test_turn_lives_as_long_as_the_settings_say() -> None:
    stage = stage_of()
    for stored in (True, False):
        keeps, _ = keeper(stage, commit=msgspec.structs.replace(TO, stored=stored))
        keeps.ended(RESPONSE, raw(call()), "ok")
        await keeps.kept()
    retention, now = stage.edge.config.retention, int(time.time())
    lives = [one.turn.expires - one.turn.created for one in commits(stage)]
    assert lives == [retention.link_ttl_seconds, retention.items_ttl_seconds]
    assert all(now - 60 <= one.turn.created <= now for one in commits(stage))


async def test_answer_that_the_upstream_did_not_store_is_no_parent() -> None:
    stage = stage_of()
    keeps, _ = keeper(stage)
    keeps.ended(Response(id="resp_1", store=False), raw(call()), "ok")
    await keeps.kept()
    assert [(one.turn.stored, one.turn.chainable) for one in commits(stage)] == [(False, False)]


async def test_turn_is_known_by_what_the_client_got_of_the_stream() -> None:
    stage = stage_of()
    for sent in (None, AssistantMessage(content="Yes"), AssistantMessage(content="Ye")):
        keeps, _ = keeper(stage)
        keeps.ended(RESPONSE, raw(message("Yes")), "ok", sent)
        await keeps.kept()
    whole, same, other = [one.turn.key for one in commits(stage)]
    assert (same, other == whole) == (whole, False)


async def test_commit_is_waited_for_and_carries_the_mark() -> None:
    stage, reply = stage_of(), asyncio.Event()
    keeps, mark = keeper(stage)
    mark.id, mark.number = "req_1", 7
    answer = stage.bus.call

    async def waits(*given: Any) -> Any:
        await reply.wait()
        return await answer(*given)

    stage.bus.call = waits  # type: ignore[method-assign,assignment]
    keeps.ended(RESPONSE, raw(call()), "ok")
    waiting = asyncio.create_task(keeps.kept())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    reply.set()
    await waiting
    assert [(one.mark, one.number) for one in commits(stage)] == [("req_1", 7)]


async def test_every_answer_of_a_request_is_kept() -> None:
    stage = stage_of()
    keeps, _ = keeper(stage)
    for number in (1, 2):
        keeps.ended(Response(id=f"resp_{number}"), raw(call()), "ok")
    await keeps.kept()
    assert [one.turn.response_id for one in commits(stage)] == ["resp_1", "resp_2"]


async def test_nothing_is_kept_or_waited_for_where_no_later_request_could_use_it() -> None:
    stage = stage_of()
    keeps, mark = keeper(stage, commit=None)
    keeps.ended(RESPONSE, raw(message("Yes")), "ok")
    await keeps.kept()
    assert (mark.committed, stage.bus.asked) == (False, [])


async def test_typed_answer_that_no_chat_answer_can_hold_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    stage = stage_of()
    keeps, mark = keeper(stage, format="responses")
    keeps.ended(RESPONSE, [Raw(b'{"type": "message", "content": 7}')], "ok")
    await keeps.kept()
    assert (mark.committed, stage.bus.asked) == (False, [])
    assert "not_kept" in caplog.text


@pytest.mark.parametrize(
    ("refused", "stored", "asked"),
    [
        ("deleted", True, [("two", "DELETE", "/responses/resp_1")]),
        ("deleted", False, []),
        ("full", True, []),
        (None, True, []),
    ],
)
async def test_response_of_a_conversation_that_was_deleted_is_deleted_upstream(
    refused: str | None, stored: bool, asked: list[tuple[str, str, str]]
) -> None:
    stage = stage_of(CommitReply(refused=refused))
    keeps, _ = keeper(stage, commit=msgspec.structs.replace(TO, stored=stored))
    keeps.ended(RESPONSE, raw(call()), "ok")
    await keeps.kept()
    await idle(stage)
    assert stage.upstreams.asked == asked


@pytest.mark.parametrize("lost", [True, False])
async def test_commit_that_is_neither_in_nor_kept_spoils_the_mark(lost: bool) -> None:
    stage = Stage({})
    changes: list[str] = []

    async def fails(subject: Any, request: Any, _: BusContext) -> Any:
        if subject.name == COMMIT.name:
            raise MessageTooLarge(2, 1)
        changes.append(request.change)
        return MarkReply(number=1)

    if lost:
        stage.bus.call = fails  # type: ignore[method-assign,assignment]
    served = stage.served()
    mark = Mark(served, MarkPlan(scope=DIGEST, conversation="tok"))
    keeps = Keeper(served, StreamPlan(stream=False, commit=TO), mark)
    keeps.ended(RESPONSE, raw(call()), "ok")
    await keeps.kept()
    mark.end()
    await idle(stage)
    assert changes == (["open", "spoil"] if lost else [])
    assert [name for name, _ in stage.outbox.kept] == ([] if lost else [COMMIT.name])


@pytest.mark.parametrize(
    ("removed", "turns"),
    [(["fc_1"], [["e1"]]), (["rs_2", "rs_1"], [["e1", "e2"]]), (["rs_9"], []), ([], [])],
)
@pytest.mark.parametrize("outcome", ["ok", "failed"])
async def test_turns_whose_items_the_upstream_removed_are_deleted(
    outcome: Outcome, removed: list[str], turns: list[list[str]]
) -> None:
    stage = stage_of()
    keeps, _ = keeper(stage)
    changes = [{"id": id_, "action": "removed"} for id_ in removed] + [{"id": "rs_2", "action": "truncated"}]
    response = msgspec.convert({"id": "resp_1", "input_transformations": changes}, Response)
    counter = metrics.FALLBACKS.labels("withheld")._value
    before = counter.get()
    keeps.ended(response, raw(message("Yes")), outcome)
    await idle(stage)
    assert deleted(stage) == turns
    assert counter.get() - before == len(turns)
