import json
from typing import Any

import pytest

from libs.runtime import metrics
from libs.schemas.plan import StreamPlan
from libs.schemas.wire.errors import ErrorBody
from libs.translate.answer.chain_check import NotChained
from libs.translate.answer.stream import DONE_FRAME, KEEPALIVE_FRAME
from libs.translate.errors import TranslationError
from services.edge.answering.rendering import (
    ChatRenderer,
    Renderer,
    TypedRenderer,
    decode,
    renderers,
    report_differences,
)
from tests.support.answers import Json, message, response

Event = tuple[bytes, bytes]


def _event(kind: str, **fields: Any) -> Event:
    return kind.encode(), json.dumps({"type": kind, **fields}).encode()


def _created(**fields: Any) -> Event:
    return _event("response.created", response=response(status="in_progress", **fields))


def _text(delta: str) -> Event:
    return _event("response.output_text.delta", output_index=0, content_index=0, delta=delta)


def _completed(*output: Json, **fields: Any) -> Event:
    return _event("response.completed", response=response(*output, status="completed", **fields))


def _failed(**error: Any) -> Event:
    return _event("response.failed", response=response(status="failed", error=error))


KEEPALIVE = _event("keepalive")
STALE = {"code": "previous_response_not_found", "message": "Previous response with id 'resp_0' not found."}
USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


def _chat(**plan: Any) -> Renderer:
    (renderer,) = renderers(StreamPlan(stream=True, **plan), mendable=True, disclosed=lambda error: error)
    assert isinstance(renderer, ChatRenderer)
    return renderer


def _typed(*, mendable: bool = False, disclosed: TranslationError | None = None, **plan: Any) -> TypedRenderer:
    return TypedRenderer(
        StreamPlan(stream=True, format="responses", **plan),
        mendable=mendable,
        disclosed=lambda error: disclosed or error,
    )


def _fed(renderer: Renderer, *events: Event) -> list[bytes]:
    return [frame for event in events for frame in renderer.feed(*event)]


def _contents(frames: list[bytes]) -> str:
    chunks = [json.loads(frame.removeprefix(b"data: ")) for frame in frames]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


def _sse(event: Event) -> bytes:
    return b"event: %b\ndata: %b\n\n" % event


# -- chat -------------------------------------------------------------------------------------------


def test_the_end_of_an_answer_is_held_until_it_may_be_released() -> None:
    renderer = _chat()
    frames = _fed(renderer, _created(), _text("Hi"), _completed(message("Hi there"), id="resp_7"))
    assert _contents(frames) == "Hi there"
    assert not any(b'finish_reason":"' in frame for frame in frames)
    assert renderer.created is not None and renderer.created.status == "in_progress"
    ending = renderer.ending
    assert ending is not None and ending.frames[-1] == DONE_FRAME
    assert b'"finish_reason":"stop"' in ending.frames[0]
    assert (ending.how.outcome, ending.how.finish_reason, ending.response.id) == ("ok", "stop", "resp_7")
    assert ending.sent is not None and ending.sent.content == "Hi there"
    assert len(ending.output) == 1


def test_nothing_follows_the_end_of_an_answer() -> None:
    renderer = _chat()
    _fed(renderer, _created(), _text("Hi"), _completed(message("Hi")))
    ending = renderer.ending
    assert _fed(renderer, _text("more"), KEEPALIVE, _failed(code="x", message="No.")) == []
    assert renderer.ending is ending and renderer.failure is None


def test_nothing_follows_a_failure() -> None:
    renderer = _chat()
    failed = _failed(code="server_error", message="No.")
    assert _fed(renderer, _created(), failed, _text("more"), _completed(message("Hi"))) == []
    assert renderer.failure is not None and renderer.failure.error.code == "server_error"
    assert (renderer.failure_payload, renderer.ending) == (failed[1], None)


def test_an_upstreams_heartbeat_is_passed_on_once_the_answer_has_begun() -> None:
    renderer = _chat()
    assert _fed(renderer, KEEPALIVE) == []
    assert _fed(renderer, _created(), KEEPALIVE) == []
    assert _fed(renderer, _text("Hi"), KEEPALIVE, KEEPALIVE)[-2:] == [KEEPALIVE_FRAME] * 2


