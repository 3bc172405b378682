"""What a stream says of each kind of item, beyond plain text and function calls."""

import json
from typing import Any

import pytest

from libs.schemas.plan import ReasoningField, StreamPlan
from libs.translate.answer.deltas import ItemTranslator
from libs.translate.answer.stream import ChunkStream
from libs.translate.errors import UpstreamFailed
from tests.support.answers import (
    PLAN,
    Json,
    added,
    approval,
    arguments,
    call,
    calls,
    chunks,
    citation,
    completed,
    created,
    custom,
    custom_input,
    deltas,
    done,
    event,
    feed,
    image,
    incomplete,
    message,
    raw_reasoning,
    reasoning,
    refusal,
    said,
    summary,
    text,
    token,
)

WITH_LOGPROBS = StreamPlan(stream=True, logprobs=True)
LEGACY = StreamPlan(stream=True, functions=True)
STOP = StreamPlan(stream=True, stop=["END"])
STRUCTURED = StreamPlan(stream=True, structured=True)


def _finish(made: list[Json]) -> str | None:
    reasons = (choice["finish_reason"] for chunk in made for choice in chunk["choices"])
    return next((reason for reason in reasons if reason is not None), None)


def _images(made: list[Json]) -> list[str]:
    return [image["image_url"]["url"] for delta in deltas(made) for image in delta.get("images", ())]


# -- custom calls, questions, images ----------------------------------------------------------------


def test_a_custom_call_streams_its_input() -> None:
    item = custom(text="SELECT 1")
    made = chunks(added(0, custom(text="")), custom_input(0, "SELECT"), done(0, item), completed(item))
    assert [delta["tool_calls"][0] for delta in deltas(made)] == [
        {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "query", "input": ""}},
        {"index": 0, "custom": {"input": "SELECT"}},
        {"index": 0, "custom": {"input": " 1"}},
    ]
    assert _finish(made) == "tool_calls"


@pytest.mark.parametrize(
    "ending",
    [
        event("response.custom_tool_call_input.done", output_index=0, input="SELECT 1"),
        done(0, custom(text="SELECT 1")),
        completed(custom(text="SELECT 1")),
    ],
)
def test_input_that_no_delta_brought_comes_from_what_ends_it(ending: Any) -> None:
    made = chunks(added(0, custom(text="")), ending)
    assert deltas(made)[-1]["tool_calls"] == [{"index": 0, "custom": {"input": "SELECT 1"}}]


def test_a_question_for_approval_is_a_call_that_the_client_answers() -> None:
    made = chunks(created(), added(0, approval()), done(0, approval()), completed(approval()))
    (asked,) = calls(made)
    assert (asked["id"], asked["name"], _finish(made)) == ("mcpr_1", "mcp_approval", "tool_calls")


def test_a_call_of_a_program_is_not_for_the_client() -> None:
    item = {**call(), "caller": {"type": "program"}}
    made = chunks(added(0, item), arguments(0, "{}"), done(0, item), completed(item))
    assert (deltas(made), _finish(made)) == ([], "stop")


def test_images_come_in_one_chunk_before_the_annotations() -> None:
    cited = message("see a", annotations=[citation(4, 5)])
    made = chunks(done(0, image()), done(1, cited), done(2, image("eW8=")), completed(image(), cited, image("eW8=")))
    assert _images(made) == ["data:image/png;base64,aGk=", "data:image/png;base64,eW8="]
    assert [list(delta) for delta in deltas(made)] == [["content"], ["images"], ["annotations"]]


def test_an_image_that_the_end_has_in_another_form_is_one_image() -> None:
    made = chunks(done(0, image()), completed(image(status="generating")))
    assert _images(made) == ["data:image/png;base64,aGk="]


def test_an_image_that_failed_is_no_image() -> None:
    assert _images(chunks(done(0, image(None)), completed(image(None)))) == []


def test_speech_is_passed_on() -> None:
    made = chunks(event("response.audio.delta", delta="aGk="), event("response.audio.transcript.delta", delta="hi"))
    assert [delta["audio"] for delta in deltas(made)] == [{"data": "aGk="}, {"transcript": "hi"}]


# -- the legacy form --------------------------------------------------------------------------------


def test_the_legacy_form_has_no_index_and_no_id() -> None:
    item = call(arguments="[1]")
    made = chunks(added(0, call(arguments="")), arguments(0, "[1"), done(0, item), completed(item), plan=LEGACY)
    assert [delta["function_call"] for delta in deltas(made)] == [
        {"name": "look", "arguments": ""},
        {"arguments": "[1"},
        {"arguments": "]"},
    ]
    assert _finish(made) == "function_call"


