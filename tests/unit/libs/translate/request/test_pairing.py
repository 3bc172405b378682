import re
from typing import Any

import msgspec
import pytest

from libs.schemas.wire.chat import ToolCall
from libs.translate.errors import InvalidRequest
from libs.translate.request.pairing import Pair, ToolCallPairs

LIMIT = 64


def _call(id_: str, name: str = "look", **fields: Any) -> ToolCall:
    given = {"id": id_, "type": "function", "function": {"name": name, "arguments": "{}"}, **fields}
    return msgspec.convert(given, ToolCall)


def _calls(*, continues: bool = False, approvals: bool = False) -> ToolCallPairs:
    return ToolCallPairs(LIMIT, continues=continues, approvals=approvals)


def _refused(calls: ToolCallPairs, call_id: str | None, where: str = "messages[2].tool_call_id") -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        calls.answer(call_id, where)
    return caught.value.error.param


def test_a_result_goes_up_under_the_id_and_kind_of_its_call() -> None:
    calls = _calls()
    asked = calls.ask(1, [_call("call_1"), ToolCall(id="call_2", type="custom")])
    assert asked == [Pair("call_1", "function"), Pair("call_2", "custom")]
    assert calls.answer("call_2", "messages[2].tool_call_id") == Pair("call_2", "custom")
    assert calls.answer("call_1", "messages[3].tool_call_id") == Pair("call_1", "function")
    calls.close()


def test_calls_without_results_are_refused_by_name() -> None:
    calls = _calls()
    calls.ask(1, [_call("b"), _call("a"), _call("c")])
    calls.answer("c", "messages[2].tool_call_id")
    with pytest.raises(InvalidRequest) as caught:
        calls.close()
    assert caught.value.error.param == "messages[1].tool_calls"
    assert caught.value.error.message == (
        "An assistant message with 'tool_calls' must be followed by tool messages that answer each 'tool_call_id'. "
        "These have no answer: a, b"
    )


def test_a_second_result_of_a_call_is_taken() -> None:
    calls = _calls()
    calls.ask(1, [_call("call_1")])
    assert calls.answer("call_1", "messages[2].tool_call_id") == calls.answer("call_1", "messages[3].tool_call_id")


@pytest.mark.parametrize("call_id", ["call_2", "", None])
def test_a_result_of_no_call_is_refused_by_its_id(call_id: str | None) -> None:
    calls = _calls(continues=True)
    calls.ask(1, [_call("call_1")])
    assert _refused(calls, call_id) == "messages[2].tool_call_id"


def test_a_result_after_no_call_is_refused_by_its_role() -> None:
    assert _refused(_calls(), "call_1") == "messages[2].role"


def test_a_result_after_the_run_of_results_is_refused_by_its_role() -> None:
    calls = _calls()
    calls.ask(1, [_call("call_1")])
    calls.answer("call_1", "messages[2].tool_call_id")
    calls.close()
    assert _refused(calls, "call_1", "messages[4].tool_call_id") == "messages[4].role"


@pytest.mark.parametrize(("id_", "kind"), [("call_1", "function"), ("mcpr_1", "approval"), ("a_mcpr_", "function")])
def test_a_request_that_goes_on_may_begin_with_results(id_: str, kind: str) -> None:
    assert _calls(continues=True).answer(id_, "messages[0].tool_call_id") == Pair(id_, kind)


@pytest.mark.parametrize("call_id", ["", None])
def test_a_result_without_an_id_belongs_to_no_call(call_id: str | None) -> None:
    assert _refused(_calls(continues=True), call_id, "messages[0].tool_call_id") == "messages[0].role"


def test_an_id_of_two_turns_goes_up_as_two() -> None:
    calls = _calls()
    ids = []
    for index in range(1, 9, 2):
        (asked,) = calls.ask(index, [_call("call_1")])
        assert calls.answer("call_1", f"messages[{index + 1}].tool_call_id") == asked
        calls.close()
        ids.append(asked.id)
    assert ids[0] == "call_1"
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("call_[0-9a-f]{59}", id_) for id_ in ids[1:])


def test_a_long_id_goes_up_as_a_short_one_that_is_always_the_same() -> None:
    (short,) = _calls().ask(1, [_call("x" * LIMIT)])
    (first,) = _calls().ask(1, [_call("x" * (LIMIT + 1))])
    (again,) = _calls().ask(3, [_call("x" * (LIMIT + 1))])
    (other,) = _calls().ask(1, [_call("y" * (LIMIT + 1))])
    assert short.id == "x" * LIMIT
    assert first == again != other
    assert len(first.id) == LIMIT


@pytest.mark.parametrize(("approvals", "kind"), [(True, "approval"), (False, "function")])
def test_a_call_of_parleys_own_name_is_an_approval_where_no_tool_bears_it(approvals: bool, kind: str) -> None:
    calls = _calls(approvals=approvals)
    assert calls.ask(1, [_call("mcpr_1", "mcp_approval"), _call("call_2")]) == [
        Pair("mcpr_1", kind),
        Pair("call_2", "function"),
    ]


def test_the_id_of_an_approval_is_never_another() -> None:
    calls = _calls(approvals=True)
    long = "mcpr_" + "x" * LIMIT
    for index in (1, 3):
        assert calls.ask(index, [_call(long, "mcp_approval")]) == [Pair(long, "approval")]