def test_an_upstreams_heartbeat_is_passed_on_once_a_comment_was_sent() -> None:
    renderer = _chat()
    renderer.keepalive()
    assert _fed(renderer, KEEPALIVE) == [KEEPALIVE_FRAME]


def test_what_cannot_be_read_is_passed_over() -> None:
    renderer = _chat()
    frames = _fed(renderer, _created(), (b"response.output_text.delta", b"{"), (b"", b"[DONE]"), _text("Hi"))
    assert _contents(frames) == "Hi"
    assert renderer.failure is None


def test_an_event_whose_frame_has_no_name_is_known_by_its_type() -> None:
    assert _contents(_fed(_chat(), _created(), (b"", _text("Hi")[1]))) == "Hi"


def test_an_event_without_a_type_is_known_by_the_name_of_its_frame() -> None:
    name, payload = _text("Hi")
    untyped = {key: value for key, value in json.loads(payload).items() if key != "type"}
    assert _contents(_fed(_chat(), _created(), (name, json.dumps(untyped).encode()))) == "Hi"


def test_an_answer_that_breaks_off_may_not_pass_for_whole() -> None:
    renderer = _chat()
    _fed(renderer, _created(), _text("Hi"))
    assert renderer.broken_off() is None


def test_a_stop_sequence_ends_the_answer_at_once() -> None:
    renderer = _chat(stop=["END"])
    frames = _fed(renderer, _created(), _text("Hi END more"))
    assert _contents(frames) == "Hi "
    assert b'"finish_reason":"stop"' in frames[-1]
    ending = renderer.ending
    assert renderer.stopped and ending is not None
    assert ending.frames == [DONE_FRAME]
    assert (ending.how.outcome, ending.how.finish_reason) == ("ok", "stop")
    assert ending.response.id == "resp_1"


def test_a_stopped_answer_waits_for_its_usage_where_that_was_asked_for() -> None:
    renderer = _chat(stop=["END"], include_usage=True)
    _fed(renderer, _created(), _text("Hi END"))
    assert renderer.stopped and renderer.ending is None
    assert _fed(renderer, _text("more")) == []
    _fed(renderer, _completed(message("Hi END more"), usage=USAGE))
    ending = renderer.ending
    assert ending is not None and b'"total_tokens":5' in ending.frames[0]
    assert ending.frames[-1] == DONE_FRAME


def test_a_stopped_answer_whose_usage_does_not_come_is_whole() -> None:
    renderer = _chat(stop=["END"], include_usage=True)
    _fed(renderer, _created(), _text("Hi END"))
    ending = renderer.broken_off()
    assert ending is not None and ending.frames[-1] == DONE_FRAME
    assert (ending.how.outcome, ending.response.id, list(ending.output)) == ("ok", "resp_1", [])


def test_only_the_last_of_several_choices_ends_the_stream() -> None:
    plan = StreamPlan(stream=True, choices=2)
    first, second = renderers(plan, mendable=False, disclosed=lambda error: error)
    for renderer in (first, second):
        _fed(renderer, _created(), _text("Hi"), _completed(message("Hi")))
    assert first.ending is not None and second.ending is not None
    assert DONE_FRAME not in first.ending.frames
    assert second.ending.frames[-1] == DONE_FRAME


def test_a_whole_text_that_says_something_else_is_noted() -> None:
    renderer = _chat()
    _fed(renderer, _created(), _text("Hi"), _completed(message("Bye")))
    assert renderer.ending is not None and renderer.ending.differences != []


# -- typed ------------------------------------------------------------------------------------------


