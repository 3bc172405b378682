"""What a client reads when its request is refused: the parameter, the code and the whole message."""

from typing import Any

import pytest

from tests.support.chats import USER, Json, refusal

LOOK: Json = {"type": "function", "function": {"name": "look"}}
HOSTED = (
    "'web_search*', 'file_search', 'code_interpreter', 'image_generation', 'mcp', 'computer', 'computer_use_preview', "
    "'local_shell', 'shell', 'apply_patch'"
)


def _calls(*calls: Json) -> Json:
    return {"role": "assistant", "tool_calls": list(calls)}


def _part(**part: Any) -> Json:
    return {"role": "user", "content": [part]}


CALL = _calls({"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}})
LEGACY_CALL: Json = {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}

MISSING: list[tuple[Json, str]] = [
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"content": "a"}]}, "messages[0].role"),
    ({"messages": [_part(type="text")]}, "messages[0].content[0].text"),
    ({"messages": [_part(type="image_url")]}, "messages[0].content[0].image_url"),
    ({"messages": [_part(type="file")]}, "messages[0].content[0].file"),
    ({"messages": [_part(type="file", file={})]}, "messages[0].content[0].file"),
    ({"messages": [USER, _calls({"id": "c1", "type": "function"})]}, "messages[1].tool_calls[0].function"),
    ({"messages": [USER, _calls({"id": "c1", "type": "custom"})]}, "messages[1].tool_calls[0].custom"),
    ({"messages": [USER, {"type": "function_call_output"}]}, "messages[1].call_id"),
    (
        {"messages": [USER, {"type": "mcp_approval_response", "approval_request_id": "m"}]},
        "messages[1].approve",
    ),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "custom"}]}, "tools[0].custom"),
    (
        {"tools": [{"type": "custom", "custom": {"name": "p", "format": {"type": "grammar"}}}]},
        "tools[0].custom.format.grammar",
    ),
    ({"functions": [{}]}, "functions[0].name"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "response_format.json_schema.name"),
]