def test_the_legacy_form_tells_the_first_call_alone() -> None:
    made = chunks(done(0, call("a")), done(1, call("b")), completed(), plan=LEGACY)
    assert [delta["function_call"].get("name") for delta in deltas(made)] == ["look", None]


# -- reasoning --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("reasoning_content", ["reasoning_content"]),
        ("reasoning", ["reasoning"]),
        ("both", ["reasoning_content", "reasoning"]),
        ("none", []),
    ],
)
def test_reasoning_stands_under_the_names_that_the_plan_wants(field: ReasoningField, names: list[str]) -> None:
    made = chunks(summary(0, "a"), completed(), plan=StreamPlan(stream=True, reasoning_field=field))
    assert deltas(made) == ([dict.fromkeys(names, "a")] if names else [])


# -- log probabilities ------------------------------------------------------------------------------


def _tokens(made: list[Json]) -> list[str]:
    given = [choice["logprobs"] for chunk in made for choice in chunk["choices"]]
    return [one["token"] for logprobs in given if logprobs for one in logprobs["content"]]


def test_log_probabilities_come_with_their_text() -> None:
    made = chunks(text(0, "ab", logprobs=[token("a"), token("b")]), plan=WITH_LOGPROBS)
    logprobs = made[1]["choices"][0]["logprobs"]
    assert [one["bytes"] for one in logprobs["content"]] == [[97], [98]] and logprobs["refusal"] is None


def test_log_probabilities_that_nobody_asked_for_are_dropped() -> None:
    made = chunks(text(0, "a", logprobs=[token("a")]))
    assert [choice["logprobs"] for chunk in made for choice in chunk["choices"]] == [None, None]


def test_log_probabilities_that_no_delta_brought_come_from_what_ends_the_text() -> None:
    part = {"type": "output_text", "text": "ab", "logprobs": [token("a"), token("b")]}
    item = {"type": "message", "content": [part]}
    made = chunks(text(0, "a", logprobs=[token("a")]), done(0, item), completed(item), plan=WITH_LOGPROBS)
    assert _tokens(made) == ["a", "b"] and said(made, "content") == "ab"
    late = chunks(text(0, "ab"), done(0, item), completed(item), plan=WITH_LOGPROBS)
    assert _tokens(late) == ["a", "b"] and said(late, "content") == "ab"


# -- what overlaps, and what is named oddly ----------------------------------------------------------


def test_texts_that_overlap_are_told_one_after_the_other() -> None:
    stream = ChunkStream(PLAN)
    made = feed(stream, added(0, message()), text(0, "on"), added(1, message()), text(1, "tw"), text(1, "o"))
    made += feed(stream, text(0, "e"), done(0, message("one")), done(1, message("two")), completed())
    assert [delta["content"] for delta in deltas(made)] == ["on", "e", "\n\ntwo"]


def test_reasoning_that_is_done_late_does_not_hold_the_text() -> None:
    stream = ChunkStream(PLAN)
    made = feed(stream, added(0, reasoning()), summary(0, "Hm."), added(1, message()), text(1, "a"))
    assert said(made, "content") == "a"


def test_messages_that_nobody_announces_are_told_as_they_come() -> None:
    assert said(chunks(text(0, "one"), text(1, "two")), "content") == "one\n\ntwo"
    late = chunks(text(0, "one"), text(1, "two"), done(0, message("one!")))
    assert said(late, "content") == "one\n\ntwo"  # "two!" was never said


def test_an_item_whose_end_comes_without_it_makes_way() -> None:
    made = chunks(added(0, message()), text(0, "a"), done(0, None), added(1, message()), text(1, "b"))
    assert said(made, "content") == "a\n\nb"


def test_an_output_index_may_be_used_twice() -> None:
    item = message("hi")
    made = chunks(added(0, call()), done(0, call()), added(0, message()), text(0, "hi"), completed(call(), item))
    assert said(made, "content") == "hi" and len(calls(made)) == 1


def test_items_of_two_kinds_that_share_an_index_both_belong_to_the_answer() -> None:
    stream = ChunkStream(PLAN)
    feed(stream, created(), done(0, call()), done(0, message("hi")), completed())
    assert [json.loads(bytes(raw))["type"] for raw in stream.output()] == ["function_call", "message"]


def test_calls_that_share_an_index_are_all_told() -> None:
    first, second = call("a"), call("b")
    made = chunks(added(0, first), done(0, first), added(0, second), done(0, second), completed(first, second))
    assert [entry["id"] for entry in calls(made)] == ["a", "b"]