def test_typed_events_pass_as_they_came_and_the_last_one_is_held() -> None:
    renderer = _typed()
    events = (_created(), _text("Hi"), _event("of.another.kind", x=1))
    assert _fed(renderer, *events) == [_sse(event) for event in events]
    assert renderer.created is not None and renderer.created.id == "resp_1"
    last = _completed(message("Hi"))
    assert _fed(renderer, last) == []
    ending = renderer.ending
    assert ending is not None and ending.frames == [_sse(last)]
    assert (ending.how.outcome, ending.how.finish_reason, len(ending.output)) == ("ok", "stop", 1)
    assert _fed(renderer, _text("more")) == []


def test_the_end_mark_of_a_chat_stream_is_no_typed_event() -> None:
    assert _typed().feed(b"", b"[DONE]") == []
    assert decode(b"", b"[DONE]") is None


@pytest.mark.parametrize(
    ("payload", "name"), [(b'{"type":"a"}', b"a"), (b"{}", b"message"), (b"x", b"message"), (b'{"type":1}', b"message")]
)
def test_a_frame_without_a_name_gets_that_of_its_type(payload: bytes, name: bytes) -> None:
    assert _typed().feed(b"", payload) == [_sse((name, payload))]


def test_the_first_events_are_held_back_while_the_request_may_be_sent_again() -> None:
    renderer = _typed(mendable=True)
    events = (_created(), _event("response.in_progress"), _event("response.queued"))
    assert _fed(renderer, *events) == []
    assert _fed(renderer, _text("Hi")) == [_sse(event) for event in (*events, _text("Hi"))]
    assert _fed(renderer, _text("!")) == [_sse(_text("!"))]


def test_what_was_held_back_is_sent_before_the_end() -> None:
    renderer = _typed(mendable=True)
    assert _fed(renderer, _created(), _completed()) == [_sse(_created())]
    assert renderer.ending is not None and renderer.ending.frames == [_sse(_completed())]


@pytest.mark.parametrize("failed", [_failed(**STALE), _event("error", **STALE)])
def test_an_answer_that_cannot_go_on_is_not_shown_while_the_request_may_be_sent_again(failed: Event) -> None:
    renderer = _typed(mendable=True)
    assert _fed(renderer, _created(), failed, _text("more")) == []
    assert renderer.failure is not None and renderer.failure.error.code == STALE["code"]
    assert (renderer.failure_payload, renderer.ending) == (failed[1], None)


def test_code_or_words_alone_say_that_an_answer_cannot_go_on() -> None:
    for error in ({"code": STALE["code"], "message": "No."}, {"code": "server_error", "message": STALE["message"]}):
        renderer = _typed(mendable=True)
        assert _fed(renderer, _created(), _failed(**error)) == []
        assert renderer.failure is not None and renderer.failure.error.message == error["message"]


def test_another_failure_is_shown_as_it_came() -> None:
    renderer = _typed(mendable=True)
    failed = _failed(code="server_error", message="No.")
    assert _fed(renderer, _created(), failed) == [_sse(_created())]
    ending = renderer.ending
    assert ending is not None and ending.frames == [_sse(failed)]
    assert (ending.how.outcome, ending.how.error_code, renderer.failure) == ("failed", "server_error", None)


def test_once_something_was_sent_a_failure_is_shown_as_it_came() -> None:
    sent, commented = _typed(mendable=True), _typed(mendable=True)
    _fed(sent, _created(), _text("Hi"))
    commented.keepalive()
    _fed(commented, _created())
    for renderer in (sent, commented):
        _fed(renderer, _failed(**STALE))
        assert renderer.ending is not None and renderer.ending.frames == [_sse(_failed(**STALE))]


def test_a_stream_may_end_with_an_error_event() -> None:
    renderer = _typed()
    error = _event("error", code="server_error", message="No.")
    assert renderer.broken_off() is None
    assert _fed(renderer, _created(), error) == [_sse(_created()), _sse(error)]
    ending = renderer.broken_off()
    assert renderer.ending is None and ending is not None
    assert (ending.frames, ending.how.outcome, ending.how.error_code) == ([], "failed", "server_error")
    assert ending.response.id == "resp_1"


