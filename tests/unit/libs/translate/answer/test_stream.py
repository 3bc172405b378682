import json
from typing import Any

import pytest

from libs.schemas.plan import StreamPlan
from libs.translate.answer.stream import ChunkStream, to_frame
from libs.translate.errors import UpstreamFailed
from tests.support.answers import (
    PLAN,
    Json,
    added,
    arguments,
    arguments_done,
    call,
    calls,
    chunks,
    citation,
    completed,
    created,
    deltas,
    done,
    event,
    failed,
    feed,
    incomplete,
    message,
    raw_reasoning,
    reasoning,
    refusal,
    said,
    summary,
    text,
)

STRUCTURED = StreamPlan(stream=True, structured=True)
WITH_USAGE = StreamPlan(stream=True, include_usage=True)
USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


def _part(kind: str, index: int, part: Json, part_index: int = 0) -> Any:
    return event(f"response.content_part.{kind}", output_index=index, content_index=part_index, part=part)


def _finish(made: list[Json]) -> list[str]:
    reasons = (choice["finish_reason"] for chunk in made for choice in chunk["choices"])
    return [reason for reason in reasons if reason is not None]


# -- envelope ---------------------------------------------------------------------------------------


def test_feed_is_silent_until_the_first_item() -> None:
    assert chunks(created(), event("response.in_progress", response={"id": "resp_1"})) == []


def test_role_comes_first_and_once() -> None:
    made = chunks(created(), added(0, message()), text(0, "a"), added(1, message()), text(1, "b"), completed())
    assert made[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert sum("role" in chunk["choices"][0]["delta"] for chunk in made) == 1


def test_every_chunk_names_the_same_answer() -> None:
    made = chunks(created(), text(0, "a"), completed(usage=USAGE), plan=WITH_USAGE)
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in made} == {
        ("chatcmpl-1", 1767225600, "m-2026"),
    }


def test_an_answer_without_a_created_event_takes_its_name_from_the_last() -> None:
    made = chunks(completed(message("a")))
    assert {chunk["id"] for chunk in made} == {"chatcmpl-1"}


def test_to_frame_gives_one_server_sent_event() -> None:
    (chunk,) = ChunkStream(PLAN).feed(added(0, message()))
    frame = to_frame(chunk)
    assert frame.startswith(b"data: {") and frame.endswith(b"}\n\n") and frame.count(b"\n") == 2
    assert json.loads(frame[6:])["object"] == "chat.completion.chunk"


def test_a_tier_that_is_not_resolved_is_left_out_until_it_is() -> None:
    made = chunks(created(service_tier="auto"), text(0, "a"), completed(service_tier="flex", usage=USAGE))
    tiers = [chunk.get("service_tier") for chunk in made]
    assert tiers == [None, None, "flex"]


def test_a_resolved_tier_stands_on_every_chunk() -> None:
    made = chunks(created(service_tier="default"), text(0, "a"), completed(service_tier="default"))
    assert {chunk["service_tier"] for chunk in made} == {"default"}


def test_a_tier_that_is_never_resolved_is_never_sent() -> None:
    made = chunks(created(service_tier="auto"), completed(message("a"), service_tier="auto"))
    assert not any("service_tier" in chunk for chunk in made)


# -- text -------------------------------------------------------------------------------------------


def test_text_deltas_become_content() -> None:
    assert deltas(chunks(text(0, "Hel"), text(0, "lo"))) == [{"content": "Hel"}, {"content": "lo"}]


def test_an_empty_delta_makes_no_chunk() -> None:
    assert chunks(text(0, "")) == []


@pytest.mark.parametrize(
    "ending",
    [
        event("response.output_text.done", output_index=0, content_index=0, text="Hello"),
        _part("done", 0, {"type": "output_text", "text": "Hello"}),
        done(0, message("Hello")),
        completed(message("Hello")),
    ],
    ids=["text_done", "part_done", "item_done", "completed"],
)
def test_text_that_no_delta_brought_comes_from_what_ends_it(ending: Any) -> None:
    assert said(chunks(text(0, "Hel"), ending), "content") == "Hello"


