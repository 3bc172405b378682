import json
from typing import Any

import msgspec
import pytest

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.output import RESPONSE_DECODER
from libs.translate.answer.completion import to_completion
from libs.translate.errors import UpstreamFailed
from tests.support.answers import Json, call, citation, message, reasoning, refusal, response

PLAN = StreamPlan(stream=False)
STRUCTURED = StreamPlan(stream=False, structured=True)


def _completion(*output: Json, plan: StreamPlan = PLAN, **fields: Any) -> Json:
    decoded = RESPONSE_DECODER.decode(msgspec.json.encode(response(*output, **{"status": "completed", **fields})))
    made: Json = msgspec.to_builtins(to_completion(decoded, plan))
    return made


def _message(*output: Json, plan: StreamPlan = PLAN) -> Json:
    made: Json = _completion(*output, plan=plan)["choices"][0]["message"]
    return made


def test_a_completion_is_named_after_its_response() -> None:
    made = _completion(message("a"), created_at=1767225600.75, service_tier="flex")
    assert (made["id"], made["created"], made["model"]) == ("chatcmpl-1", 1767225600, "m-2026")
    assert (made["object"], made["service_tier"]) == ("chat.completion", "flex")


def test_keys_that_clients_look_for_are_always_there() -> None:
    choice = _completion(message("a"))["choices"][0]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": "a", "refusal": None, "annotations": []},
        "logprobs": None,
        "finish_reason": "stop",
    }


def test_keys_without_meaning_are_absent() -> None:
    made = _completion(message("a"), usage=None, service_tier=None)
    assert "usage" not in made and "service_tier" not in made


def test_parts_run_on_and_messages_are_set_apart() -> None:
    assert _message(message("a", "b"), message(""), message("c"))["content"] == "ab\n\nc"


def test_a_structured_answer_is_the_final_text_alone() -> None:
    made = _message(
        message("Hm.", phase="commentary"), message("[1", phase="final_answer"), message("]"), plan=STRUCTURED
    )
    assert (made["content"], made["reasoning_content"]) == ("[1]", "Hm.")


@pytest.mark.parametrize(
    ("output", "content"),
    [([], ""), ([message("")], ""), ([reasoning("x")], ""), ([call()], None), ([refusal("No.")], None)],
)
def test_no_text_is_null_only_beside_something_else(output: list[Json], content: str | None) -> None:
    assert _message(*output)["content"] == content


def test_a_refusal_is_no_content() -> None:
    assert _message(refusal("No."))["refusal"] == "No."


def test_calls_are_told_by_their_call_id() -> None:
    made = _completion(call("a", arguments="[1]"), message("x"), call("b"))["choices"][0]
    assert [entry["id"] for entry in made["message"]["tool_calls"]] == ["a", "b"]
    assert made["message"]["tool_calls"][0] == {
        "id": "a",
        "type": "function",
        "function": {"name": "look", "arguments": "[1]"},
    }
    assert (made["message"]["content"], made["finish_reason"]) == ("x", "tool_calls")


def test_without_calls_there_is_no_such_key() -> None:
    assert "tool_calls" not in _message(message("a"))


@pytest.mark.parametrize(
    ("items", "shown"),
    [
        ([reasoning("a", "b")], "a\n\nb"),
        ([reasoning("a"), reasoning("b")], "a\n\nb"),
        ([reasoning("short", raw=("long, ", "longer"))], "long, longer"),
    ],
)
def test_reasoning_is_its_raw_text_else_its_summary(items: list[Json], shown: str) -> None:
    assert _message(*items, message("x"))["reasoning_content"] == shown


def test_reasoning_without_text_is_no_key() -> None:
    assert "reasoning_content" not in _message(reasoning(), message("x"))