def test_a_failure_that_the_client_may_not_hear_is_told_as_another() -> None:
    hidden = TranslationError(502, ErrorBody(message="Refused.", type="server_error", code="upstream_key_refused"))
    for failed in (_failed(code="invalid_api_key", message="sk-1"), _event("error", message="sk-1")):
        renderer = _typed(disclosed=hidden)
        assert _fed(renderer, _created(), failed, _text("more")) == [_sse(_created())]
        assert renderer.failure is hidden


@pytest.mark.parametrize("event", [_created(), _completed()])
def test_an_answer_that_ignores_its_parent_is_not_shown(event: Event) -> None:
    payload = json.loads(event[1])
    payload["response"]["previous_response_id"] = None
    other = (event[0], json.dumps(payload).encode())
    renderer = _typed(parent="resp_0")
    assert _fed(renderer, other, _text("more")) == []
    assert isinstance(renderer.failure, NotChained)
    assert renderer.failure_payload == other[1]


def test_a_failure_of_parleys_own_is_the_next_event_of_the_stream() -> None:
    renderer = _typed()
    _fed(renderer, _created(), _text("Hi"))
    error = ErrorBody(message="No.", type="server_error", param="x", code="upstream_timeout")
    name, _, data = renderer.error_frame(error).partition(b"\ndata: ")
    assert (name, data[-2:]) == (b"event: error", b"\n\n")
    assert json.loads(data) == {
        "type": "error",
        "sequence_number": 2,
        "code": "upstream_timeout",
        "message": "No.",
        "param": "x",
    }


def test_events_that_are_held_back_count_too() -> None:
    renderer = _typed(mendable=True)
    _fed(renderer, _created(), _event("response.in_progress"))
    assert b'"sequence_number":2' in renderer.error_frame(ErrorBody(message="No."))


def test_each_choice_has_a_renderer_and_a_typed_stream_one() -> None:
    for plan, kind, count in (
        (StreamPlan(stream=True), ChatRenderer, 1),
        (StreamPlan(stream=True, choices=3), ChatRenderer, 3),
        (StreamPlan(stream=True, format="responses"), TypedRenderer, 1),
    ):
        made = renderers(plan, mendable=False, disclosed=lambda error: error)
        assert [type(one) for one in made] == [kind] * count


def test_differences_are_counted_by_kind(caplog: pytest.LogCaptureFixture) -> None:
    counters = {kind: metrics.TEXT_DIFFERENCES.labels(kind)._value for kind in ("text", "call")}
    before = {kind: counter.get() for kind, counter in counters.items()}
    report_differences([], "req_1")
    assert "text_differs" not in caplog.text
    report_differences(["text", "call", "text"], "req_1")
    assert {kind: counter.get() - before[kind] for kind, counter in counters.items()} == {"text": 2, "call": 1}
    assert caplog.text.count("text_differs") == 1


def test_events_that_cannot_be_read_are_counted() -> None:
    before = metrics.BAD_EVENTS._value.get()
    assert decode(b"response.completed", b"{") is None
    assert decode(b"", b"[DONE]") is None
    assert metrics.BAD_EVENTS._value.get() == before + 1


@pytest.mark.parametrize("mendable", [False, True])
def test_renderer_of_a_typed_stream_knows_whether_it_may_be_sent_again_and_what_to_hide(mendable: bool) -> None:
    hidden = TranslationError(502, ErrorBody(message="Refused."))
    plan = StreamPlan(stream=True, format="responses")
    (renderer,) = renderers(plan, mendable=mendable, disclosed=lambda _: hidden)
    assert _fed(renderer, _created()) == ([] if mendable else [_sse(_created())])
    assert _fed(renderer, _failed(code="server_error", message="sk-1")) == []
    assert renderer.failure is hidden


def test_a_stopped_answer_reports_what_its_final_texts_said_otherwise() -> None:
    renderer = _chat(stop=["END"])
    other = _event("response.output_text.done", output_index=0, content_index=0, text="Other")
    more = _event("response.output_text.delta", output_index=0, content_index=1, delta=" END")
    _fed(renderer, _created(), _text("Hi"), other, more)
    assert renderer.ending is not None and renderer.ending.differences == ["text"]
