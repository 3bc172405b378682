"""A chat call that continues something goes on without it, once, when the upstream has lost it."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from libs.schemas.bus.convert import Converted, ConvertRequest, Native, Refused
from libs.schemas.bus.state import CommitReply, CommitRequest, DeleteReply, DeleteRequest
from libs.schemas.config import Upstream
from libs.schemas.plan import ContinuedTurn, Continuity, StreamPlan
from libs.schemas.records import CallRecord, HandoffRecord
from libs.schemas.subjects import COMMIT, CONVERT, DELETE
from libs.schemas.wire.errors import ErrorBody
from services.edge import failures
from services.edge.surfaces.chat import ChatEndpoint
from tests.unit.services.edge.fakes import COMMIT_TO, PAUSE, UPSTREAMS, Client, Stage

TURNS = [ContinuedTurn(turn_key="e1", ids=["rs_1"]), ContinuedTurn(turn_key="e2", ids=["rs_2"])]
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
ANSWER: dict[str, Any] = {"id": "resp_1", "model": "m", "status": "completed", "output": [MESSAGE]}
CHAT = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}).encode()


def converted(replayed: list[ContinuedTurn], *, whole: bool = True, choices: int = 1) -> Converted:
    plan = StreamPlan(stream=False, continued=replayed, choices=choices, commit=COMMIT_TO)
    continuity = Continuity(mode="replay" if replayed else "none", reason="matched")
    return Converted(
        upstream="one", model="m", body=b"{}", plan=plan, continuity=continuity, conversation="tok", whole_history=whole
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


def stage_of(conversions: Sequence[Converted | Native], bodies: list[tuple[int, bytes]]) -> Stage:
    replies = {CONVERT.name: list(conversions), COMMIT.name: CommitReply(turns=1), DELETE.name: DeleteReply()}
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
    assert asked(stage, DeleteRequest) == [DeleteRequest(turn_keys=["e2"])]
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
    assert [request.client_options.unchained_at for request in asked(stage, ConvertRequest)] == [[], [], [("one", "m")]]
    assert asked(stage, DeleteRequest) == []


async def test_turn_that_the_upstream_would_not_use_is_deleted() -> None:
    withheld = [{"id": "rs_1", "action": "removed", "type": "reasoning", "reason": "model_mismatch"}]
    stage = stage_of([converted(TURNS)], [answered(input_transformations=withheld)])
    assert (await chat(stage))[0] == 200
    assert asked(stage, DeleteRequest) == [DeleteRequest(turn_keys=["e1"])]


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
    assert asked(stage, DeleteRequest) == [DeleteRequest(turn_keys=["e1"])]
    assert len(asked(stage, CommitRequest)) == choices


def frame(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())


# -- upstreams that ignore what they are to go on from ----------------------------------------------

PARENT = [ContinuedTurn(turn_key="e1", ids=["resp_0"])]
USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
DELTA_EVENT = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"}


def chained(
    *, stream: bool = False, replayed: bool = True, format_: str = "chat", choices: int = 1, **more: Any
) -> Converted:
    """A conversion that goes on from `resp_0`: a turn of ours, or what the client named."""
    one = converted(PARENT if replayed else [], choices=choices, whole=not more.get("only_new", False))
    plan = msgspec.structs.replace(one.plan, stream=stream, parent="resp_0", format=format_, **more)
    return msgspec.structs.replace(one, plan=plan, previous_response_id="resp_0")


def plain(*, stream: bool = False, format_: str = "chat") -> Converted:
    one = converted([])
    return msgspec.structs.replace(one, plan=msgspec.structs.replace(one.plan, stream=stream, format=format_))


def streamed(text: str, *, begun: dict[str, Any], ended: dict[str, Any], between: bytes = b"") -> tuple[int, bytes]:
    """The stream of an answer that says `begun` of itself at first, and `ended` at last."""
    output = [{**MESSAGE, "content": [{"type": "output_text", "text": text}]}]
    created = {"type": "response.created", "response": {**ANSWER, "status": "in_progress", "output": [], **begun}}
    done = {"type": "response.completed", "response": {**ANSWER, "output": output, "usage": USAGE, **ended}}
    events: list[dict[str, Any]] = [created, {**DELTA_EVENT, "delta": text}, done]
    return 200, between.join(map(frame, events))


IGNORED: list[dict[str, Any]] = [
    {"previous_response_id": None},
    {"previous_response_id": "resp_7"},
    {"store": False, "previous_response_id": "resp_0"},
]


async def raw(stage: Stage, **headers: str) -> tuple[int, bytes]:
    client = Client("POST", "/v1/chat/completions", body=CHAT, **headers)
    await failures.answer(client.exchange(), ChatEndpoint(stage.edge))
    await asyncio.gather(*stage.edge.background)
    return client.status, bytes(client.body)


def calls_of(stage: Stage) -> list[CallRecord]:
    return [record for record in stage.sink.closed if isinstance(record, CallRecord)]


@pytest.mark.parametrize("says", IGNORED)
async def test_whole_answer_that_ignored_its_parent_is_asked_for_again_and_both_are_recorded(says: Any) -> None:
    conversions = [chained(), plain(), plain()]
    stage = stage_of(conversions, [answered(**says, usage=USAGE), answered(id="resp_2"), answered(id="resp_3")])
    assert (await chat(stage))[1]["id"] == "chatcmpl-2"
    first, second = calls_of(stage)
    assert (first.outcome, first.error_code, first.output_tokens) == ("refused", "upstream_not_chained", 2)
    assert (second.outcome, second.response_id) == ("ok", "resp_2")
    assert [request.turn.response_id for request in asked(stage, CommitRequest)] == ["resp_2"]
    await chat(stage)
    assert [request.client_options.unchained_at for request in asked(stage, ConvertRequest)] == [[], [], [("one", "m")]]
    assert asked(stage, DeleteRequest) == []


@pytest.mark.parametrize("format_", ["chat", "responses"])
@pytest.mark.parametrize("says", IGNORED)
async def test_stream_that_ignored_its_parent_is_asked_for_again_before_output(says: Any, format_: str) -> None:
    conversions = [chained(stream=True, format_=format_), plain(stream=True, format_=format_)]
    bodies = [streamed("alone", begun=says, ended=says), streamed("whole", begun={}, ended={})]
    stage = stage_of(conversions, bodies)
    status, body = await raw(stage)
    assert (status, b"whole" in body, b"alone" in body, b"error" in body.replace(b'"error":null', b"")) == (
        200,
        True,
        False,
        False,
    )
    assert [record.outcome for record in calls_of(stage)] == ["refused", "ok"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("format_", ["chat", "responses"])
@pytest.mark.parametrize("replayed", [True, False])
async def test_what_is_only_new_is_never_answered_alone(stream: bool, format_: str, replayed: bool) -> None:
    """Whether Parley or the client named what it follows."""
    says = {"previous_response_id": None}
    body = streamed("alone", begun=says, ended=says) if stream else answered(**says)
    stage = stage_of([chained(stream=stream, format_=format_, replayed=replayed, only_new=True)], [body])
    status, told = await raw(stage)
    error = json.loads(told)["error"]
    assert (status, error["code"], error["param"]) == (400, "previous_response_not_found", "previous_response_id")
    assert len(stage.upstreams.asked) == 1 and asked(stage, CommitRequest) == []
    assert [record.outcome for record in calls_of(stage)] == ["refused"]


@pytest.mark.parametrize("only_new", [True, False])
@pytest.mark.parametrize("format_", ["chat", "responses"])
async def test_stream_that_tells_late_ends_with_an_error_and_is_not_kept(only_new: bool, format_: str) -> None:
    body = streamed("alone", begun={}, ended={"previous_response_id": None}, between=PAUSE)
    stage = stage_of([chained(stream=True, format_=format_, only_new=only_new), plain()], [body, answered()])
    status, told = await raw(stage)
    code = b"previous_response_not_found" if only_new else b"upstream_not_chained"
    assert status == 200 and told.count(code) == 1 and b"response.completed" not in told and b"[DONE]" not in told
    assert (b"event: error" in told) is (format_ == "responses")
    assert b'"finish_reason":"stop"' not in told
    assert asked(stage, CommitRequest) == []
    assert [(record.outcome, record.output_tokens) for record in calls_of(stage)] == [("refused", 2)]
    await chat(stage)
    assert [request.client_options.unchained_at for request in asked(stage, ConvertRequest)] == [[], [("one", "m")]]


@pytest.mark.parametrize("format_", ["chat", "responses"])
@pytest.mark.parametrize("only_new", [True, False])
async def test_stream_that_tells_late_but_before_anything_went_out_is_mended(only_new: bool, format_: str) -> None:
    bodies = [streamed(text, begun={}, ended=ended) for text, ended in (("alone", IGNORED[0]), ("whole", {}))]
    conversions = [chained(stream=True, only_new=only_new, format_=format_), plain(stream=True, format_=format_)]
    stage = stage_of(conversions, bodies)
    status, told = await raw(stage)
    assert b"alone" not in told
    assert (status, b"whole" in told) == ((400, False) if only_new else (200, True))


async def test_stream_that_has_only_been_kept_alive_is_asked_for_again() -> None:
    says = {"previous_response_id": None}
    bodies = [streamed("alone", begun=says, ended=says), streamed("whole", begun={}, ended={})]
    stage = stage_of([chained(stream=True), plain(stream=True)], bodies)
    client = Client("POST", "/v1/chat/completions", body=CHAT)
    exchange = client.exchange()
    await exchange.start_stream()
    await failures.answer(exchange, ChatEndpoint(stage.edge))
    await asyncio.gather(*stage.edge.background)
    assert b"whole" in client.body and b"alone" not in client.body and b"error" not in client.body


@pytest.mark.parametrize("stream", [True, False])
async def test_every_choice_must_follow_what_the_client_named(stream: bool) -> None:
    says = {"previous_response_id": None}
    body = streamed("alone", begun=says, ended=says) if stream else answered(**says)
    plan = chained(stream=stream, replayed=False, choices=2, only_new=True)
    stage = stage_of([plan], [body, body])
    status, told = await raw(stage)
    assert (status, json.loads(told)["error"]["code"]) == (400, "previous_response_not_found")
    assert [record.outcome for record in calls_of(stage)] == ["refused"] * 2


@pytest.mark.parametrize("stream", [True, False])
async def test_first_answer_that_was_not_stored_is_no_parent(stream: bool) -> None:
    call = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}"}
    says = {"store": False, "output": [call]}
    body = streamed("", begun=says, ended=says) if stream else answered(**says)
    stage = stage_of([plain(stream=stream)], [body])
    await raw(stage)
    [request] = asked(stage, CommitRequest)
    assert (request.turn.stored, request.turn.chainable) == (False, False)


# -- where a call goes ------------------------------------------------------------------------------


async def test_native_call_goes_where_the_converter_says() -> None:
    """By its own configuration the edge would take the first upstream, and the client's name of the model."""
    upstreams = [UPSTREAMS[0], Upstream(name="two", base_url="http://2", auth="client")]
    native = Native(upstream="two", model="real", reason="seed")
    stage = Stage({CONVERT.name: native}, upstreams=upstreams, bodies=[(200, b"{}")])
    status, _, client = await chat(stage)
    assert (status, client.headers["x-parley-native"]) == (200, "seed")
    assert stage.upstreams.asked == [("two", "POST", "/chat/completions")]
    assert [json.loads(body)["model"] for body in stage.upstreams.sent] == ["real"]
    assert [record.upstream for record in calls_of(stage)] == ["two"]


