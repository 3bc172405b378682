import json
from typing import Any

import msgspec
import pytest

from libs.schemas.wire.completion import Delta
from libs.schemas.wire.output import ApprovalItem, CustomCallItem, FunctionCallItem
from libs.translate.answer.tool_calls import CallItem, ToolCalls

LOOK = FunctionCallItem(call_id="call_1", name="look")
QUERY = CustomCallItem(call_id="call_2", name="query")


def _plain(deltas: list[Delta]) -> Any:
    return msgspec.to_builtins(deltas)


def test_a_function_is_announced_once_and_then_adds() -> None:
    calls = ToolCalls()
    assert _plain([*calls.begin(4, LOOK), *calls.add(4, "["), *calls.complete(4, "[1]")]) == [
        {
            "tool_calls": [
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": "["}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1]"}}]},
    ]


def test_a_custom_call_adds_input() -> None:
    calls = ToolCalls()
    assert _plain([*calls.begin(0, QUERY), *calls.add(0, "SELECT")]) == [
        {"tool_calls": [{"index": 0, "id": "call_2", "type": "custom", "custom": {"name": "query", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "SELECT"}}]},
    ]


def test_a_question_is_a_function_call_with_all_that_the_answer_needs() -> None:
    calls = ToolCalls()
    item = ApprovalItem(id="mcpr_1", name="delete", server_label="files", arguments='{"a": 1}')
    assert calls.begin(0, item) == []
    announced, asked = _plain(calls.end(0, item))
    assert announced["tool_calls"][0]["id"] == "mcpr_1"
    assert announced["tool_calls"][0]["function"]["name"] == "mcp_approval"
    arguments = json.loads(asked["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"server_label": "files", "name": "delete", "arguments": '{"a": 1}'}


def test_the_legacy_form_has_room_for_one() -> None:
    calls = ToolCalls(legacy=True)
    told = [*calls.begin(0, LOOK), *calls.add(0, "{}"), *calls.end(1, FunctionCallItem("call_3", "other", "[]"))]
    assert _plain(told) == [
        {"function_call": {"name": "look", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
    ]
    assert len(calls) == 1


@pytest.mark.parametrize(
    "item", [FunctionCallItem("", "look"), FunctionCallItem("call_1", ""), CustomCallItem("", "q")]
)
def test_a_call_is_announced_when_its_id_and_name_are_known(item: CallItem) -> None:
    calls = ToolCalls()
    assert [*calls.begin(0, item), *calls.add(0, "x")] == []
    assert len(calls.end(0, FunctionCallItem("call_1", "look", "[]"))) == 2


def test_nothing_is_said_twice() -> None:
    calls = ToolCalls()
    begun = FunctionCallItem("call_1", "look", "[")
    assert len(calls.begin(0, begun)) == 2
    assert len(calls.end(0, FunctionCallItem("call_1", "look", "[1]"))) == 1
    assert calls.end(0, FunctionCallItem("call_1", "look", "[1]")) == calls.add(0, "") == []
