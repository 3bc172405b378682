"""A native chat request: its check, and the same request in the Responses form that scripts are decided from."""

from collections.abc import Mapping
from typing import Any

from simulator.checks import models
from simulator.checks.chat_messages import check_messages, items_of, text_of
from simulator.checks.fields import (
    ANY,
    ARRAY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    OBJECT,
    STRING,
    STRING_OR_OBJECT,
    STRINGS,
    Field,
    Kind,
    check_fields,
    check_kind,
    is_one_of,
)
from simulator.checks.input_items import to_items
from simulator.checks.models import Model
from simulator.checks.parameters import Bounds, check_bounds, check_metadata
from simulator.checks.responses_request import ResponsesRequest
from simulator.checks.tools import check_function
from simulator.rules.book import invalid_value, listed, refuse
from simulator.wire.json import Json

_STREAM_OPTIONS = {
    "include_usage": Field(BOOLEAN, nullable=True),
    "include_obfuscation": Field(BOOLEAN, nullable=True),
}
# One row per field of the SDK's `CompletionCreateParams` (3.54). Clients send null for any optional one.
PARAMETERS: Mapping[str, Field] = {
    "audio": Field(OBJECT, nullable=True),
    "frequency_penalty": Field(NUMBER, nullable=True),
    "function_call": Field(STRING_OR_OBJECT, nullable=True),
    "functions": Field(ARRAY, nullable=True),
    "logit_bias": Field(OBJECT, nullable=True),
    "logprobs": Field(BOOLEAN, nullable=True),
    "max_completion_tokens": Field(INTEGER, nullable=True),
    "max_tokens": Field(INTEGER, nullable=True),
    "messages": Field(ARRAY, required=True),
    "metadata": Field(OBJECT, nullable=True),
    "modalities": Field(STRINGS, nullable=True),
    "model": Field(STRING, required=True),
    "moderation": Field(OBJECT, nullable=True),
    "n": Field(INTEGER, nullable=True),
    "parallel_tool_calls": Field(BOOLEAN, nullable=True),
    "prediction": Field(OBJECT, nullable=True),
    "presence_penalty": Field(NUMBER, nullable=True),
    "prompt_cache_key": Field(STRING, nullable=True),
    "prompt_cache_options": Field(OBJECT, nullable=True),
    "prompt_cache_retention": Field(STRING, nullable=True),
    "reasoning_effort": Field(STRING, nullable=True),
    "response_format": Field(OBJECT, nullable=True),
    "safety_identifier": Field(STRING, nullable=True),
    "seed": Field(INTEGER, nullable=True),
    "service_tier": Field(STRING, nullable=True),
    "stop": Field(ANY, nullable=True),
    "store": Field(BOOLEAN, nullable=True),
    "stream": Field(BOOLEAN, nullable=True),
    "stream_options": Field(OBJECT, nullable=True, fields=_STREAM_OPTIONS),
    "temperature": Field(NUMBER, nullable=True),
    "tool_choice": Field(STRING_OR_OBJECT, nullable=True),
    "tools": Field(ARRAY, nullable=True),
    "top_logprobs": Field(INTEGER, nullable=True),
    "top_p": Field(NUMBER, nullable=True),
    "user": Field(STRING, nullable=True),
    "verbosity": Field(STRING, nullable=True),
    "web_search_options": Field(OBJECT, nullable=True),
}
_STOP = Kind("one of an array of strings or string", (str, list))
_BOUNDS = {
    "temperature": Bounds("decimal", low=0, high=2),
    "top_p": Bounds("decimal", low=0, high=1),
    "top_logprobs": Bounds("integer", low=0, high=20),
    "n": Bounds("integer", low=1, high=128),
    "frequency_penalty": Bounds("decimal", low=-2, high=2),
    "presence_penalty": Bounds("decimal", low=-2, high=2),
}
_ALLOWED = {
    "mode": Field(STRING, required=True, values=("auto", "required")),
    "tools": Field(ARRAY, required=True),
}
_NAMED = Field(OBJECT, fields={"name": Field(STRING, required=True)})
_ALLOWED_TOOL = {
    "type": Field(STRING, required=True, values=("function", "custom")),
    "function": _NAMED,
    "custom": _NAMED,
}
_CHOICES = ("function", "custom", "allowed_tools")
_FORMATS: Mapping[str, Mapping[str, Field]] = {
    "text": {"type": Field(STRING)},
    "json_object": {"type": Field(STRING)},
    "json_schema": {"type": Field(STRING), "json_schema": Field(OBJECT, required=True)},
}
_SCHEMA = {
    "name": Field(STRING, required=True, max_length=64),
    "description": Field(STRING, nullable=True),
    "schema": Field(OBJECT, nullable=True),
    "strict": Field(BOOLEAN, nullable=True),
}
# What a model that reasons refuses, and the value of each that it takes.
_NOT_WHILE_REASONING: Mapping[str, Any] = {
    "stop": None,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
    "logprobs": False,
    "top_logprobs": None,
}


