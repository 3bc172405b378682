"""Declared tools and tool_choice: checking them, and telling which of them an answer may call."""

import re
from typing import Any

from simulator.checks import strict_schemas
from simulator.checks.fields import OBJECT, check_fields, check_kind, is_one_of
from simulator.checks.tool_fields import CHOICE_FIELDS, TOOL_FIELDS, TOOL_TYPES
from simulator.rules.book import invalid_value, refuse
from simulator.wire.json import Json

CALLABLE_TYPES = ("function", "custom")
_NAMED_TYPES = (*CALLABLE_TYPES, "namespace")
_CHOICES = ("none", "auto", "required")
_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_SERVERS = ("server_url", "connector_id", "tunnel_id")


def check_tools(tools: list[Any], choice: Any) -> None:
    """Raise the 400 for the first tool, or the choice, that is wrong (docs/mapping.md#tools, #tool-choice)."""
    for position, tool in enumerate(tools):
        _check_tool(tool, f"tools[{position}]")
    if isinstance(choice, dict):
        _check_choice(choice, tools)
    elif choice is not None and choice not in _CHOICES:
        raise invalid_value("tool_choice", choice, _CHOICES)
    elif choice == "required" and not tools:
        raise refuse("tool_choice_alone")


def _check_tool(tool: Any, param: str) -> None:
    check_kind(tool, param, OBJECT)
    type = tool.get("type")
    if type is None:
        raise refuse("missing_parameter", param=f"{param}.type")
    if not is_one_of(type, TOOL_FIELDS):
        raise invalid_value(f"{param}.type", type, TOOL_TYPES)
    # The chat form nests everything under the type's own name; OpenAI then misses the name first.
    if type in _NAMED_TYPES and "name" not in tool:
        raise refuse("missing_parameter", param=f"{param}.name")
    check_fields(tool, TOOL_FIELDS[type], f"{param}.")
    if type in _NAMED_TYPES and not _NAME.fullmatch(tool["name"]):
        raise refuse("pattern", param=f"{param}.name")
    if type == "function":
        check_function(tool, tool["name"], f"{param}.parameters")
    if type == "mcp" and not any(tool.get(name) for name in _SERVERS):
        raise refuse("mcp_server", param=param)
    for position, inner in enumerate(tool["tools"] if type == "namespace" else ()):
        _check_tool(inner, f"{param}.tools[{position}]")


def check_function(tool: Json, name: str, param: str) -> None:
    """Raise the 400 for a function whose schema is no object, or is said to be strict and is not."""
    parameters = tool.get("parameters")
    if not parameters:
        return
    check_kind(parameters, param, OBJECT)
    fault = strict_schemas.schema_fault(parameters) or (
        strict_schemas.strict_fault(parameters) if tool.get("strict") else None
    )
    if fault is not None:
        raise refuse("function_schema", name=name, fault=fault, param=param)


def check_text_format(text_format: Json) -> None:
    """Raise the 400 for a `json_schema` format whose name or schema is wrong (docs/mapping.md#response-format)."""
    if text_format["type"] != "json_schema":
        return
    name, schema = text_format["name"], text_format["schema"]
    if not _NAME.fullmatch(name):
        raise refuse("pattern", param="text.format.name")
    # Without a type anything goes; the rest has to be an object.
    fault = strict_schemas.schema_fault(schema) if schema else None
    if text_format.get("strict"):
        fault = fault or strict_schemas.strict_fault(schema)
    if fault is not None:
        raise refuse("format_schema", name=name, fault=fault, param="text.format.schema")


def _check_choice(choice: Json, tools: list[Json]) -> None:
    type = str(choice.get("type"))
    if type not in CHOICE_FIELDS:
        raise invalid_value("tool_choice.type", type, CHOICE_FIELDS)
    check_fields(choice, CHOICE_FIELDS[type], "tool_choice.")
    for position, tool in enumerate(choice.get("tools", ())):
        check_kind(tool, f"tool_choice.tools[{position}]", OBJECT)
    for name in _wanted(choice):
        if name not in {tool.get("name") for tool in tools} | {tool["type"] for tool in tools}:
            raise refuse("tool_choice_unknown", name=name)


def _wanted(choice: Json) -> list[str]:
    """The names, or for hosted tools the types, that a choice speaks of."""
    if choice["type"] == "allowed_tools":
        return [str(tool.get("name") or tool.get("type")) for tool in choice["tools"]]
    return [str(choice["name"] if choice["type"] in CALLABLE_TYPES else choice["type"])]


def named_choice(choice: Any) -> str | None:
    """The tool that tool_choice names, if it names one."""
    if isinstance(choice, dict) and choice.get("type") in CALLABLE_TYPES:
        return str(choice.get("name"))
    return None


def callable_tools(tools: list[Json], choice: Any) -> list[Json]:
    """The tools the client executes and this answer may call, in declared order."""
    if choice == "none":
        return []
    return [tool for tool in tools if tool["type"] in CALLABLE_TYPES and _is_allowed(tool["name"], choice)]


def hosted_tools(tools: list[Json], choice: Any) -> list[Json]:
    """The tools with a call of their own type that this answer may use, in declared order."""
    if choice == "none" or named_choice(choice) is not None:
        return []
    return [tool for tool in tools if tool["type"] not in _NAMED_TYPES and _is_allowed(tool["type"], choice)]


def _is_allowed(name: str, choice: Any) -> bool:
    return not isinstance(choice, dict) or name in _wanted(choice)


def to_echoed_tool(tool: Json) -> Json:
    """A function tool as a Response echoes it: absent keys filled in, `strict` and the schema as they took effect."""
    if tool["type"] != "function":
        return tool
    strict, parameters = strict_schemas.effective(tool)
    return {"description": None, "output_schema": None, **tool, "parameters": parameters, "strict": strict}
