from typing import Any

import pytest

from libs.schemas.config import Profile
from tests.support.chats import Json, refusal, sent, translated


def _function(name: str = "look") -> Json:
    return {"type": "function", "function": {"name": name}}


CUSTOM: Json = {"type": "custom", "custom": {"name": "print"}}


@pytest.mark.parametrize("choice", ["none", "auto", "required"])
def test_a_choice_by_word_goes_as_it_is(choice: str) -> None:
    assert sent(tools=[_function()], tool_choice=choice)["tool_choice"] == choice


def test_a_forced_function_is_flattened() -> None:
    up = sent(tools=[_function()], tool_choice={"type": "function", "function": {"name": "look"}})
    assert up["tool_choice"] == {"type": "function", "name": "look"}


@pytest.mark.parametrize("tools", [None, []])
def test_a_choice_without_tools_is_refused_unless_it_is_none(tools: list[Json] | None) -> None:
    assert refusal(tools=tools, tool_choice="auto").error.param == "tool_choice"
    assert sent(tools=tools, tool_choice="none")["tool_choice"] == "none"


@pytest.mark.parametrize(
    "choice",
    ["any", {"type": "function"}, {"type": "custom"}, {"type": "allowed_tools"}],
)
def test_another_choice_is_refused(choice: Any) -> None:
    error = refusal(tools=[_function()], tool_choice=choice)
    assert (error.error.param, error.error.code) == ("tool_choice", "invalid_value")


def test_a_forced_custom_tool_is_flattened() -> None:
    up = sent(tools=[CUSTOM], tool_choice={"type": "custom", "custom": {"name": "print"}})
    assert up["tool_choice"] == {"type": "custom", "name": "print"}


def test_allowed_tools_are_flattened_one_by_one() -> None:
    allowed = {"mode": "required", "tools": [_function(), CUSTOM, {"type": "web_search"}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    up = sent(tools=[_function(), CUSTOM, {"type": "web_search"}], tool_choice=choice)
    assert up["tool_choice"] == {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [
            {"type": "function", "name": "look"},
            {"type": "custom", "name": "print"},
            {"type": "web_search"},
        ],
    }


def test_an_allowed_tool_that_cannot_be_read_is_named_by_its_place() -> None:
    allowed = {"mode": "auto", "tools": [_function(), {"type": 7}]}
    error = refusal(tools=[_function()], tool_choice={"type": "allowed_tools", "allowed_tools": allowed}).error
    assert (error.param or "").startswith("tool_choice.allowed_tools.tools[1]")


@pytest.mark.parametrize("choice", [{"type": "file_search"}, {"type": "mcp", "server_label": "x", "name": "y"}])
def test_a_forced_hosted_tool_goes_as_it_is(choice: Json) -> None:
    assert sent(tools=[{"type": "file_search"}], tool_choice=choice)["tool_choice"] == choice


def test_a_hosted_tool_that_may_not_come_may_not_be_forced() -> None:
    choice = {"type": "mcp", "server_label": "x"}
    error = refusal(tools=[_function()], tool_choice=choice, profile=Profile(hosted_tools=[]))
    assert error.error.param == "tool_choice.type"


def test_a_search_counts_as_a_tool() -> None:
    assert sent(web_search_options={}, tool_choice="required")["tool_choice"] == "required"


def test_an_unknown_key_of_a_choice_is_told() -> None:
    choice = {"type": "function", "function": {"name": "look"}, "vendor": 1}
    assert translated(tools=[_function()], tool_choice=choice).dropped == ["tool_choice.vendor"]
