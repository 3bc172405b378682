"""What the tap reads of bytes that pass, for the record."""

import json
from typing import Any

import pytest

from libs.runtime import metrics
from libs.schemas.config import Upstream
from services.edge.answering.response_tap import BodyTap, StreamTap
from services.edge.ownership.claiming import IdClaims
from services.edge.records.calls import Call, begin
from tests.unit.services.edge.fakes import Sink, Stage

CALL_ITEM = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "model": "m-1",
    "status": "completed",
    "output": [CALL_ITEM, {"type": "from_the_future", "arguments": 7}],
    "usage": {
        "input_tokens": 10,
        "output_tokens": 20,
        "total_tokens": 30,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 5},
    },
}


def nothing() -> IdClaims:
    """Nothing is claimed."""
    return IdClaims(Stage({}).served(), None)


@pytest.fixture
def stage() -> Stage:
    return Stage({})


@pytest.fixture
def sink(stage: Stage) -> Sink:
    return stage.sink


def call(stage: Stage, streamed: bool = True) -> Call:
    return begin(
        stage.served(),
        surface="responses",
        attempt=1,
        model_requested="m",
        upstream="u",
        streamed=streamed,
        request_bytes=1,
    )


def frame(type_: str, **fields: Any) -> bytes:
    return f"event: {type_}\ndata: {json.dumps({'type': type_, **fields})}\n\n".encode()


async def test_call_is_opened_as_lost(stage: Stage, sink: Sink) -> None:
    call(stage)
    assert [record.outcome for record in sink.opened] == ["lost"]


async def test_stream_tap_records_the_terminal_event(stage: Stage, sink: Sink) -> None:
    tap = StreamTap(call(stage), nothing())
    stream = frame("response.created", response=RESPONSE) + frame("response.completed", response=RESPONSE)
    for start in range(0, len(stream), 5):
        tap.feed(stream[start : start + 5])
    tap.finish()
    [record] = sink.closed
    assert (record.outcome, record.model, record.response_id) == ("ok", "m-1", "resp_1")
    assert (record.input_tokens, record.output_tokens) == (10, 20)
    assert (record.cached_tokens, record.reasoning_tokens) == (4, 5)
    assert (record.finish_reason, record.tool_calls) == ("tool_calls", 1)
    assert record.ttft_ms is not None
    assert record.event_id == sink.opened[0].event_id


@pytest.mark.parametrize(
    ("events", "outcome", "code"),
    [
        (frame("response.incomplete", response={**RESPONSE, "status": "incomplete"}), "incomplete", ""),
        (frame("error", code="rate_limit_exceeded", message="slow"), "failed", "rate_limit_exceeded"),
        (frame("error", error={"code": "x", "message": "y"}), "failed", "x"),
        (
            frame("response.failed", response={**RESPONSE, "status": "failed", "error": {"code": "server_error"}}),
            "failed",
            "server_error",
        ),
        (b'data: {"type":"response.completed","response":{"id":"resp_1"}}\n\n', "ok", ""),
        (frame("response.created", response=RESPONSE), "truncated", ""),
        (b"", "truncated", ""),
        (b"event: response.completed\ndata: {not json\n\n", "truncated", ""),
    ],
)
async def test_stream_tap_tells_how_an_answer_ended(
    stage: Stage, sink: Sink, events: bytes, outcome: str, code: str
) -> None:
    tap = StreamTap(call(stage), nothing())
    tap.feed(events)
    tap.finish()
    assert [(record.outcome, record.error_code) for record in sink.closed] == [(outcome, code)]


async def test_answer_that_was_cut_is_recorded_under_its_id(stage: Stage, sink: Sink) -> None:
    tap = StreamTap(call(stage), nothing())
    tap.feed(frame("response.created", response=RESPONSE))
    tap.finish()
    assert [(record.outcome, record.response_id, record.model) for record in sink.closed] == [
        ("truncated", "resp_1", "m-1")
    ]


async def test_body_tap_records_the_response(stage: Stage, sink: Sink) -> None:
    tap = BodyTap(call(stage, streamed=False), nothing())
    body = json.dumps(RESPONSE).encode()
    tap.feed(body[:10])
    tap.feed(body[10:])
    tap.finish()
    [record] = sink.closed
    assert (record.outcome, record.reasoning_tokens, record.streamed) == ("ok", 5, False)