UNEXPECTED: list[tuple[Json, str, str, str]] = [
    (
        {"messages": [{"role": "owner", "content": "a"}]},
        "messages[0].role",
        "owner",
        "'system', 'developer', 'user', 'assistant', 'tool', 'function'",
    ),
    (
        {"messages": [_part(type="smell")]},
        "messages[0].content[0].type",
        "smell",
        "'text', 'image_url', 'input_audio', 'file'",
    ),
    (
        {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "messages[0].content[0].type",
        "image_url",
        "'text'",
    ),
    (
        {"messages": [USER, _calls({"id": "c1", "type": "magic"})]},
        "messages[1].tool_calls[0].type",
        "magic",
        "'function', 'custom'",
    ),
    ({"tools": [{"type": "magic"}]}, "tools[0].type", "magic", f"'function', 'custom', {HOSTED}"),
    (
        {"tools": [{"type": "custom", "custom": {"name": "p", "format": {"type": "x"}}}]},
        "tools[0].custom.format.type",
        "x",
        "'text', 'grammar'",
    ),
    ({"tools": [LOOK], "tool_choice": "any"}, "tool_choice", "any", "'none', 'auto', 'required'"),
    (
        {"tools": [LOOK], "tool_choice": {"type": "magic"}},
        "tool_choice.type",
        "magic",
        f"'function', 'custom', 'allowed_tools', {HOSTED}",
    ),
    (
        {"response_format": {"type": "yaml"}},
        "response_format.type",
        "yaml",
        "'text', 'json_object', 'json_schema'",
    ),
]

WRONG_TYPES: list[tuple[Json, str, str, str]] = [
    ({"tools": [LOOK], "tool_choice": 7}, "tool_choice", "str", "int"),
    ({"tools": [LOOK], "tool_choice": {"type": 7}}, "tool_choice.type", "str", "int"),
    ({"temperature": "hot"}, "temperature", "float", "str"),
    ({"messages": "a"}, "messages", "array", "str"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content", "str or array", "int"),
    ({"model": 7}, "model", "str", "int"),
    ({"n": "two"}, "n", "int", "str"),
    ({"prompt_cache_key": ["x"]}, "prompt_cache_key", "str", "array"),
    ({"reasoning_effort": 7}, "reasoning_effort", "str", "int"),
]

OTHERS: list[tuple[Json, str, str | None, str]] = [
    (
        {"messages": []},
        "messages",
        "empty_array",
        "Invalid 'messages': empty array. Expected at least one message.",
    ),
    (
        {"messages": [{"role": "user", "content": []}]},
        "messages[0].content",
        "empty_array",
        "Invalid 'messages[0].content': empty array. Expected at least one part.",
    ),
    (
        {"messages": [USER, {"role": "tool", "content": "a", "tool_call_id": "c1"}]},
        "messages[1].role",
        None,
        "Invalid parameter: a message with role 'tool' must answer a preceding message with 'tool_calls'.",
    ),
    (
        {"messages": [USER, CALL, {"role": "tool", "content": "a", "tool_call_id": "c2"}]},
        "messages[2].tool_call_id",
        None,
        "Invalid parameter: a message with role 'tool' must answer a preceding message with 'tool_calls'.",
    ),
    (
        {"messages": [USER, CALL, USER]},
        "messages[1].tool_calls",
        None,
        "An assistant message with 'tool_calls' must be followed by tool messages that answer each 'tool_call_id'. "
        "These have no answer: c1",
    ),
    (
        {"functions": [{"name": "f"}], "messages": [USER, LEGACY_CALL, USER]},
        "messages",
        None,
        "A message with 'function_call' must be followed by a message of role 'function' that answers it. "
        "These have no answer: f",
    ),
    (
        {"functions": [{"name": "f"}], "messages": [USER, {"role": "function", "name": "f", "content": "a"}]},
        "messages[1].role",
        None,
        "Invalid parameter: a message with role 'function' must answer a preceding 'function_call'.",
    ),
    (
        {"functions": [{"name": "f"}], "tools": [LOOK]},
        "functions",
        "invalid_value",
        "'functions' and 'tools' may not be given together.",
    ),
    (
        {"tools": [LOOK] * 129},
        "tools",
        "array_above_max_length",
        "Invalid 'tools': array too long. Expected at most 128 functions, but got 129 instead.",
    ),
    ({"tool_choice": "auto"}, "tool_choice", None, "'tool_choice' is only allowed when 'tools' are specified."),
    (
        {"tools": [LOOK], "tool_choice": {"type": "function"}},
        "tool_choice",
        "invalid_value",
        'Invalid \'tool_choice\': a tool is named as {"type": "function", "function": {"name": ...}}.',
    ),
    (
        {"stream_options": {"include_usage": True}},
        "stream_options",
        None,
        "'stream_options' is only allowed when 'stream' is true.",
    ),
    ({"background": True}, "background", "unsupported_parameter", "Unsupported parameter: 'background'."),
    (
        {"conversation": "c", "previous_response_id": "r"},
        "previous_response_id",
        "mutually_exclusive_parameters",
        "'previous_response_id' and 'conversation' may not be given together.",
    ),
]


def _read(fields: Json) -> tuple[int, str | None, str | None, str | None]:
    refused = refusal(**{"messages": [USER], **fields})
    return refused.status, refused.error.param, refused.error.code, refused.error.message


@pytest.mark.parametrize(("fields", "param"), MISSING)
def test_what_is_missing_is_named(fields: Json, param: str) -> None:
    assert _read(fields) == (400, param, "missing_required_parameter", f"Missing required parameter: '{param}'.")


@pytest.mark.parametrize(("fields", "param", "value", "supported"), UNEXPECTED)
def test_a_value_that_is_not_known_is_named_with_those_that_are(
    fields: Json, param: str, value: str, supported: str
) -> None:
    message = f"Invalid value: '{value}'. Supported values are: {supported}."
    assert _read(fields) == (400, param, "invalid_value", message)


@pytest.mark.parametrize(("fields", "param", "expected", "got"), WRONG_TYPES)
def test_a_wrong_type_is_named_with_the_right_one(fields: Json, param: str, expected: str, got: str) -> None:
    message = f"Invalid type for '{param}': expected {expected}, but got {got} instead."
    assert _read(fields) == (400, param, "invalid_type", message)


@pytest.mark.parametrize(("fields", "param", "code", "message"), OTHERS)
def test_what_does_not_fit_together_is_explained(fields: Json, param: str, code: str | None, message: str) -> None:
    assert _read(fields) == (400, param, code, message)
