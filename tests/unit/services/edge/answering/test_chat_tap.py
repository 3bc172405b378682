"""What the tap reads of chat answers that pass, for the record and for claims."""

import json
from typing import Any

import pytest

from libs.runtime import metrics
from libs.schemas.bus.state import ClaimReply, ClaimRequest
from libs.schemas.config import Upstream
from libs.schemas.subjects import CLAIM
from services.edge.answering.chat_tap import ChatBodyTap, ChatStreamTap
from services.edge.ownership.claiming import IdClaims, id_claims
from tests.unit.services.edge.answering.test_response_tap import call, nothing
from tests.unit.services.edge.fakes import Sink, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage({CLAIM.name: ClaimReply()})


@pytest.fixture
def sink(stage: Stage) -> Sink:
    return stage.sink


CHAT_USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 20,
    "total_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def chunk(**fields: Any) -> bytes:
    return f"data: {json.dumps({'id': 'chatcmpl-1', 'model': 'm-1', 'choices': [], **fields})}\n\n".encode()


async def test_chat_stream_tap_records_finish_and_usage(stage: Stage, sink: Sink) -> None:
    tap = ChatStreamTap(call(stage), nothing())
    stream = (
        chunk(choices=[{"delta": {"content": "x"}, "finish_reason": None}])
        + chunk(choices=[{"delta": {}, "finish_reason": "stop"}])
        + chunk(usage=CHAT_USAGE)
        + b"data: [DONE]\n\n"
    )
    for start in range(0, len(stream), 7):
        tap.feed(stream[start : start + 7])
    tap.finish()
    [record] = sink.closed
    assert (record.outcome, record.finish_reason, record.model, record.response_id) == (
        "ok",
        "stop",
        "m-1",
        "chatcmpl-1",
    )
    assert (record.input_tokens, record.output_tokens) == (10, 20)
    assert (record.cached_tokens, record.reasoning_tokens) == (4, 5)


async def test_calls_of_a_chat_stream_are_counted_once_each(stage: Stage, sink: Sink) -> None:
    tap = ChatStreamTap(call(stage), nothing())
    for index in (0, 1):
        begun = {"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": ""}}
        tap.feed(chunk(choices=[{"index": 0, "delta": {"tool_calls": [begun]}}]))
        more = {"index": index, "function": {"arguments": '{"name": 1}'}}
        tap.feed(chunk(choices=[{"index": 0, "delta": {"tool_calls": [more]}}]))
    tap.feed(chunk(choices=[{"delta": {}, "finish_reason": "tool_calls"}]))
    tap.finish()
    assert [(record.finish_reason, record.tool_calls) for record in sink.closed] == [("tool_calls", 2)]


@pytest.mark.parametrize(
    ("stream", "outcome"),
    [
        (chunk(choices=[{"delta": {}, "finish_reason": "length"}]), "incomplete"),
        (chunk(choices=[{"delta": {"content": "x"}, "finish_reason": None}]), "truncated"),
        (b'data: {"error": {"message": "x"}}\n\n', "failed"),
        (b"", "truncated"),
    ],
)
async def test_chat_stream_tap_tells_how_an_answer_ended(stage: Stage, sink: Sink, stream: bytes, outcome: str) -> None:
    tap = ChatStreamTap(call(stage), nothing())
    tap.feed(stream)
    tap.finish()
    assert [record.outcome for record in sink.closed] == [outcome]


async def test_error_of_a_chat_stream_is_recorded_with_its_code(stage: Stage, sink: Sink) -> None:
    tap = ChatStreamTap(call(stage), nothing())
    tap.feed(b'data: {"error": {"message": "x", "code": "rate_limit_exceeded"}}\n\n')
    assert [record.error_code for record in sink.closed] == ["rate_limit_exceeded"]


async def test_chat_body_tap_records_the_completion(stage: Stage, sink: Sink) -> None:
    tap = ChatBodyTap(call(stage, streamed=False), nothing())
    choice = {"finish_reason": "tool_calls", "message": {"tool_calls": [{}, {}]}}
    tap.feed(json.dumps({"id": "chatcmpl-1", "model": "m-1", "choices": [choice], "usage": CHAT_USAGE}).encode())
    tap.finish()
    [record] = sink.closed
    assert (record.outcome, record.finish_reason, record.tool_calls) == ("ok", "tool_calls", 2)
    assert record.reasoning_tokens == 5


