import json
from typing import Any

import pytest

from tests.support.chats import USER, Json, assistant, calling, items, made_input, refusal, tool

CUSTOM: Json = assistant(tool_calls=[{"id": "c1", "type": "custom", "custom": {"name": "print", "input": "x"}}])
QUESTION: Json = {"server_label": "x", "name": "remove", "arguments": '{"id":1}'}


def _approval(arguments: Any = QUESTION) -> Json:
    function = {"name": "mcp_approval", "arguments": json.dumps(arguments)}
    return assistant(tool_calls=[{"id": "mcpr_1", "type": "function", "function": function}])


# -- custom tools -----------------------------------------------------------------------------------


def test_a_custom_call_and_its_result_keep_their_kind() -> None:
    assert items(USER, CUSTOM, tool("c1", "done"))[1:] == [
        {"type": "custom_tool_call", "call_id": "c1", "name": "print", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
    ]


# -- approvals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("approve", {"approve": True}),
        (" Deny\n", {"approve": False}),
        ('{"approve":true}', {"approve": True}),
        ('{"approve":false,"reason":"No."}', {"approve": False, "reason": "No."}),
        ([{"type": "text", "text": "approve"}], {"approve": True}),
    ],
)
def test_an_approval_goes_back_as_what_it_was(content: Any, answer: Json) -> None:
    assert items(USER, _approval(), tool("mcpr_1", content))[1:] == [
        {"type": "mcp_approval_request", "id": "mcpr_1", **QUESTION},
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", **answer},
    ]


def test_the_arguments_of_what_is_to_be_approved_may_be_an_object() -> None:
    made = items(USER, _approval({**QUESTION, "arguments": {"id": 1}}), tool("mcpr_1", "approve"))
    assert json.loads(made[1]["arguments"]) == {"id": 1}


@pytest.mark.parametrize("content", ["maybe", "", "{}", '{"approve":"yes"}', "[" * 100_000])
def test_an_approval_that_says_neither_is_refused(content: str) -> None:
    error = refusal(USER, _approval(), tool("mcpr_1", content))
    assert (error.error.param, error.error.code) == ("messages[2].content", "invalid_value")


def test_an_approval_request_that_was_changed_is_refused() -> None:
    error = refusal(USER, _approval({"name": "remove"}), tool("mcpr_1", "approve"))
    assert error.error.param == "messages[1].tool_calls[0].function.arguments.server_label"


def test_a_function_of_the_client_with_that_name_stays_one() -> None:
    made = items(USER, _approval(), tool("mcpr_1", "approve"), approvals=False)
    assert [item["type"] for item in made[1:]] == ["function_call", "function_call_output"]


def test_an_approval_alone_answers_what_a_named_parent_asked() -> None:
    assert items(tool("mcpr_1", "deny"), continues=True) == [
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False}
    ]


# -- typed results ----------------------------------------------------------------------------------

TYPED: list[Json] = [
    {"type": "function_call_output", "call_id": "c1", "output": "x"},
    {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "x"}]},
    {"type": "custom_tool_call_output", "call_id": "c1", "output": "x"},
    {
        "type": "computer_call_output",
        "call_id": "c1",
        "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,AA=="},
        "acknowledged_safety_checks": [{"id": "s1"}],
    },
    {"type": "local_shell_call_output", "id": "c1", "output": "x"},
    {"type": "shell_call_output", "call_id": "c1", "output": [], "max_output_length": 10},
    {"type": "apply_patch_call_output", "call_id": "c1", "status": "failed", "output": "x"},
    {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False, "reason": "No."},
]


@pytest.mark.parametrize("result", TYPED, ids=lambda result: result["type"])
def test_a_typed_result_goes_as_it_is(result: Json) -> None:
    assert items(result, continues=True) == [result]


def test_a_typed_result_answers_a_call_of_the_history_under_its_id() -> None:
    long = "c" * 70
    result = {"type": "function_call_output", "call_id": long, "output": "x"}
    call, output = items(USER, calling(long), result)[1:]
    assert call["call_id"] == output["call_id"] and len(output["call_id"]) == 64
    assert items(USER, _approval(), {**TYPED[-1]})[2] == TYPED[-1]


@pytest.mark.parametrize("result", TYPED, ids=lambda result: result["type"])
def test_a_typed_result_without_its_call_is_refused(result: Json) -> None:
    error = refusal(USER, result)
    assert error.status == 400 and (error.error.param or "").startswith("messages[1].")


@pytest.mark.parametrize(
    ("result", "param"),
    [
        ({"type": "function_call_output", "output": "x"}, "messages[0].call_id"),
        ({"type": "function_call_output", "call_id": "c1"}, "messages[0].output"),
        ({"type": "apply_patch_call_output", "call_id": "c1"}, "messages[0].status"),
        ({"type": "mcp_approval_response", "approval_request_id": "m"}, "messages[0].approve"),
    ],
)
def test_a_typed_result_that_lacks_something_is_refused(result: Json, param: str) -> None:
    error = refusal(result, previous_response_id="resp_1")
    assert (error.error.param, error.error.code) == (param, "missing_required_parameter")


def test_what_a_typed_result_has_no_place_for_is_told() -> None:
    result = {"type": "function_call_output", "call_id": "c1", "output": "x", "content": "y"}
    assert made_input(result, continues=True).dropped == ["messages[0].content"]


def test_what_only_a_typed_result_has_a_place_for_is_told() -> None:
    made = made_input({**USER, "output": "x", "reason": "y"})
    assert made.dropped == ["messages[0].output", "messages[0].reason"]


def test_a_result_that_a_named_parent_waits_for_needs_no_call() -> None:
    assert items(tool("call_1", "x"), continues=True) == [
        {"type": "function_call_output", "call_id": "call_1", "output": "x"}
    ]
    assert refusal(tool("call_1", "x")).error.param == "messages[0].role"
