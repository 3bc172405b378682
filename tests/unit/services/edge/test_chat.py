"""A chat call that continues something goes on without it, once, when the upstream has lost it."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from libs.schemas.bus import CommitReply, CommitRequest, Converted, ConvertRequest, DeleteReply, DeleteRequest
from libs.schemas.plan import CommitPlan, Continuity, Replayed, StreamPlan
from libs.schemas.records import HandoffRecord
from libs.schemas.subjects import COMMIT, CONVERT, DELETE
from services.edge import failures
from services.edge.chat import ChatEndpoint
from tests.unit.services.edge.fakes import Client, Stage

TURNS = [Replayed(entry="e1", ids=["rs_1"]), Replayed(entry="e2", ids=["rs_2"])]
DIGEST = "0a" * 16
COMMIT_TO = CommitPlan(
    scope=DIGEST,
    asked=DIGEST,
    start=DIGEST,
    context=DIGEST,
    conversation="tok",
    upstream="one",
    account=DIGEST,
    model="m",
    stored=True,
)
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
ANSWER: dict[str, Any] = {"id": "resp_1", "model": "m", "status": "completed", "output": [MESSAGE]}
CHAT = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}).encode()


def converted(replayed: list[Replayed], *, whole: bool = True, choices: int = 1) -> Converted:
    plan = StreamPlan(stream=False, replayed=replayed, choices=choices, commit=COMMIT_TO)
    continuity = Continuity(mode="replay" if replayed else "none", reason="matched")
    return Converted(
        upstream="one", model="m", body=b"{}", plan=plan, continuity=continuity, conversation="tok", whole=whole
    )


def refused(message: str) -> tuple[int, bytes]:
    return 400, json.dumps({"error": {"message": message, "code": None}}).encode()


def answered(**more: Any) -> tuple[int, bytes]:
    return 200, json.dumps({**ANSWER, **more}).encode()


async def chat(stage: Stage, **headers: str) -> tuple[int, Any, Client]:
    client = Client("POST", "/v1/chat/completions", body=CHAT, **headers)
    await failures.answer(client.exchange(), ChatEndpoint(stage.edge))
    await asyncio.gather(*stage.edge.background)
    return client.status, json.loads(client.body), client


def stage_of(conversions: list[Converted], bodies: list[tuple[int, bytes]]) -> Stage:
    replies = {CONVERT.name: conversions, COMMIT.name: CommitReply(turns=1), DELETE.name: DeleteReply()}
    return Stage(replies, bodies=bodies)


def asked(stage: Stage, kind: type) -> list[Any]:
    return [request for _, request in stage.bus.asked if isinstance(request, kind)]


@pytest.mark.parametrize("choices", [1, 2])
async def test_stale_turn_is_deleted_and_the_request_sent_whole(choices: int) -> None:
    bodies = [refused("Item with id 'rs_2' not found.")] * choices + [answered()] * choices
    stage = stage_of([converted(TURNS, choices=choices), converted([], choices=choices)], bodies)
    status, told, client = await chat(stage, x_session_id="hint")
    assert (status, len(told["choices"]), client.headers["x-parley-conversation"]) == (200, choices, "tok")
    first, second = asked(stage, ConvertRequest)
    assert (first.mode, second.mode, second.token) == ("auto", "plain", "tok")
    assert asked(stage, DeleteRequest) == [DeleteRequest(entries=["e2"])]
    assert [request.turn.response_id for request in asked(stage, CommitRequest)] == ["resp_1"] * choices
    handoffs = [record for record in stage.sink.closed if isinstance(record, HandoffRecord)]
    assert [(record.mode, record.session) for record in handoffs] == [("replay", "hint"), ("none", "hint")]
    assert len({record.event_id for record in stage.sink.closed}) == len(stage.sink.closed) == 2 + 2 * choices


async def test_what_is_only_new_is_never_sent_alone() -> None:
    stage = stage_of([converted(TURNS, whole=False)], [refused("Previous response with id 'r' not found.")])
    status, told, _ = await chat(stage, x_parley_conversation="mine")
    assert (status, told["error"]["code"]) == (400, "previous_response_not_found")
    assert told["error"]["param"] == "x-parley-conversation"
    assert len(stage.upstreams.asked) == 1


async def test_stale_wording_about_the_client_s_own_passes() -> None:
    stage = stage_of([converted([])], [refused("Previous response with id 'r' not found.")])
    status, told, _ = await chat(stage)
    assert (status, told["error"]["message"]) == (400, "Previous response with id 'r' not found.")


async def test_upstream_that_cannot_chain_is_not_asked_to_again() -> None:
    conversions = [converted(TURNS), converted([]), converted([])]
    stage = stage_of(conversions, [refused("Unsupported parameter: previous_response_id"), answered(), answered()])
    for _ in range(2):
        assert (await chat(stage))[0] == 200
    assert [request.said.continuity for request in asked(stage, ConvertRequest)] == [None, None, "replay"]
    assert asked(stage, DeleteRequest) == []


async def test_turn_that_the_upstream_would_not_use_is_deleted() -> None:
    withheld = [{"id": "rs_1", "action": "removed", "type": "reasoning", "reason": "model_mismatch"}]
    stage = stage_of([converted(TURNS)], [answered(input_transformations=withheld)])
    assert (await chat(stage))[0] == 200
    assert asked(stage, DeleteRequest) == [DeleteRequest(entries=["e1"])]


@pytest.mark.parametrize(("state", "kept"), [("completed", True), ("incomplete", True), ("failed", False)])
async def test_only_answers_that_came_are_kept(state: str, *, kept: bool) -> None:
    stage = stage_of([converted([])], [answered(status=state)])
    await chat(stage)
    assert len(asked(stage, CommitRequest)) == kept


@pytest.mark.parametrize("choices", [1, 2])
async def test_streamed_answer_is_kept_and_a_stale_one_mended_before_any_output(choices: int) -> None:
    created = {"type": "response.created", "response": {**ANSWER, "status": "in_progress", "output": []}}
    error = {"code": None, "message": "Item with id 'rs_1' not found."}
    failed = {"type": "response.failed", "response": {**ANSWER, "status": "failed", "output": [], "error": error}}
    done = {"type": "response.completed", "response": ANSWER}
    streams = [[created, failed]] * choices + [[created, done]] * choices
    plans = [converted(TURNS, choices=choices), converted([], choices=choices)]
    streamed = [msgspec.structs.replace(one, plan=msgspec.structs.replace(one.plan, stream=True)) for one in plans]
    stage = stage_of(streamed, [(200, b"".join(map(frame, events))) for events in streams])
    client = Client("POST", "/v1/chat/completions", body=CHAT)
    await failures.answer(client.exchange(), ChatEndpoint(stage.edge))
    await asyncio.gather(*stage.edge.background)
    assert client.body.endswith(b"data: [DONE]\n\n")
    assert b"error" not in client.body
    assert asked(stage, DeleteRequest) == [DeleteRequest(entries=["e1"])]
    assert len(asked(stage, CommitRequest)) == choices


def frame(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