def to_request(body: Json) -> ResponsesRequest:
    """Check a decoded body. Raises the `ApiError` that OpenAI's chat endpoint answers with for the first fault."""
    check_fields(body, PARAMETERS)
    params = {name: value for name, value in body.items() if value is not None}
    model = models.find(params["model"])
    if models.CHAT not in model.endpoints:
        raise refuse("not_for_chat")
    check_messages(params["messages"])
    _check_tools(params)
    _check_model(params, model)
    for name, bounds in _BOUNDS.items():
        if name in params:
            check_bounds(name, params[name], bounds)
    check_metadata(params.get("metadata", {}))
    check_kind(params.get("stop", ""), "stop", _STOP)
    for position, stop in enumerate(params["stop"] if isinstance(params.get("stop"), list) else ()):
        check_kind(stop, f"stop[{position}]", STRING)
    if "stream_options" in params and not params.get("stream"):
        raise refuse("stream_options")
    _check_format(params.get("response_format"))
    _check_json_word(params)
    return _converted(params)


def _check_model(params: Json, model: Model) -> None:
    name, effort = params["model"], params.get("reasoning_effort", model.default_effort)
    if not model.can_reason:
        if "reasoning_effort" in params:
            raise refuse("chat_unsupported", param="reasoning_effort")
    elif effort not in model.efforts:
        supported = listed(model.efforts)
        raise refuse("unsupported_value", param="reasoning_effort", value=effort, model=name, supported=supported)
    elif effort != "none":
        _check_reasoning(params, model)
    if params.get("response_format", {}).get("type") == "json_schema" and not model.schemas:
        raise refuse("schemas_unsupported", param="response_format")


def _check_reasoning(params: Json, model: Model) -> None:
    if "max_tokens" in params:
        raise refuse("chat_max_tokens")
    for param in ("temperature", "top_p"):
        if params.get(param, 1) != 1:
            raise refuse("chat_sampling", param=param, value=params[param])
    for param, accepted in _NOT_WHILE_REASONING.items():
        if param in params and params[param] != accepted:
            raise refuse("chat_unsupported", param=param)
    has_functions = bool(params.get("tools") or params.get("functions"))
    if has_functions and not model.chat_tools:
        raise refuse("chat_tools_with_reasoning", model=params["model"])