def test_text_that_came_is_not_repeated_by_what_ends_it() -> None:
    whole = event("response.output_text.done", output_index=0, content_index=0, text="Hello")
    part = _part("done", 0, {"type": "output_text", "text": "Hello"})
    item = message("Hello")
    made = chunks(added(0, message()), text(0, "Hello"), whole, part, done(0, item), completed(item))
    assert said(made, "content") == "Hello"


def test_text_that_a_part_begins_with_is_sent() -> None:
    begun = _part("added", 0, {"type": "output_text", "text": "Hel"})
    assert said(chunks(begun, text(0, "lo"), done(0, message("Hello"))), "content") == "Hello"


def test_parts_of_one_message_follow_each_other_directly() -> None:
    made = chunks(text(0, "one "), text(0, "two", part=1), completed(message("one ", "two")))
    assert said(made, "content") == "one two"


def test_texts_of_two_messages_are_set_apart() -> None:
    assert said(chunks(text(0, "one"), text(2, "two"), text(2, "!")), "content") == "one\n\ntwo!"


def test_a_message_without_text_sets_nothing_apart() -> None:
    made = chunks(done(0, message("")), text(1, "two"), done(2, message("")), completed())
    assert said(made, "content") == "two"


def test_a_structured_answer_is_never_set_apart() -> None:
    assert said(chunks(text(0, "[1"), text(1, "]"), plan=STRUCTURED), "content") == "[1]"


def test_commentary_is_kept_out_of_a_structured_answer() -> None:
    events = [
        added(0, message(phase="commentary")),
        text(0, "Let me see."),
        done(0, message("Let me see.", phase="commentary")),
        added(1, message(phase="final_answer")),
        text(1, "{}"),
    ]
    made = chunks(*events, plan=STRUCTURED)
    assert (said(made, "content"), said(made, "reasoning_content")) == ("{}", "Let me see.")
    assert said(chunks(*events), "content") == "Let me see.\n\n{}"


def test_refusal_deltas_become_refusal_and_only_what_lacks_is_added() -> None:
    delta = event("response.refusal.delta", output_index=0, content_index=0, delta="I can")
    whole = event("response.refusal.done", output_index=0, content_index=0, refusal="I cannot.")
    made = chunks(delta, whole, done(0, refusal("I cannot.")), completed(refusal("I cannot.")))
    assert deltas(made) == [{"refusal": "I can"}, {"refusal": "not."}]


# -- annotations ------------------------------------------------------------------------------------


def _annotations(made: list[Json]) -> list[list[Json]]:
    return [delta["annotations"] for delta in deltas(made) if "annotations" in delta]


def test_all_annotations_come_in_one_chunk_just_before_the_end() -> None:
    first = message("see a", annotations=[citation(4, 5)])
    second = message("see b", annotations=[citation(4, 5)])
    made = chunks(text(0, "see a"), done(0, first), text(1, "see b"), done(1, second), completed(first, second))
    assert len(_annotations(made)) == 1
    assert "annotations" in made[-2]["choices"][0]["delta"] and _finish(made[-1:]) == ["stop"]


def test_annotations_point_into_the_whole_content() -> None:
    made = chunks(text(0, "🌊 é"), done(1, message("x", "see b", annotations=[citation(4, 5)])), completed())
    (annotation,) = _annotations(made)[0]
    start, end = annotation["url_citation"]["start_index"], annotation["url_citation"]["end_index"]
    assert said(made, "content")[start:end] == "b"


def test_an_annotation_that_only_its_own_event_brought_is_kept() -> None:
    told = event(
        "response.output_text.annotation.added", output_index=0, content_index=0, annotation=citation(0, 1, "https://a")
    )
    made = chunks(text(0, "a"), told, done(0, message("a")), completed(message("a")))
    assert [entry["url_citation"]["url"] for entry in _annotations(made)[0]] == ["https://a"]


def test_an_annotation_told_several_times_is_sent_once() -> None:
    item = message("a", annotations=[citation(0, 1)])
    told = event("response.output_text.annotation.added", output_index=0, content_index=0, annotation=citation(0, 1))
    made = chunks(text(0, "a"), told, _part("done", 0, item["content"][0]), done(0, item), completed(item))
    assert len(_annotations(made)[0]) == 1


