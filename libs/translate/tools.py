"""Tools, tool choice and answer formats, from the nested chat forms to the flat ones (A.3 to A.5)."""

from msgspec import UNSET, Raw, UnsetType

from libs.schemas.chat import NO_RAW, ChatRequest, JsonSchema, ResponseFormat, Tool
from libs.schemas.responses import FunctionToolParam, TextConfig, TextFormat, ToolChoiceFunction
from libs.translate.errors import InvalidRequest

_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
_NO_PARAMETERS_STRICT = Raw(b'{"type":"object","properties":{},"additionalProperties":false,"required":[]}')
_CHOICES = ("none", "auto", "required")
_NULL = Raw(b"null")


def is_given(raw: Raw) -> bool:
    """Whether a field kept as `Raw` was there and not null."""
    return raw != NO_RAW and raw != _NULL


def to_tools(tools: list[Tool]) -> list[FunctionToolParam]:
    """Return the tools in Responses form, each with an explicit `strict` (A.3.1)."""
    return [_to_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]


def _to_tool(tool: Tool, where: str) -> FunctionToolParam:
    if tool.type != "function":
        raise InvalidRequest(
            f"Invalid value: '{tool.type}'. Supported values are: 'function'.", f"{where}.type", "invalid_value"
        )
    if tool.function is None:
        raise InvalidRequest(
            f"Missing required parameter: '{where}.function'.", f"{where}.function", "missing_required_parameter"
        )
    strict = bool(tool.function.strict)
    parameters = tool.function.parameters
    if not is_given(parameters):
        parameters = _NO_PARAMETERS_STRICT if strict else _NO_PARAMETERS
    return FunctionToolParam(
        name=tool.function.name,
        description=UNSET if tool.function.description is None else tool.function.description,
        parameters=parameters,
        strict=strict,
    )


def to_tool_choice(request: ChatRequest) -> str | ToolChoiceFunction | UnsetType:
    """Return `tool_choice` in Responses form (A.4)."""
    choice = request.tool_choice
    if choice is None:
        return UNSET
    if not request.tools and choice != "none":
        raise InvalidRequest("'tool_choice' is only allowed when 'tools' are given.", "tool_choice")
    if isinstance(choice, str):
        if choice not in _CHOICES:
            supported = ", ".join(f"'{known}'" for known in _CHOICES)
            raise InvalidRequest(
                f"Invalid value: '{choice}'. Supported values are: {supported}.", "tool_choice", "invalid_value"
            )
        return choice
    if choice.type != "function" or choice.function is None:
        raise InvalidRequest(
            'Invalid \'tool_choice\': a forced tool is named as {"type": "function", "function": {"name": ...}}.',
            "tool_choice",
            "invalid_value",
        )
    return ToolChoiceFunction(name=choice.function.name)


def to_text(request: ChatRequest) -> TextConfig | UnsetType:
    """Return `text`, which holds the answer's format and its verbosity (A.5)."""
    format_ = UNSET if request.response_format is None else _to_format(request.response_format)
    verbosity = UNSET if request.verbosity is None else request.verbosity
    if format_ is UNSET and verbosity is UNSET:
        return UNSET
    return TextConfig(format=format_, verbosity=verbosity)


def _to_format(wanted: ResponseFormat) -> TextFormat:
    if wanted.type in ("text", "json_object"):
        return TextFormat(type=wanted.type)
    if wanted.type != "json_schema":
        raise InvalidRequest(
            f"Invalid value: '{wanted.type}'. Supported values are: 'text', 'json_object', 'json_schema'.",
            "response_format.type",
            "invalid_value",
        )
    if wanted.json_schema is None:
        raise InvalidRequest(
            "Missing required parameter: 'response_format.json_schema'.",
            "response_format.json_schema",
            "missing_required_parameter",
        )
    return _to_schema(wanted.json_schema)


def _to_schema(wanted: JsonSchema) -> TextFormat:
    strict = bool(wanted.strict)
    if strict and not is_given(wanted.schema):
        where = "response_format.json_schema.schema"
        raise InvalidRequest(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
    return TextFormat(
        type="json_schema",
        name=wanted.name,
        description=UNSET if wanted.description is None else wanted.description,
        schema=wanted.schema if is_given(wanted.schema) else Raw(b"{}"),
        strict=strict,
    )