@pytest.mark.parametrize(
    "reply",
    [Native(upstream="gone", model="m", reason="seed"), msgspec.structs.replace(converted([]), upstream="gone")],
    ids=["native", "converted"],
)
async def test_upstream_that_the_edge_does_not_know_is_parleys_own_fault(reply: Any) -> None:
    stage = Stage({CONVERT.name: reply})
    status, told, client = await chat(stage)
    error = told["error"]
    assert (status, error["type"], error["code"]) == (503, "service_unavailable_error", "upstream_unknown")
    assert "retry-after" in client.headers and stage.upstreams.asked == []


async def test_model_that_no_upstream_serves_is_refused_by_the_converter() -> None:
    served = [Upstream(name="one", base_url="http://1", auth="client", models=["other"])]
    error = ErrorBody(message="The model 'm' does not exist.", param="model", code="model_not_found")
    stage = Stage({CONVERT.name: Refused(status=404, error=error)}, upstreams=served)
    status, told, _ = await chat(stage)
    assert (status, told["error"]["code"]) == (404, "model_not_found")


async def test_bypassed_call_does_not_meet_the_converter() -> None:
    chat_only = [Upstream(name="one", base_url="http://1", auth="client", api="chat")]
    stage = Stage({}, upstreams=chat_only, bodies=[(200, b"{}")])
    assert (await chat(stage))[0] == 200
    assert (stage.bus.asked, stage.upstreams.asked) == ([], [("one", "POST", "/chat/completions")])
    status, told, _ = await chat(stage, x_parley_conversation="c", x_parley_history="delta")
    assert (status, told["error"]["code"]) == (400, "previous_response_not_found")
    status, told, _ = await chat(stage, x_parley_format="responses")
    assert (status, told["error"]["param"]) == (400, "x-parley-format")


async def test_second_conversion_by_a_converter_of_another_configuration_is_no_fault_of_the_client() -> None:
    native = Native(upstream="one", model="m", reason="seed")
    stage = stage_of([converted(TURNS), native], [refused("Item with id 'rs_2' not found.")])
    status, told, client = await chat(stage)
    assert (status, told["error"]["code"]) == (503, "server_is_overloaded")
    assert client.headers["retry-after"]