def _check_tools(params: Json) -> None:
    tools = params.get("tools", [])
    for position, tool in enumerate(tools):
        param = f"tools[{position}]"
        check_kind(tool, param, OBJECT)
        type = tool.get("type")
        if type not in ("function", "custom"):
            raise refuse("chat_tool_type", param=f"{param}.type", value=type)
        if not isinstance(tool.get(type), dict):
            raise refuse("missing_parameter", param=f"{param}.{type}")
        if not tool[type].get("name"):
            raise refuse("missing_parameter", param=f"{param}.{type}.name")
        check_kind(tool[type]["name"], f"{param}.{type}.name", STRING)
        if type == "function":
            check_function(tool[type], tool[type]["name"], f"{param}.function.parameters")
    for position, function in enumerate(params.get("functions", ())):
        check_kind(function, f"functions[{position}]", OBJECT)
        if not isinstance(function.get("name"), str):
            raise refuse("missing_parameter", param=f"functions[{position}].name")
        check_function(function, function["name"], f"functions[{position}].parameters")
    choice = params.get("tool_choice")
    if choice not in (None, "none") and not tools:
        raise refuse("chat_choice_alone")
    if isinstance(choice, dict):
        _check_choice(choice, tools)


def _check_choice(choice: Json, tools: list[Json]) -> None:
    type = choice.get("type")
    if not is_one_of(type, _CHOICES):
        raise invalid_value("tool_choice.type", type, _CHOICES)
    check_fields(choice, {"type": Field(STRING), str(type): Field(OBJECT, required=True)}, "tool_choice.")
    if type == "allowed_tools":
        check_fields(choice[type], _ALLOWED, "tool_choice.allowed_tools.")
        for position, tool in enumerate(choice[type]["tools"]):
            check_kind(tool, f"tool_choice.allowed_tools.tools[{position}]", OBJECT)
            check_fields(tool, _ALLOWED_TOOL, f"tool_choice.allowed_tools.tools[{position}].")
        return
    name = choice[str(type)].get("name")
    if name not in [tool[tool["type"]]["name"] for tool in tools]:
        raise refuse("tool_choice_unknown", name=name)


def _check_json_word(params: Json) -> None:
    if params.get("response_format", {}).get("type") != "json_object":
        return
    if not any("json" in text_of(message.get("content")).lower() for message in params["messages"]):
        raise refuse("chat_json_word")


def _check_format(text_format: Json | None) -> None:
    if text_format is None:
        return
    type = text_format.get("type")
    if not is_one_of(type, _FORMATS):
        raise invalid_value("response_format.type", type, _FORMATS)
    check_fields(text_format, _FORMATS[str(type)], "response_format.")
    if type == "json_schema":
        check_fields(text_format["json_schema"], _SCHEMA, "response_format.json_schema.")


def _converted(params: Json) -> ResponsesRequest:
    tools = [_flat(tool) for tool in params.get("tools", ())]
    tools += [{"type": "function", "strict": False, **function} for function in params.get("functions", ())]
    if "web_search_options" in params:
        tools.append({"type": "web_search"})
    choice = params.get("tool_choice", "auto")
    kept: Json = {name: params[name] for name in ("model", "stream", "parallel_tool_calls") if name in params}
    limit = params.get("max_completion_tokens", params.get("max_tokens"))
    if limit is not None:
        kept["max_output_tokens"] = limit
    if "reasoning_effort" in params:
        kept["reasoning"] = {"effort": params["reasoning_effort"]}
    text_format = params.get("response_format", {"type": "text"})
    kept["text"] = {"format": {**text_format, **text_format.get("json_schema", {})}}
    if params.get("logprobs"):
        kept["include"] = ["message.output_text.logprobs"]
        kept["top_logprobs"] = params.get("top_logprobs", 0)
    items = to_items([item for message in params["messages"] for item in items_of(message)], "messages")
    flat_choice = _flat(choice) if isinstance(choice, dict) else choice
    return ResponsesRequest({**kept, "tools": tools, "tool_choice": flat_choice}, items)


def _flat(nested: Json) -> Json:
    """A tool or a choice without the wrapper that chat puts around it; functions are not strict unless said so."""
    type = nested["type"]
    inner = {name: value for name, value in nested.get(type, {}).items() if value is not None}
    if type == "allowed_tools":
        inner["tools"] = [_flat(tool) for tool in inner.get("tools", ())]
    return {**({"strict": False} if type == "function" else {}), **inner, "type": type}