def claims(stage: Stage) -> IdClaims:
    return id_claims(stage.served(), Upstream(name="one", base_url="http://1", key_env="K"))


async def claimed(stage: Stage, made: IdClaims) -> list[str]:
    await made.claimed()
    requests = [request for _, request in stage.bus.asked if isinstance(request, ClaimRequest)]
    return [id_ for request in requests for id_ in (request.upstream_id, *request.more)]


def delta(*, choice: int = 0, finish: str | None = None, **fields: Any) -> bytes:
    return chunk(choices=[{"index": choice, "delta": fields, "finish_reason": finish}])


def begun(index: Any) -> dict[str, Any]:
    return {"index": index, "id": "c", "function": {"name": "f", "arguments": ""}}


async def test_calls_of_several_choices_are_counted_apart(stage: Stage, sink: Sink) -> None:
    tap = ChatStreamTap(call(stage), nothing())
    for choice in (0, 1):
        tap.feed(delta(choice=choice, tool_calls=[begun(0), begun(1)]))
        tap.feed(delta(choice=choice, finish="tool_calls"))
    tap.finish()
    assert [record.tool_calls for record in sink.closed] == [4]


@pytest.mark.parametrize("fields", [{"tool_calls": 7, "name": 1}, {"tool_calls": ["x"], "name": 1}])
async def test_calls_of_another_form_are_none(stage: Stage, sink: Sink, fields: dict[str, Any]) -> None:
    tap = ChatStreamTap(call(stage), nothing())
    tap.feed(chunk(choices=[{"delta": fields}]))
    tap.feed(chunk(choices=[{"delta": [fields]}]) + delta(finish="stop"))
    tap.finish()
    assert [(record.outcome, record.tool_calls) for record in sink.closed] == [("ok", 0)]


async def test_usage_that_comes_before_the_end_is_recorded(stage: Stage, sink: Sink) -> None:
    tap = ChatStreamTap(call(stage), nothing())
    spaced = json.dumps({"id": "chatcmpl-1", "usage": CHAT_USAGE}, separators=(",", ":")).encode()
    tap.feed(b"data: " + spaced + b"\n\n" + delta(content="x", finish="stop"))
    tap.feed(chunk(usage=None))
    tap.finish()
    [record] = sink.closed
    assert (record.output_tokens, record.input_tokens, record.ttft_ms is None) == (20, 10, False)


@pytest.mark.parametrize("payload", [b'{"error": {"code": 7}}', b'{"error":{"code":7}}', b'{ "error": {"code": 7}}'])
async def test_code_of_an_error_may_be_a_number(stage: Stage, sink: Sink, payload: bytes) -> None:
    tap = ChatStreamTap(call(stage), nothing())
    tap.feed(b"data: " + payload + b"\n\n")
    assert [(record.outcome, record.error_code) for record in sink.closed] == [("failed", "7")]


async def test_error_without_a_code_is_recorded_without(stage: Stage, sink: Sink) -> None:
    tap = ChatStreamTap(call(stage), nothing())
    tap.feed(b'data: {"error": {"message": "x"}}\n\n')
    assert [record.error_code for record in sink.closed] == [""]


async def test_chunks_that_cannot_be_read_are_counted_and_cost_nothing_else(stage: Stage, sink: Sink) -> None:
    counter = metrics.BAD_EVENTS._value
    before, tap = counter.get(), ChatStreamTap(call(stage), nothing())
    tap.feed(b'data: {"finish_reason":"stop"\n\n' + b"data: [DONE]\n\n")
    assert counter.get() == before + 1
    tap.feed(delta(finish="stop"))
    tap.finish()
    assert [record.outcome for record in sink.closed] == ["ok"]


async def test_end_mark_is_no_chunk_that_cannot_be_read(stage: Stage) -> None:
    counter = metrics.BAD_EVENTS._value
    before, tap = counter.get(), ChatStreamTap(call(stage), claims(stage))
    tap.feed(b"data: [DONE]\n\n")
    assert counter.get() == before