def test_an_annotation_that_only_the_finished_item_has_is_kept() -> None:
    bare = _part("done", 0, {"type": "output_text", "text": "a", "annotations": []})
    made = chunks(text(0, "a"), bare, done(0, message("a", annotations=[citation(0, 1)])), completed())
    assert len(_annotations(made)[0]) == 1


def test_annotations_that_chat_does_not_know_are_left_out() -> None:
    item = message("a", annotations=[{"type": "file_citation", "file_id": "file_1", "index": 0}])
    assert _annotations(chunks(text(0, "a"), done(0, item), completed(item))) == []


# -- reasoning --------------------------------------------------------------------------------------


def test_summary_parts_become_reasoning_set_apart() -> None:
    made = chunks(summary(0, "on"), summary(0, "e"), summary(0, "two", part=1))
    assert said(made, "reasoning_content") == "one\n\ntwo"


def test_reasoning_of_two_items_is_set_apart() -> None:
    assert said(chunks(summary(0, "one"), summary(2, "two")), "reasoning_content") == "one\n\ntwo"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([done(0, reasoning("one", "two"))], "one\n\ntwo"),
        ([summary(0, "on"), done(0, reasoning("one", "two"))], "one\n\ntwo"),
        ([event("response.reasoning_summary_text.done", output_index=0, summary_index=0, text="one")], "one"),
        ([done(0, reasoning(raw=("one ", "two")))], "one two"),
        ([raw_reasoning(0, "one "), done(0, reasoning(raw=("one ", "two")))], "one two"),
        (
            [
                raw_reasoning(0, "one "),
                event("response.reasoning_text.done", output_index=0, content_index=1, text="2"),
            ],
            "one 2",
        ),
        ([_part("done", 0, {"type": "reasoning_text", "text": "one"})], "one"),
        ([_part("added", 0, {"type": "reasoning_text", "text": "one"})], "one"),
    ],
    ids=[
        "item_done",
        "rest_in_item_done",
        "summary_done",
        "raw_item_done",
        "raw_rest_in_item_done",
        "second_raw_part_done",
        "part_done",
        "part_added",
    ],
)
def test_reasoning_that_no_delta_brought_comes_from_what_ends_it(events: list[Any], expected: str) -> None:
    made = chunks(*events)
    assert said(made, "reasoning_content") == expected
    assert said(made, "content") == ""


def test_reasoning_that_came_is_not_repeated() -> None:
    item = reasoning("one", "two")
    made = chunks(summary(0, "one"), summary(0, "two", part=1), done(0, item), completed(item))
    assert said(made, "reasoning_content") == "one\n\ntwo"


def test_raw_reasoning_is_shown_instead_of_its_summary() -> None:
    item = reasoning("short", raw=("long",))
    made = chunks(raw_reasoning(0, "long"), summary(0, "short"), done(0, item), completed(item))
    assert said(made, "reasoning_content") == "long"


def test_open_responses_servers_name_reasoning_otherwise() -> None:
    delta = event("response.reasoning.delta", output_index=0, content_index=0, delta="on")
    whole = event("response.reasoning.done", output_index=0, content_index=0, text="one")
    assert said(chunks(delta, whole), "reasoning_content") == "one"


def test_reasoning_without_text_is_not_mentioned() -> None:
    assert deltas(chunks(added(0, reasoning()), done(0, reasoning()), completed(reasoning()))) == []


# -- calls ------------------------------------------------------------------------------------------


