from typing import Any

import pytest

from libs.schemas.config import Profile
from tests.support.chats import Json, refusal, sent, translated

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
        ({"type": "custom"}, "tools[0].custom"),
        ({"type": "custom", "custom": {}}, "tools[0].custom.name"),
        ({"type": "custom", "custom": {"name": "f", "format": {"type": "json"}}}, "tools[0].custom.format.type"),
        ({"type": "custom", "custom": {"name": "f", "format": {"type": "grammar"}}}, "tools[0].custom.format.grammar"),
        ({"type": "rocket"}, "tools[0].type"),
        ({"type": "tool_search"}, "tools[0].type"),
        ({"type": "function", "name": "look"}, "tools[0].function"),
        ({"type": "function", "function": {}}, "tools[0].function.name"),
        ({"function": {"name": "look"}}, "tools[0].type"),
    ],
)
def test_another_tool_is_refused_by_name(tool: Json, param: str) -> None:
    assert refusal(tools=[tool]).error.param == param


# -- custom tools -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "flat"),
    [
        ({}, {}),
        ({"description": "Prints."}, {"description": "Prints."}),
        ({"format": {"type": "text"}}, {"format": {"type": "text"}}),
        (
            {"format": {"type": "grammar", "grammar": {"definition": "start: x", "syntax": "lark"}}},
            {"format": {"type": "grammar", "definition": "start: x", "syntax": "lark"}},
        ),
    ],
)
def test_a_custom_tool_is_flattened_with_its_grammar(given: Json, flat: Json) -> None:
    up = sent(tools=[{"type": "custom", "custom": {"name": "print", **given}}])
    assert up["tools"] == [{"type": "custom", "name": "print", **flat}]


def test_an_upstream_without_custom_tools_gets_none() -> None:
    tool = {"type": "custom", "custom": {"name": "print"}}
    error = refusal(tools=[tool], profile=Profile(custom_tools=False)).error
    assert error.param == "tools[0].type"
    assert error.message == "Invalid value: 'custom'. Supported values are: 'function'."


# -- hosted tools -----------------------------------------------------------------------------------

MCP: Json = {"type": "mcp", "server_label": "x", "server_url": "https://x.example", "require_approval": "never"}


@pytest.mark.parametrize("tool", [{"type": "web_search"}, {"type": "web_search_preview_2025_03_11"}, MCP])
def test_a_hosted_tool_goes_as_it_is(tool: Json) -> None:
    assert sent(tools=[tool])["tools"] == [tool]


def test_the_configuration_says_which_hosted_tools_may_come() -> None:
    profile = Profile(hosted_tools=["file_search"])
    assert refusal(tools=[_function(), MCP], profile=profile).error.param == "tools[1].type"
    assert refusal(web_search_options={}, profile=profile).error.param == "web_search_options"
    found = {"type": "file_search", "vector_store_ids": ["vs_1"]}
    assert sent(tools=[found], profile=profile)["tools"] == [found]


@pytest.mark.parametrize("type_", ["computer", "computer_use_preview", "local_shell", "shell", "apply_patch"])
def test_a_tool_that_the_client_runs_in_shapes_chat_has_not_needs_typed_answers(type_: str) -> None:
    error = refusal(tools=[{"type": type_}])
    assert (error.error.param, error.error.code) == ("tools[0].type", "unsupported_value")
    assert sent(tools=[{"type": type_}], format_="responses")["tools"] == [{"type": type_}]


def test_a_shell_in_a_container_is_the_upstreams_to_run() -> None:
    shell = {"type": "shell", "environment": {"type": "container_auto"}}
    assert sent(tools=[shell])["tools"] == [shell]


@pytest.mark.parametrize(
    ("options", "tool"),
    [
        ({}, {}),
        ({"search_context_size": "low"}, {"search_context_size": "low"}),
        (
            {"user_location": {"type": "approximate", "approximate": {"city": "Brest", "country": "FR"}}},
            {"user_location": {"type": "approximate", "city": "Brest", "country": "FR"}},
        ),
        ({"user_location": {"type": "approximate"}}, {"user_location": {"type": "approximate"}}),
        ({"user_location": None}, {}),
    ],
)
def test_search_options_become_a_tool(options: Json, tool: Json) -> None:
    assert sent(web_search_options=options)["tools"] == [{"type": "web_search", **tool}]


def test_a_search_that_stands_alone_can_be_forced() -> None:
    forced = Profile(force_search=True)
    assert sent(web_search_options={}, profile=forced)["tool_choice"] == "required"
    assert "tool_choice" not in sent(web_search_options={}, tools=[_function()], profile=forced)
    assert "tool_choice" not in sent(web_search_options={})


def test_tools_of_the_configuration_come_last_and_once() -> None:
    profile = Profile(tools=[MCP, {"type": "web_search"}])
    assert sent(profile=profile)["tools"] == [MCP, {"type": "web_search"}]
    up = sent(tools=[_function(), {"type": "web_search", "search_context_size": "low"}], profile=profile)
    assert [tool["type"] for tool in up["tools"]] == ["function", "web_search", "mcp"]


@pytest.mark.parametrize(("name", "wrap"), [("tools", True), ("functions", False)])
def test_chat_takes_no_more_functions_than_it_says(name: str, wrap: bool) -> None:
    functions = [{"name": f"f{k}"} for k in range(129)]
    entries = [{"type": "function", "function": function} for function in functions] if wrap else functions
    assert refusal(**{name: entries}).error.param == name
    assert len(sent(**{name: entries[:128]})["tools"]) == 128


def test_the_plan_knows_what_each_tool_was() -> None:
    tools = [_function(), {"type": "custom", "custom": {"name": "print"}}, MCP]
    renames = translated(
        tools=tools, web_search_options={}, profile=Profile(tools=[{"type": "file_search"}])
    ).plan.renames
    assert {k: renames.get(f"tools[{k}]") for k in range(5)} == {
        0: None,
        1: "tools[1].custom",
        2: "tools[2]",
        3: "web_search_options",
        4: "tools",
    }