def test_citations_point_into_the_whole_content() -> None:
    cited = message("é🌊 ", "see b", annotations=[citation(4, 5), {"type": "file_citation", "index": 1}])
    made = _message(message("first"), cited)
    (annotation,) = made["annotations"]
    start, end = annotation["url_citation"]["start_index"], annotation["url_citation"]["end_index"]
    assert made["content"][start:end] == "b"
    assert annotation["type"] == "url_citation" and annotation["url_citation"]["title"] == "Tides"


def test_an_item_without_a_place_in_chat_is_left_out() -> None:
    odd: list[Json] = [
        {"type": "web_search_call", "id": "ws_1"},
        {"type": "telepathy"},
        {"no": "type"},
        {"type": "reasoning", "summary": 7},
    ]
    assert _message(*odd, message("x"))["content"] == "x"


@pytest.mark.parametrize("item", [{"type": "message", "content": 7}, {"type": "function_call", "name": "f"}])
def test_an_item_of_the_answer_that_cannot_be_read_is_a_failure(item: Json) -> None:
    with pytest.raises(UpstreamFailed) as raised:
        _completion(item)
    assert (raised.value.status, raised.value.error.code) == (502, "upstream_malformed")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "Slow down."}}, 429),
        ({"status": "failed"}, 500),
        ({"status": "cancelled"}, 500),
        ({"status": "queued"}, 502),
        ({"status": "in_progress"}, 502),
    ],
)
def test_a_response_that_is_no_answer_is_a_failure(fields: Json, status: int) -> None:
    with pytest.raises(UpstreamFailed) as raised:
        _completion(message("half"), **fields)
    assert raised.value.status == status


def test_a_response_without_status_is_an_answer() -> None:
    assert _completion(message("x"), status=None)["choices"][0]["finish_reason"] == "stop"


# -- what is no answer ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_response_that_failed_is_an_error(status: str) -> None:
    with pytest.raises(UpstreamFailed) as raised:
        _completion(message("a"), status=status, error=None)
    assert raised.value.status == 500


def test_a_body_that_only_tells_an_error_is_no_answer() -> None:
    body = RESPONSE_DECODER.decode(b'{"error":{"code":"insufficient_quota","message":"No more."}}')
    with pytest.raises(UpstreamFailed) as raised:
        to_completion(body, PLAN)
    assert (raised.value.status, raised.value.error.code) == (429, "insufficient_quota")


def test_a_body_that_is_no_response_is_no_answer() -> None:
    with pytest.raises(UpstreamFailed) as raised:
        to_completion(RESPONSE_DECODER.decode(b'{"detail":"what?"}'), PLAN)
    assert raised.value.error.code == "upstream_malformed"


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"status": "queued"}, "upstream_unfinished", "The upstream answered before its answer was whole."),
        ({"id": "", "status": None}, "upstream_malformed", "The upstream's answer is no response."),
    ],
)
def test_an_answer_that_is_none_is_the_upstreams_fault(fields: Json, code: str, message: str) -> None:
    with pytest.raises(UpstreamFailed) as raised:
        to_completion(RESPONSE_DECODER.decode(json.dumps(response(**fields)).encode()), PLAN)
    error = raised.value.error
    assert (raised.value.status, error.type, error.code, error.message) == (502, "server_error", code, message)


# -- what is told beside the message ----------------------------------------------------------------


def test_metadata_is_told_where_there_is_some() -> None:
    assert _completion(message("a"), metadata={"a": "b"})["metadata"] == {"a": "b"}
    assert "metadata" not in _completion(message("a"), metadata={})


def test_totals_that_lack_are_added_up() -> None:
    assert _completion(message("a"), usage={"input_tokens": 3, "output_tokens": 2})["usage"]["total_tokens"] == 5


def test_reasoning_stands_where_the_plan_wants_it() -> None:
    made = _message(reasoning("a"), message("x"), plan=StreamPlan(stream=False, reasoning_field="both"))
    assert (made["reasoning_content"], made["reasoning"]) == ("a", "a")
    assert "reasoning_content" not in _message(
        reasoning("a"), message("x"), plan=StreamPlan(stream=False, reasoning_field="none")
    )
