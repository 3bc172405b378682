"""Declared tools and tool_choice: checking them, and telling which of them an answer may call."""

from typing import Any

from deploy.local.simulator import errors
from deploy.local.simulator.kinds import BOOLEAN, OBJECT, STRING, STRINGS, Field, check_fields, check_kind
from deploy.local.simulator.wire import Json

TOOL_TYPES = (
    "function",
    "custom",
    "namespace",
    "file_search",
    "computer",
    "computer_use_preview",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "mcp",
    "code_interpreter",
    "programmatic_tool_calling",
    "image_generation",
    "local_shell",
    "shell",
    "tool_search",
    "apply_patch",
)
CALLABLE_TYPES = ("function", "custom")

_FUNCTION = {
    "type": Field(STRING, required=True),
    "name": Field(STRING, required=True),
    "description": Field(STRING, nullable=True),
    "parameters": Field(OBJECT, nullable=True, required=True),
    "strict": Field(BOOLEAN, nullable=True),
    "defer_loading": Field(BOOLEAN, nullable=True),
    "allowed_callers": Field(STRINGS, nullable=True),
    "output_schema": Field(OBJECT, nullable=True),
    "async": Field(BOOLEAN, nullable=True),
}
_CUSTOM = {
    "type": Field(STRING, required=True),
    "name": Field(STRING, required=True),
    "description": Field(STRING, nullable=True),
    "format": Field(OBJECT),
    "defer_loading": Field(BOOLEAN, nullable=True),
    "allowed_callers": Field(STRINGS, nullable=True),
    "async": Field(BOOLEAN, nullable=True),
}
_FIELDS = {"function": _FUNCTION, "custom": _CUSTOM}
_CHOICES = ("none", "auto", "required")


def check_tools(tools: list[Any], choice: Any) -> None:
    """Raise the 400 for the first tool, or the choice, that is wrong (translation reference A.3, A.4)."""
    for position, tool in enumerate(tools):
        _check_tool(tool, f"tools[{position}]")
    if isinstance(choice, str) and choice not in _CHOICES:
        raise errors.invalid_value("tool_choice", choice, _CHOICES)
    name = named_choice(choice)
    if name is not None and name not in (tool.get("name") for tool in tools):
        raise errors.ApiError(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")


def _check_tool(tool: Any, param: str) -> None:
    check_kind(tool, param, OBJECT)
    type = tool.get("type")
    if type is None:
        raise errors.missing_parameter(f"{param}.type")
    if type not in TOOL_TYPES:
        raise errors.invalid_value(f"{param}.type", type, TOOL_TYPES)
    if type not in _FIELDS:
        return
    # The chat form nests everything under the type's own name; OpenAI then misses the name first.
    if "name" not in tool:
        raise errors.missing_parameter(f"{param}.name")
    check_fields(tool, _FIELDS[type], f"{param}.")


def named_choice(choice: Any) -> str | None:
    """The tool that tool_choice names, if it names one."""
    if isinstance(choice, dict) and choice.get("type") in CALLABLE_TYPES:
        return str(choice.get("name"))
    return None


def callable_tools(tools: list[Json], choice: Any) -> list[Json]:
    """The tools the client executes and this answer may call, in declared order."""
    if choice == "none":
        return []
    candidates = [tool for tool in tools if tool["type"] in CALLABLE_TYPES]
    allowed = _allowed_names(choice)
    return [tool for tool in candidates if allowed is None or tool["name"] in allowed]


def _allowed_names(choice: Any) -> set[str] | None:
    if (name := named_choice(choice)) is not None:
        return {name}
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        return {tool.get("name") for tool in choice.get("tools", [])}
    return None


def to_echoed_tool(tool: Json) -> Json:
    """A function tool as a Response echoes it: absent keys filled in, `strict` as it took effect."""
    if tool["type"] != "function":
        return tool
    defaults = {"description": None, "output_schema": None}
    strict = tool.get("strict")
    return {**defaults, **tool, "strict": True if strict is None else strict}