def test_a_call_is_announced_once_then_only_its_arguments_come() -> None:
    made = chunks(added(3, call(arguments="")), arguments(3, '{"a"'), arguments(3, ":1}"))
    assert [delta["tool_calls"] for delta in deltas(made)] == [
        [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"a"'}}],
        [{"index": 0, "function": {"arguments": ":1}"}}],
    ]


def test_call_indexes_are_dense_whatever_stands_between() -> None:
    made = chunks(
        done(0, reasoning()), done(1, call("a")), done(2, message("x")), done(5, call("b")), done(6, call("c"))
    )
    assert [entry["id"] for entry in calls(made)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "ending",
    [[arguments_done(0, "[1]")], [done(0, call(arguments="[1]"))], [completed(call(arguments="[1]"))]],
    ids=["arguments_done", "item_done", "completed"],
)
def test_arguments_that_no_delta_brought_come_from_what_ends_them(ending: list[Any]) -> None:
    assert calls(chunks(added(0, call(arguments="")), *ending))[0]["arguments"] == "[1]"
    assert calls(chunks(added(0, call(arguments="")), arguments(0, "["), *ending))[0]["arguments"] == "[1]"


def test_arguments_that_came_are_not_repeated() -> None:
    item = call(arguments="[1]")
    made = chunks(
        added(0, call(arguments="")), arguments(0, "[1]"), arguments_done(0, "[1]"), done(0, item), completed(item)
    )
    assert calls(made)[0]["arguments"] == "[1]"


def test_an_empty_arguments_done_does_not_hide_those_of_the_item() -> None:
    made = chunks(added(0, call(arguments="")), arguments_done(0, ""), done(0, call(arguments="[1]")))
    assert calls(made)[0]["arguments"] == "[1]"


def test_arguments_that_the_item_begins_with_are_sent() -> None:
    made = chunks(added(0, call(arguments="[")), arguments(0, "1]"), done(0, call(arguments="[1]")))
    assert calls(made)[0]["arguments"] == "[1]"


def test_feed_holds_an_overlapping_call_until_the_first_is_done() -> None:
    stream = ChunkStream(PLAN)
    feed(stream, added(0, call("a", arguments="")), arguments(0, "[1"))
    assert feed(stream, added(1, call("b", arguments="")), arguments(1, "[2")) == []
    assert [delta["tool_calls"][0]["function"] for delta in deltas(feed(stream, arguments(0, ",")))] == [
        {"arguments": ","}
    ]
    released = feed(stream, done(0, call("a", arguments="[1,0]")))
    assert [delta["tool_calls"][0]["index"] for delta in deltas(released)] == [0, 1, 1]
    assert released[-1]["choices"][0]["delta"]["tool_calls"][0]["function"] == {"arguments": "[2"}


def test_a_call_that_never_ended_holds_back_no_other() -> None:
    made = chunks(added(0, call("a", arguments="")), added(1, call("b", arguments="")), arguments(1, "[]"), completed())
    assert [(entry["id"], entry["arguments"]) for entry in calls(made)] == [("a", ""), ("b", "[]")]


@pytest.mark.parametrize("lacking", ["call_id", "name"])
def test_a_call_is_announced_when_its_id_and_name_are_known(lacking: str) -> None:
    for begun in ({**call(arguments=""), lacking: ""}, {k: v for k, v in call().items() if k != lacking}):
        made = chunks(added(0, begun), arguments(0, "[1]"), arguments_done(0, "[1]"), done(0, call(arguments="[1]")))
        assert calls(made) == [{"id": "call_1", "name": "look", "arguments": "[1]"}]


def test_arguments_of_no_known_call_are_passed_over() -> None:
    assert chunks(arguments(7, "{}"), arguments_done(7, "{}")) == []


# -- the end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (completed(message("a")), "stop"),
        (completed(refusal("a")), "stop"),
        (completed(call()), "tool_calls"),
        (incomplete("max_output_tokens"), "length"),
        (incomplete("max_output_tokens", call()), "length"),
        (incomplete("content_filter"), "content_filter"),
    ],
)
def test_the_finish_reason_comes_once_on_a_chunk_that_adds_nothing(ending: Any, expected: str) -> None:
    made = chunks(created(), ending)
    assert _finish(made) == [expected]
    assert made[-1]["choices"][0]["delta"] == {}


def test_usage_comes_last_when_asked_for() -> None:
    made = chunks(text(0, "a"), completed(usage=USAGE), plan=WITH_USAGE)
    assert made[-1]["choices"] == [] and made[-1]["usage"]["total_tokens"] == 5
    assert [chunk["usage"] for chunk in made[:-1]] == [None] * (len(made) - 1)


def test_usage_is_no_key_when_not_asked_for() -> None:
    assert not any("usage" in chunk for chunk in chunks(text(0, "a"), completed(usage=USAGE)))


def test_no_usage_chunk_is_made_up() -> None:
    made = chunks(text(0, "a"), completed(usage=None), plan=WITH_USAGE)
    assert all(chunk["choices"] for chunk in made)


