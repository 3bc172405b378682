from typing import Any

import pytest

from simulator.checks.parameters import PARAMETERS
from simulator.checks.responses_request import to_request
from simulator.wire.errors import ApiError

BASE: dict[str, Any] = {"model": "gpt-5.5", "input": "Hello"}
ASSISTANT = {"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}
CALL = {"type": "function_call", "name": "f", "arguments": "{}"}

# Body on top of BASE, then status, code, param and a part of the message.
REFUSED: dict[str, tuple[dict[str, Any], int, str | None, str | None, str]] = {
    "unknown": ({"seed": 1}, 400, "unknown_parameter", "seed", "Unknown parameter: 'seed'."),
    "unknown_nested": (
        {"stream": True, "stream_options": {"include_usage": True}},
        400,
        "unknown_parameter",
        "stream_options.include_usage",
        "Unknown parameter",
    ),
    "model_type": ({"model": 1}, 400, "invalid_type", "model", "expected a string, but got an integer"),
    "input_type": ({"input": 1}, 400, "invalid_type", "input", "one of an array of objects or string"),
    "boolean_is_no_integer": ({"top_logprobs": True}, 400, "invalid_type", "top_logprobs", "a boolean"),
    "null_text": ({"text": None}, 400, "invalid_type", "text", "null"),
    "null_user": ({"user": None}, 400, "invalid_type", "user", "null"),
    "few_tokens": (
        {"max_output_tokens": 15},
        400,
        "integer_below_min_value",
        "max_output_tokens",
        "Expected a value >= 16, but got 15 instead.",
    ),
    "temperature": (
        {"temperature": -1},
        400,
        "decimal_below_min_value",
        "temperature",
        "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -1 instead.",
    ),
    "include": ({"include": ["x"]}, 400, "invalid_value", "include[0]", "Invalid value: 'x'."),
    "missing_model": ({"model": "missing-1"}, 404, "model_not_found", None, "`missing-1` does not exist"),
    "name": (
        {"input": [{"role": "user", "content": "x", "name": "ann"}]},
        400,
        "unknown_parameter",
        "input[0].name",
        "Unknown parameter: 'input[0].name'.",
    ),
    "input_text_of_assistant": (
        {"input": [ASSISTANT]},
        400,
        "invalid_value",
        "input[0].content[0]",
        "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
    ),
    "role": ({"input": [{"role": "tool", "content": "x"}]}, 400, "invalid_value", "input[0].role", "'tool'"),
    "item_type": ({"input": [{"type": "tool_call"}]}, 400, "invalid_value", "input[0].type", "'tool_call'"),
    "long_call_id": (
        {"input": [{**CALL, "call_id": "c" * 65}]},
        400,
        "string_above_max_length",
        "input[0].call_id",
        "maximum length 64, but got a string with length 65",
    ),
    "id_prefix": (
        {"input": [{**CALL, "call_id": "c", "id": "call_1"}]},
        400,
        "invalid_value",
        "input[0].id",
        "Expected an ID that begins with 'fc'.",
    ),
    "chat_tool": (
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        400,
        "missing_required_parameter",
        "tools[0].name",
        "Missing required parameter: 'tools[0].name'.",
    ),
    "tool_choice": (
        {"tool_choice": {"type": "function", "name": "f"}},
        400,
        None,
        "tool_choice",
        "Tool choice 'f' not found in 'tools' parameter.",
    ),
    "stream_options": (
        {"stream_options": {"include_obfuscation": False}},
        400,
        None,
        "stream_options",
        "only allowed when 'stream' is enabled",
    ),
    "two_parents": (
        {"previous_response_id": "resp_1", "conversation": "conv_1"},
        400,
        "mutually_exclusive_parameters",
        "previous_response_id",
        "Mutually exclusive parameters",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_openai_refuses_is_refused_in_its_words(name: str) -> None:
    extra, status, code, param, message = REFUSED[name]
    with pytest.raises(ApiError) as raised:
        to_request({**BASE, **extra})
    error = raised.value
    assert (error.status, error.code, error.param) == (status, code, param)
    assert message in error.message
    assert set(error.body()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("absent", ["model", "input"])
def test_model_and_input_are_required(absent: str) -> None:
    with pytest.raises(ApiError) as raised:
        to_request({name: value for name, value in BASE.items() if name != absent})
    assert (raised.value.code, raised.value.param) == ("missing_required_parameter", absent)


def test_null_means_absent_wherever_it_may_stand() -> None:
    nullable = {name: None for name, field in PARAMETERS.items() if field.nullable}
    assert to_request({**BASE, **nullable}).params == BASE


def test_a_string_input_becomes_one_user_message() -> None:
    (item,) = to_request(BASE).items
    assert (item["role"], item["content"]) == ("user", [{"type": "input_text", "text": "Hello"}])
    assert item["id"].startswith("msg_")


@pytest.mark.parametrize(
    ("model", "effort", "reasons"),
    [("gpt-5.5", None, True), ("gpt-5.5", "none", False), ("gpt-4o", None, False), ("gpt-5-chat-latest", None, False)],
)
def test_models_reason_unless_their_name_or_the_effort_says_no(model: str, effort: str | None, reasons: bool) -> None:
    assert to_request({**BASE, "model": model, "reasoning": {"effort": effort}}).reasons is reasons