async def test_chunk_that_is_too_long_ends_the_reading(
    stage: Stage, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.translate.sse.MAX_FRAME_BYTES", 1000)
    counter = metrics.BAD_EVENTS._value
    before, tap = counter.get(), ChatStreamTap(call(stage), nothing())
    tap.feed(b"data: " + b"x" * 5000)
    tap.feed(b"\n\n" + delta(finish="stop"))
    tap.finish()
    assert counter.get() == before + 1
    assert [record.outcome for record in sink.closed] == ["truncated"]


async def test_only_what_may_be_of_use_is_parsed(stage: Stage, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    monkeypatch.setattr("services.edge.answering.chat_tap.read", lambda _, payload: read.append(payload))
    plain, spoken = delta(content="x"), delta(audio={"id": "audio_1"})
    ChatStreamTap(call(stage), nothing()).feed(plain + spoken + delta(tool_calls=[{"index": 0}]))
    assert read == []
    ChatStreamTap(call(stage), nothing()).feed(delta(finish="stop") + delta(tool_calls=[begun(0)]))
    assert len(read) == 2
    del read[:]
    made = claims(stage)
    tap = ChatStreamTap(call(stage), made)
    tap.feed(plain)
    assert len(read) == 1  # for the id


async def test_ids_of_a_stream_are_claimed_once_and_plain_chunks_are_then_passed_over(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = claims(stage)
    tap = ChatStreamTap(call(stage), made)
    tap.feed(delta(content="x"))
    names: list[Any] = []
    monkeypatch.setattr(made, "claim", names.append)
    tap.feed(delta(content="y"))
    tap.feed(delta(finish="stop"))
    assert names == []
    tap.feed(delta(audio={"id": "audio_1"}))
    assert names == [[("completion", "chatcmpl-1"), ("audio", "audio_1")]]
    assert await claimed(stage, made) == ["completion:chatcmpl-1"]


async def test_end_of_a_stream_waits_for_its_claims(stage: Stage) -> None:
    made = claims(stage)
    tap = ChatStreamTap(call(stage), made)
    tap.feed(delta(content="x"))
    await made.gone()
    assert not made.fresh
    tap.feed(delta(audio={"id": "audio_1"}))
    await made.gone()
    ended: list[bool] = []
    made.ended = lambda: ended.append(True)  # type: ignore[method-assign]
    tap.feed(delta(content="y"))
    assert ended == []
    tap.feed(delta(finish="stop"))
    assert ended == [True]


async def test_body_in_parts_is_read_whole_and_its_ids_are_claimed(stage: Stage, sink: Sink) -> None:
    made = claims(stage)
    tap = ChatBodyTap(call(stage, streamed=False), made)
    choices = [
        {"finish_reason": "stop", "message": {"audio": {"id": "audio_1"}}},
        {"finish_reason": "tool_calls", "message": {"tool_calls": [{}], "audio": "x"}},
        {"finish_reason": "function_call", "message": {"function_call": {"name": "f"}}},
        {"finish_reason": None, "message": None},
    ]
    body = json.dumps({"id": "chatcmpl-1", "model": "m-1", "choices": choices, "usage": CHAT_USAGE}).encode()
    tap.feed(body[:20])
    tap.feed(body[20:])
    assert sink.closed == []
    tap.finish()
    [record] = sink.closed
    assert (record.tool_calls, record.output_tokens, record.response_id, record.model) == (2, 20, "chatcmpl-1", "m-1")
    assert record.ttft_ms is not None
    assert await claimed(stage, made) == ["completion:chatcmpl-1", "audio:audio_1"]


async def test_body_that_is_no_completion_is_still_recorded(stage: Stage, sink: Sink) -> None:
    for body in (b"<html>", b"{}"):
        tap = ChatBodyTap(call(stage, streamed=False), nothing())
        tap.feed(body)
        tap.finish()
    assert [(record.outcome, record.output_tokens) for record in sink.closed] == [("ok", 0)] * 2


async def test_body_that_is_too_long_to_be_kept_is_still_recorded(
    stage: Stage, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"id": "chatcmpl-1", "choices": [{"finish_reason": "stop"}]}).encode()
    for limit, id_ in ((len(body), "chatcmpl-1"), (len(body) - 1, "")):
        monkeypatch.setattr("services.edge.answering.chat_tap.MAX_BODY_BYTES", limit)
        tap = ChatBodyTap(call(stage, streamed=False), nothing())
        tap.feed(body[:9])
        tap.feed(body[9:])
        tap.finish()
        assert (sink.closed[-1].outcome, sink.closed[-1].response_id) == ("ok", id_)
