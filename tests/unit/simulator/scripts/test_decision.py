import json
from typing import Any

import pytest

from simulator.checks.responses_request import to_request
from simulator.output.items import Call, Message, Reasoning
from simulator.scripts.decision import Script, decide
from simulator.wire.errors import ApiError


def tool(name: str, type: str = "function") -> dict[str, Any]:
    if type == "custom":
        return {"type": "custom", "name": name}
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "name": name, "parameters": schema}


TOOLS = [tool("get_weather"), tool("get_time")]


def script(input: Any, header: str = "", **params: Any) -> Script:
    request = to_request({"model": "gpt-5.5", "input": input, **params})
    return decide(request, request.items, header, "account")


def calls(decided: Script) -> list[tuple[str, Any]]:
    return [(item.name, json.loads(item.arguments)) for item in decided.items if isinstance(item, Call)]


def texts(decided: Script) -> list[str]:
    return [item.text for item in decided.items if isinstance(item, Message)]


def test_plain_text_is_answered_with_the_users_words() -> None:
    decided = script("Hello Ann")
    assert "Hello Ann" in texts(decided)[0]
    assert 10 <= len(texts(decided)[0].split()) <= 30


@pytest.mark.parametrize(
    ("text", "city"),
    [
        ("What is the weather in Paris?", "Paris"),
        ("Weather in New York, please", "New York"),
        ("Could you check Zürich?", "Zürich"),
        ("what is the weather", "example"),
        ("What is it?", "example"),
    ],
)
def test_a_call_takes_its_strings_from_the_users_text(text: str, city: str) -> None:
    assert calls(script(text, tools=TOOLS)) == [("get_weather", {"city": city})]


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({}, ["get_weather", "get_time"]),
        ({"parallel_tool_calls": False}, ["get_weather"]),
        ({"tool_choice": "none"}, []),
        ({"tool_choice": {"type": "function", "name": "get_time"}}, ["get_time"]),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "get_time"}],
                }
            },
            ["get_time"],
        ),
    ],
)
def test_tool_choice_and_mentioned_names_decide_the_calls(params: dict[str, Any], names: list[str]) -> None:
    decided = script("Use get_weather and get_time for Rome", tools=TOOLS, **params)
    assert [name for name, _ in calls(decided)] == names


def test_tool_results_are_quoted_and_directives_for_calls_are_spent() -> None:
    user = {"role": "user", "content": "[[call: get_weather]] Rome"}
    call = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1", "output": "21 degrees"}
    decided = script([user, call, output], tools=TOOLS)
    assert not calls(decided) and "21 degrees" in texts(decided)[0]
    again = script([user, call, output], header="[[call: get_time {}]]", tools=TOOLS)
    assert calls(again) == [("get_time", {})]


def test_a_custom_tool_gets_text() -> None:
    (call,) = [item for item in script("Write it", tools=[tool("sql", "custom")]).items if isinstance(item, Call)]
    assert call.is_custom and call.arguments == "Write it"


def test_text_beside_a_call_is_commentary_and_alone_the_final_answer() -> None:
    def phase(decided: Script) -> list[str | None]:
        return [item.phase for item in decided.items if isinstance(item, Message)]

    assert phase(script("[[text: Wait.]] [[call: get_time {}]]", tools=TOOLS)) == ["commentary"]
    assert phase(script("[[text: Done.]]")) == ["final_answer"]
    assert phase(script("[[text: Done.]]", model="gpt-4o")) == [None]


def test_a_schema_is_answered_with_an_instance() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    decided = script("Describe Lima", text={"format": {"type": "json_schema", "name": "x", "schema": schema}})
    assert json.loads(texts(decided)[0]) == {"name": "Lima"}


def test_reasoning_is_counted_by_effort_and_by_directive() -> None:
    assert script("x", reasoning={"effort": "low"}).reasoning_tokens == 64
    assert script("[[reasoning: 7]]").reasoning_tokens == 7
    assert script("x", model="gpt-4.1").reasoning_tokens == 0
    first = script("x").items[0]
    assert isinstance(first, Reasoning) and first.summary == ()


def test_a_token_limit_cuts_the_answer() -> None:
    decided = script("[[words: 500]]", max_output_tokens=40)
    assert decided.incomplete_reason == "max_output_tokens"
    assert decided.output_tokens <= 40 and texts(decided)[0]
    assert script("[[words: 5]]", max_output_tokens=1000).incomplete_reason is None


def test_words_are_counted_exactly() -> None:
    assert len(texts(script("[[words: 500]]"))[0].split()) == 500


def test_length_cuts_the_arguments_of_a_call() -> None:
    decided = script('[[call: get_weather {"city": "Rome"}]] [[length]]', tools=TOOLS)
    (call,) = [item for item in decided.items if isinstance(item, Call)]
    assert '{"city":"Rome"}'.startswith(call.arguments) and len(call.arguments) < 15


def test_a_misspelt_directive_in_the_header_is_refused() -> None:
    with pytest.raises(ApiError, match="refues"):
        script("x", header="[[refues]]")