PROGRAM = {**CALL_ITEM, "caller": {"type": "program"}}
CUSTOM = {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"}
APPROVAL = {"type": "mcp_approval_request", "id": "a", "name": "f", "server_label": "s", "arguments": "{}"}


@pytest.mark.parametrize(
    ("fields", "ended"),
    [
        ({"output": [CUSTOM]}, ("ok", "tool_calls", 1)),
        ({"output": [PROGRAM]}, ("ok", "stop", 0)),
        ({"output": [CALL_ITEM, PROGRAM, APPROVAL]}, ("ok", "tool_calls", 2)),
        ({"status": "cancelled"}, ("failed", "", 0)),
        ({"status": "queued", "output": []}, ("ok", "", 0)),
        ({"status": "incomplete"}, ("incomplete", "length", 1)),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_items_and_status_say_how_a_response_ended(
    stage: Stage, sink: Sink, fields: dict[str, Any], ended: tuple[str, str, int], *, streamed: bool
) -> None:
    response = {**RESPONSE, **fields}
    tap = StreamTap(call(stage), nothing()) if streamed else BodyTap(call(stage, streamed=False), nothing())
    tap.feed(frame("response.completed", response=response) if streamed else json.dumps(response).encode())
    tap.finish()
    [record] = sink.closed
    assert (record.outcome, record.finish_reason, record.tool_calls) == ended


async def test_items_that_stand_in_no_terminal_event_are_counted(stage: Stage, sink: Sink) -> None:
    tap = StreamTap(call(stage), nothing())
    tap.feed(frame("response.output_item.done", output_index=0, item=CUSTOM) + b"event: error\ndata: {\n\n")
    tap.feed(frame("response.completed", response={**RESPONSE, "output": []}))
    assert [(record.finish_reason, record.tool_calls) for record in sink.closed] == [("tool_calls", 1)]


async def test_response_that_follows_an_error_is_recorded_with_its_usage(stage: Stage, sink: Sink) -> None:
    tap = StreamTap(call(stage), nothing())
    tap.feed(frame("error", code="server_error", message="No."))
    error = {"code": "server_error", "message": "No."}
    tap.feed(frame("response.failed", response={**RESPONSE, "status": "failed", "error": error}))
    [record] = sink.closed
    assert (record.outcome, record.error_code, record.output_tokens) == ("failed", "server_error", 20)


async def test_body_that_is_no_response_is_still_recorded(stage: Stage, sink: Sink) -> None:
    tap = BodyTap(call(stage, streamed=False), nothing())
    tap.feed(b"<html>")
    tap.finish()
    assert [record.outcome for record in sink.closed] == ["ok"]


@pytest.mark.parametrize("wanted", [False, True])
async def test_body_is_kept_up_to_a_limit_that_is_higher_where_its_ids_are_claimed(
    stage: Stage, sink: Sink, monkeypatch: pytest.MonkeyPatch, *, wanted: bool
) -> None:
    body = json.dumps(RESPONSE).encode()
    monkeypatch.setattr("services.edge.answering.response_tap.MAX_BODY_BYTES", len(body) - 1)
    monkeypatch.setattr("services.edge.answering.response_tap.MAX_CLAIMED_BYTES", len(body))
    key = Upstream(name="one", base_url="http://1", key_env="K")
    tap = BodyTap(call(stage, streamed=False), IdClaims(stage.served(), key if wanted else None))
    for start in range(0, len(body), 10):
        tap.feed(body[start : start + 10])
    tap.finish()
    assert [(record.outcome, record.response_id) for record in sink.closed] == [("ok", "resp_1" if wanted else "")]


async def test_event_that_is_too_long_ends_the_reading(
    stage: Stage, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.translate.sse.MAX_FRAME_BYTES", 1000)
    before, tap = metrics.BAD_EVENTS._value.get(), StreamTap(call(stage), nothing())
    tap.feed(frame("response.created", response={**RESPONSE, "output": []}))
    tap.feed(b"data: " + b"x" * 5000)
    tap.feed(b"\n\n" + frame("response.completed", response=RESPONSE))
    tap.finish()
    assert metrics.BAD_EVENTS._value.get() == before + 1
    assert [(record.outcome, record.response_id) for record in sink.closed] == [("truncated", "resp_1")]


async def test_event_that_cannot_be_read_is_counted(stage: Stage, sink: Sink) -> None:
    before, tap = metrics.BAD_EVENTS._value.get(), StreamTap(call(stage), nothing())
    tap.feed(b"event: response.completed\ndata: {not json\n\n")
    assert metrics.BAD_EVENTS._value.get() == before + 1


async def test_only_what_the_record_needs_is_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    monkeypatch.setattr(StreamTap, "_read", lambda _, name, payload: read.append(name or payload[:30]))
    tap = StreamTap(call(stage), nothing())
    tap.feed(frame("response.output_text.delta", delta="response.completed") + frame("response.completed"))
    tap.feed(b'data: {"type":"response.output_text.delta","delta":"x"}\n\n' + b'data: {"type":"error"}\n\n')
    assert read == [b"response.completed", b'{"type":"error"}']


async def test_first_bytes_of_either_form_are_noted(stage: Stage, sink: Sink) -> None:
    for tap in (StreamTap(call(stage), nothing()), BodyTap(call(stage, streamed=False), nothing())):
        tap.feed(b"{}")
        tap.finish()
    assert [record.ttft_ms is not None for record in sink.closed] == [True, True]
