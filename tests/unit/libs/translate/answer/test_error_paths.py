from typing import Any

import pytest

from libs.schemas.plan import StreamPlan
from libs.translate.answer.error_paths import to_chat_param, to_chat_text
from tests.support.chats import USER, Json, system, text, translated, user

PLAN = StreamPlan(stream=True, message_indexes=[0, 2, 2, 3], renames={"max_output_tokens": "max_tokens"})
TOOLS: list[Json] = [
    {"type": "function", "function": {"name": "look"}},
    {"type": "custom", "custom": {"name": "print"}},
    {"type": "mcp", "server_label": "x"},
]


def _plan(*given: Json, **fields: Any) -> StreamPlan:
    return translated(*given, **fields).plan


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        (None, None),
        ("model", "model"),
        ("input", "messages"),
        ("input[1]", "messages[2]"),
        ("input[3].content[0].text", "messages[3].content[0].text"),
        ("input[4]", "messages[4]"),
        ("input[99]", "messages[99]"),
        ("input[" + "1" * 5000 + "]", "messages[" + "1" * 5000 + "]"),
        ("tools[" + "1" * 5000 + "]", "tools[" + "1" * 5000 + "]"),
        ("text.format" + ".a" * 5000, "response_format" + ".a" * 5000),
        ("max_output_tokens", "max_tokens"),
        ("text.format", "response_format"),
        ("text.format.schema", "response_format.json_schema.schema"),
        ("text.format.name", "response_format.json_schema.name"),
        ("text.verbosity", "verbosity"),
        ("reasoning.effort", "reasoning_effort"),
        ("tools[2].name", "tools[2].function.name"),
        ("tools[0].parameters", "tools[0].function.parameters"),
        ("tools[0].type", "tools[0].type"),
        ("previous_response_id", None),
        ("include", None),
        ("store", None),
        ("instructions", None),
        ("input[1].content[0].detail", "messages[2].content[0].image_url.detail"),
        ("input[1].content[0].image_url", "messages[2].content[0].image_url"),
        ("input[1].content[2].file_data", "messages[2].content[2].file.file_data"),
        ("input[3].output", "messages[3].content"),
        ("input[3].output[1].text", "messages[3].content[1].text"),
        ("text.format.type", "response_format.type"),
        ("text.format.strict", "response_format.json_schema.strict"),
        ("text.format.schema.properties", "response_format.json_schema.schema.properties"),
        ("tool_choice.name", "tool_choice.function.name"),
        ("include[0]", None),
        ("reasoning.summary", None),
        ("", ""),
    ],
)
def test_a_param_is_told_in_chat_terms(param: str | None, expected: str | None) -> None:
    assert to_chat_param(param, PLAN) == expected


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        ("tools[0].parameters.type", "tools[0].function.parameters.type"),
        ("tools[1].name", "tools[1].custom.name"),
        ("tools[1].type", "tools[1].type"),
        ("tools[1].format.definition", "tools[1].custom.format.grammar.definition"),
        ("tools[2].server_url", "tools[2].server_url"),
        ("tools[2].name", "tools[2].name"),
        ("tools[3].search_context_size", "web_search_options.search_context_size"),
    ],
)
def test_each_tool_is_told_as_the_client_wrote_it(param: str, expected: str) -> None:
    assert to_chat_param(param, _plan(tools=TOOLS, web_search_options={})) == expected


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        ("tools[0].name", "functions[0].name"),
        ("tools[1].parameters", "functions[1].parameters"),
        ("tools", "functions"),
        ("tool_choice", "function_call"),
    ],
)
def test_functions_are_told_as_functions(param: str, expected: str) -> None:
    functions: list[Json] = [{"name": "a"}, {"name": "b"}]
    assert to_chat_param(param, _plan(functions=functions)) == expected


@pytest.mark.parametrize(
    ("fields", "param", "expected"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "previous_response_id"),
        ({"include": ["x"]}, "include[0]", "include[0]"),
        ({"store": True}, "store", "store"),
        ({"instructions": "x"}, "instructions", "instructions"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort", "reasoning.effort"),
        ({"reasoning": {"summary": "auto"}}, "reasoning.summary", "reasoning.summary"),
        ({"reasoning_effort": "low"}, "reasoning.effort", "reasoning_effort"),
        ({"max_output_tokens": 20}, "max_output_tokens", "max_output_tokens"),
        ({"max_completion_tokens": 20}, "max_output_tokens", "max_completion_tokens"),
        ({"response_format": {"type": "json_object"}}, "text.format.schema", "response_format"),
    ],
)
def test_a_field_is_told_by_the_name_the_client_gave_it(fields: Json, param: str, expected: str) -> None:
    assert to_chat_param(param, _plan(**fields)) == expected


def test_an_item_is_told_by_its_message() -> None:
    plan = _plan(system("x"), USER, user([text("a")]))
    assert to_chat_param("input[1].content[0].text", plan) == "messages[2].content[0].text"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("Unknown parameter: 'input[1].name'.", "Unknown parameter: 'messages[2].name'."),
        ("Expected `input[3]` to be short.", "Expected `messages[3]` to be short."),
        ("See input[3].content, please.", "See messages[3].content, please."),
        ("max_output_tokens is too small.", "max_tokens is too small."),
        ("The input is too long for the tools you gave.", "The input is too long for the tools you gave."),
        ("Missing required parameter: 'input'.", "Missing required parameter: 'messages'."),
        ("Use 'text.format' and reasoning.effort.", "Use 'response_format' and reasoning_effort."),
        (
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'x'.",
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        ),
    ],
)
def test_a_message_names_what_the_client_knows(told: str, expected: str) -> None:
    assert to_chat_text(told, PLAN) == expected