def test_output_indexes_may_leave_gaps() -> None:
    first, second = message("one"), message("two")
    made = chunks(added(3, message()), text(3, "one"), done(3, first), done(7, second), completed(first, second))
    assert said(made, "content") == "one\n\ntwo"


def test_an_item_that_only_the_end_has_is_told() -> None:
    first, second = message("one"), call()
    made = chunks(added(0, message()), text(0, "one"), done(0, first), completed(first, second))
    assert len(calls(made)) == 1


def test_an_item_that_is_done_says_no_more() -> None:
    made = chunks(done(0, message("a")), text(0, "b"), done(0, message("abc")), completed(message("a")))
    assert said(made, "content") == "a"


def test_a_part_that_nobody_knows_is_passed_over() -> None:
    odd = {
        "type": "message",
        "content": [{"type": "hologram", "text": {"deep": 1}}, {"type": "output_text", "text": "a"}],
    }
    assert said(chunks(done(0, odd), completed(odd)), "content") == "a"


def test_a_null_in_an_item_means_that_there_is_none() -> None:
    item = {**call(), "arguments": None, "status": None}
    assert calls(chunks(done(0, item)))[0]["arguments"] == ""
    part = {"type": "output_text", "text": None, "annotations": None, "logprobs": None}
    assert said(chunks(done(0, {"type": "message", "content": [part]})), "content") == ""


@pytest.mark.parametrize("part", [{"type": "output_text", "text": 7}, {"type": "refusal", "refusal": {}}])
def test_a_part_of_the_answer_that_cannot_be_read_is_a_failure(part: Json) -> None:
    with pytest.raises(UpstreamFailed) as raised:
        chunks(done(0, {"type": "message", "content": [part]}))
    error = raised.value.error
    assert error.message == f"The upstream sent a part of type '{part['type']}' that cannot be read."
    assert (raised.value.status, error.type, error.code) == (502, "server_error", "upstream_malformed")


def test_an_item_of_the_answer_that_cannot_be_read_is_a_failure() -> None:
    with pytest.raises(UpstreamFailed) as raised:
        chunks(done(0, {"type": "message", "content": 7}))
    assert raised.value.error.message == "The upstream sent an item of type 'message' that cannot be read."


def test_commentary_keeps_its_place_in_the_reasoning() -> None:
    commentary = message("Let me see.", phase="commentary")
    made = chunks(
        added(0, message(phase="commentary")), text(0, "Let "), done(0, commentary), raw_reasoning(1, "Hm."),
        plan=STRUCTURED,
    )  # fmt: skip
    assert said(made, "reasoning_content") == "Let me see.\n\nHm."
    assert said(made, "content") == ""


def test_commentary_does_not_hold_the_answer_back() -> None:
    stream = ChunkStream(STRUCTURED)
    feed(stream, created(), added(0, message(phase="commentary")), text(0, "Let "), added(1, message()))
    assert said(feed(stream, text(1, "{")), "content") == "{"


def test_reasoning_that_a_part_holds_goes_on_with_its_deltas() -> None:
    part = event(
        "response.content_part.added",
        output_index=0,
        content_index=0,
        part={"type": "reasoning_text", "text": "Hm"},
    )
    made = chunks(added(0, reasoning()), part, raw_reasoning(0, ", well."))
    assert said(made, "reasoning_content") == "Hm, well."


def test_what_the_client_got_has_its_refusal() -> None:
    stream = ChunkStream(PLAN)
    feed(stream, created(), done(0, refusal("No.")))
    assert (stream.message().content, stream.message().refusal) == (None, "No.")


def test_answer_that_is_the_only_one_is_choice_0() -> None:
    assert [choice.index for choice in ItemTranslator(PLAN).feed(text(0, "a"))] == [0]


# -- stop sequences ---------------------------------------------------------------------------------


def test_text_ends_before_a_stop_sequence_wherever_it_is_cut() -> None:
    stream = ChunkStream(STOP)
    made = feed(stream, added(0, message()), text(0, "one E"), text(0, "ND two"))
    assert said(made, "content") == "one " and stream.stopped and _finish(made) is None
    assert _finish(feed(stream, text(0, "three"))) is None
    made = [chunk for chunk in feed(stream, done(0, message("one END two")), completed(message("one END two")))]
    assert _finish(made) == "stop" and deltas(made) == []