def test_output_is_that_of_the_last_event() -> None:
    stream = ChunkStream(PLAN)
    feed(stream, done(0, message("a")), completed(message("a"), call()))
    assert [json.loads(bytes(raw))["type"] for raw in stream.output()] == ["message", "function_call"]


def test_output_is_put_together_where_the_last_event_has_none() -> None:
    stream = ChunkStream(PLAN)
    feed(stream, done(1, call()), done(0, message("a")), completed())
    assert [json.loads(bytes(raw))["type"] for raw in stream.output()] == ["message", "function_call"]


# -- what is odd ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        event("response.telepathy.delta", delta="?"),
        event("keepalive", sequence_number=3),
        event("response.web_search_call.searching", output_index=0, item_id="ws_1"),
        event("response.queued", response={}),
    ],
)
def test_an_event_without_a_place_in_chat_says_nothing(odd: Any) -> None:
    assert chunks(odd) == []


def test_an_item_without_a_place_in_chat_says_nothing() -> None:
    item = {"type": "telepathy_call", "id": "t_1", "thought": [1]}
    assert deltas(chunks(added(0, item), done(0, item), completed(item))) == []


def test_items_that_a_server_leaves_out_are_tolerated() -> None:
    stream = ChunkStream(PLAN)
    made = feed(stream, added(0, None), text(0, "a"), done(0, None), completed())
    assert deltas(made) == [{"content": "a"}]
    assert stream.output() == []


@pytest.mark.parametrize("begun", [{"type": "message", "content": None}, {"type": "function_call"}, {"id": "x"}])
def test_an_item_that_begins_unreadable_is_read_when_it_is_done(begun: Json) -> None:
    assert said(chunks(added(0, begun), done(0, message("a"))), "content") == "a"


@pytest.mark.parametrize(
    "item", [{"type": "message", "content": 7}, {"type": "function_call", "name": "look", "arguments": "{}"}]
)
def test_an_item_of_the_answer_that_cannot_be_read_is_a_failure(item: Json) -> None:
    with pytest.raises(UpstreamFailed) as raised:
        chunks(done(0, item))
    assert (raised.value.status, raised.value.error.code) == (502, "upstream_malformed")


# -- failures ---------------------------------------------------------------------------------------


def test_a_failure_before_any_output_leaves_the_status_open() -> None:
    stream = ChunkStream(PLAN)
    assert feed(stream, created()) == []
    with pytest.raises(UpstreamFailed) as raised:
        stream.feed(failed("rate_limit_exceeded", "Slow down."))
    assert (raised.value.status, raised.value.error.message) == (429, "Slow down.")


def test_after_a_failure_every_feed_raises_it_again() -> None:
    stream = ChunkStream(PLAN)
    with pytest.raises(UpstreamFailed) as first:
        stream.feed(event("error", code="server_error", message="Broken.", param=None))
    for later in (failed("invalid_prompt"), text(0, "a"), completed()):
        with pytest.raises(UpstreamFailed) as again:
            stream.feed(later)
        assert again.value is first.value


@pytest.mark.parametrize(
    "told",
    [
        event("error", code="server_error", message="Broken.", param=None),
        event("error", error={"type": "server_error", "code": "server_error", "message": "Broken.", "param": None}),
        event("error", error="Broken."),
    ],
    ids=["flat", "nested", "string"],
)
def test_an_error_event_is_read_in_every_shape(told: Any) -> None:
    with pytest.raises(UpstreamFailed) as raised:
        chunks(told)
    assert (raised.value.status, raised.value.error.type, raised.value.error.message) == (
        500,
        "server_error",
        "Broken.",
    )


def test_a_failure_names_the_clients_own_fields() -> None:
    plan = StreamPlan(stream=True, message_indexes=[1, 1, 4], renames={"max_output_tokens": "max_tokens"})
    with pytest.raises(UpstreamFailed) as raised:
        chunks(failed("invalid_prompt", "See input[2] and max_output_tokens.", param="input[2].content"), plan=plan)
    assert raised.value.error.param == "messages[4].content"
    assert raised.value.error.message == "See messages[4] and max_tokens."
