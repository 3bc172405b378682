from typing import Any

import pytest

from tests.support.chats import Json, refusal, sent

SCHEMA: Json = {"type": "object", "properties": {"b": {}, "a": {}}}
EMPTY: Json = {"type": "object", "properties": {}}


def _function(**fields: Any) -> Json:
    return {"type": "function", "function": {"name": "look", **fields}}


def _tool(**fields: Any) -> Json:
    tool: Json = sent(tools=[_function(**fields)])["tools"][0]
    return tool


# -- tools ------------------------------------------------------------------------------------------


def test_a_function_is_flattened() -> None:
    assert _tool(description="Looks.", parameters=SCHEMA, strict=True) == {
        "type": "function",
        "name": "look",
        "description": "Looks.",
        "parameters": SCHEMA,
        "strict": True,
    }


@pytest.mark.parametrize("given", [{}, {"strict": None}, {"strict": False}])
def test_a_function_that_does_not_ask_for_it_is_never_strict(given: Json) -> None:
    assert _tool(parameters=SCHEMA, **given)["strict"] is False


@pytest.mark.parametrize("given", [{}, {"parameters": None}])
def test_a_function_without_parameters_takes_an_empty_object(given: Json) -> None:
    assert _tool(**given)["parameters"] == EMPTY
    assert _tool(strict=True, **given)["parameters"] == {**EMPTY, "additionalProperties": False, "required": []}


def test_parameters_keep_the_order_of_their_keys() -> None:
    assert list(_tool(parameters=SCHEMA)["parameters"]["properties"]) == ["b", "a"]


def test_no_description_is_no_key() -> None:
    assert "description" not in _tool(description=None)


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "custom", "custom": {"name": "f"}}, "tools[0].type"),
        ({"type": "mcp", "server_label": "x"}, "tools[0].type"),
        ({"type": "function", "name": "look"}, "tools[0].function"),
        ({"type": "function", "function": {}}, "tools[0].function.name"),
        ({"function": {"name": "look"}}, "tools[0].type"),
    ],
)
def test_another_tool_is_refused_by_name(tool: Json, param: str) -> None:
    assert refusal(tools=[tool]).error.param == param


# -- tool choice ------------------------------------------------------------------------------------


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
    ["any", {"type": "function"}, {"type": "custom", "custom": {"name": "f"}}, {"type": "allowed_tools"}],
)
def test_another_choice_is_refused(choice: Any) -> None:
    error = refusal(tools=[_function()], tool_choice=choice)
    assert (error.error.param, error.error.code) == ("tool_choice", "invalid_value")


# -- format -----------------------------------------------------------------------------------------


def _format(format_: Json) -> Json:
    made: Json = sent(response_format=format_)["text"]["format"]
    return made


def _json_schema(**fields: Any) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "tide", **fields}}


@pytest.mark.parametrize("type_", ["text", "json_object"])
def test_a_plain_format_goes_as_it_is(type_: str) -> None:
    assert _format({"type": type_}) == {"type": type_}


def test_a_schema_is_flattened() -> None:
    assert _format(_json_schema(description="d", schema=SCHEMA, strict=True)) == {
        "type": "json_schema",
        "name": "tide",
        "description": "d",
        "schema": SCHEMA,
        "strict": True,
    }


def test_what_a_schema_leaves_open_is_said() -> None:
    assert _format(_json_schema()) == {"type": "json_schema", "name": "tide", "schema": {}, "strict": False}


def test_format_and_verbosity_share_one_object() -> None:
    up = sent(response_format={"type": "text"}, verbosity="high")
    assert up["text"] == {"format": {"type": "text"}, "verbosity": "high"}


def test_without_format_and_verbosity_nothing_is_said() -> None:
    assert "text" not in sent(response_format=None, verbosity=None)


@pytest.mark.parametrize(
    ("format_", "param"),
    [
        ({"type": "grammar", "grammar": "x"}, "response_format.type"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        (_json_schema(strict=True), "response_format.json_schema.schema"),
        ({"type": "json_schema", "json_schema": {}}, "response_format.json_schema.name"),
    ],
)
def test_another_format_is_refused_by_name(format_: Json, param: str) -> None:
    assert refusal(response_format=format_).error.param == param