def test_a_stopped_answer_can_be_ended_at_once() -> None:
    stream = ChunkStream(StreamPlan(stream=True, stop=["END"], include_usage=True))
    feed(stream, added(0, message()), text(0, "one END"))
    ended = [chunk for chunk in stream.finish()]
    assert [chunk.choices[0].finish_reason for chunk in ended] == ["stop"]
    assert stream.finish() == []
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    (last,) = feed(stream, text(0, " two"), completed(message("one END two"), usage=usage))
    assert last["choices"] == [] and last["usage"]["total_tokens"] == 5


def test_what_was_held_back_comes_with_the_end_of_the_message() -> None:
    made = chunks(added(0, message()), text(0, "abEN"), done(0, message("abEN")), plan=STOP)
    assert said(made, "content") == "abEN"


def test_what_was_held_back_comes_before_a_call() -> None:
    made = chunks(
        added(0, message()), text(0, "abEN"), added(1, call()), done(0, message("abEN")), done(1, call()), plan=STOP
    )  # fmt: skip
    assert [next(iter(delta)) for delta in deltas(made)] == ["content", "content", "tool_calls", "tool_calls"]


def test_a_stop_sequence_may_straddle_parts() -> None:
    made = chunks(text(0, "one E"), text(0, "ND", part=1), completed(message("one E", "ND two")), plan=STOP)
    assert said(made, "content") == "one " and _finish(made) == "stop"


def test_nothing_follows_a_stop_sequence() -> None:
    items = [message("one END"), call(), image(), message("two"), reasoning("late")]
    made = chunks(*(done(k, item) for k, item in enumerate(items)), completed(*items), plan=STOP)
    assert deltas(made) == [{"content": "one "}] and _finish(made) == "stop"


def test_nothing_follows_a_stop_sequence_that_comes_later_than_what_follows() -> None:
    made = chunks(
        added(0, message()), text(0, "one"), done(1, image()), done(2, call()), text(0, " END"), done(0, None),
        completed(), plan=STOP,
    )  # fmt: skip
    assert (said(made, "content"), _images(made), calls(made)) == ("one ", [], [])


def test_of_a_message_that_was_cut_only_its_citations_count() -> None:
    cited = event("response.output_text.annotation.added", output_index=0, content_index=0, annotation=citation(0, 3))
    made = chunks(text(0, "one END"), cited, done(0, call()), completed(), plan=STOP)
    assert [list(delta) for delta in deltas(made)] == [["content"], ["annotations"]]


def test_a_call_that_came_before_the_stop_sequence_counts() -> None:
    made = chunks(done(0, call()), done(1, message("a END")), completed(), plan=STOP)
    assert (_finish(made), said(made, "content")) == ("tool_calls", "a ")


def test_reasoning_from_before_the_stop_sequence_is_waited_for() -> None:
    stream = ChunkStream(STOP)
    feed(stream, added(0, reasoning()), summary(0, "Hm"), added(1, message()), text(1, "a END"))
    assert not stream.stopped
    assert said(feed(stream, summary(0, "."), done(0, reasoning("Hm."))), "reasoning_content") == "."
    assert stream.stopped


def test_a_stop_sequence_hides_neither_refusals_nor_arguments() -> None:
    item = call(arguments='"END"')
    made = chunks(done(0, refusal("END.")), done(1, item), completed(refusal("END."), item), plan=STOP)
    assert said(made, "refusal") == "END." and calls(made)[0]["arguments"] == '"END"'


def test_an_answer_that_was_cut_by_both_was_stopped() -> None:
    assert _finish(chunks(text(0, "a END"), incomplete("max_output_tokens"), plan=STOP)) == "stop"


def test_citations_and_tokens_beyond_the_stop_sequence_are_dropped() -> None:
    plan = StreamPlan(stream=True, stop=["END"], logprobs=True)
    cited = message("a b END c", annotations=[citation(0, 1), citation(2, 9)])
    made = chunks(
        text(0, "a ", logprobs=[token("a"), token(" ")]),
        text(0, "b EN", logprobs=[token("b"), token(" "), token("EN")]),
        text(0, "D c", logprobs=[token("D"), token(" c")]),
        completed(cited),
        plan=plan,
    )
    assert said(made, "content") == "a b " and _tokens(made) == ["a", " ", "b", " "]
    (annotations,) = [delta["annotations"] for delta in deltas(made) if "annotations" in delta]
    assert [one["url_citation"]["end_index"] for one in annotations] == [1]


def test_half_of_a_character_at_the_end_of_a_message_that_waited_is_replaced() -> None:
    made = feed(
        ChunkStream(PLAN),
        *(created(), added(0, message()), added(1, message()), text(0, "a"), text(1, "b\ud83c")),
        *(done(1, None), done(0, None)),
    )
    assert said(made, "content") == "a\n\nb\ufffd"
