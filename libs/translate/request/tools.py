"""Tools, from chat's nested forms to the flat ones, and the upstream's own (docs/mapping.md#tools).

Function and custom tools are the client's to run. Hosted tools stand in a chat body in the upstream's
own form: they go up byte for byte where the configuration allows their type.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from libs.schemas.config import Profile
from libs.schemas.plan import Format
from libs.schemas.wire.chat import (
    ChatRequest,
    CustomFormat,
    CustomTool,
    Function,
    FunctionTool,
    WebSearchOptions,
)
from libs.schemas.wire.responses import CustomToolFormat, CustomToolParam, FunctionToolParam, ToolParam, WebSearchTool
from libs.schemas.wire.tool_types import NESTED, RUN_BY_CLIENT
from libs.translate.errors import InvalidRequest, missing, unexpected, unsupported
from libs.translate.request.body import Reader, decode_body, is_given

Tool = FunctionTool | CustomTool | Raw

_MAX_TOOLS = 128  # of the client's own (docs/mapping.md#tools)
_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
_NO_PARAMETERS_STRICT = Raw(b'{"type":"object","properties":{},"additionalProperties":false,"required":[]}')
_WEB_SEARCH = "web_search"
_FORMATS = ("text", "grammar")


class _Environment(msgspec.Struct, frozen=True):
    type: str = ""


class _Kind(msgspec.Struct, frozen=True):
    """What decides how a tool is read; a shell in a container is run by the upstream."""

    type: str
    environment: _Environment | None = None


class _Attached(msgspec.Struct, frozen=True):
    """What two declarations of one tool have in common."""

    type: str
    name: str | None = None
    server_label: str | None = None


class Tools(msgspec.Struct):
    """The tools of a request, and what upstream paths into them mean to the client.

    See docs/mapping.md#paths-in-errors.
    """

    params: list[ToolParam] = []
    renames: dict[str, str] = {}


_KIND = msgspec.json.Decoder(_Kind)
_ATTACHED = msgspec.json.Decoder(_Attached)
_READER: Reader[FunctionTool | CustomTool] = Reader(FunctionTool | CustomTool)
_ENCODER = msgspec.json.Encoder()


def read_tools(raws: Sequence[Raw], unknown: dict[str, Raw]) -> list[Tool]:
    """Return the entries of `tools`, hosted ones as they are; unknown keys go to `unknown`.

    Raises InvalidRequest.
    """
    tools: list[Tool] = []
    for index, raw in enumerate(raws):
        where = f"tools[{index}]"
        if decode_body(_KIND, raw, where).type in NESTED:
            tool, more = _READER.read(raw, where)
            unknown.update(more)
            tools.append(tool)
        else:
            tools.append(raw)
    return tools


def to_tools(chat: ChatRequest, tools: Sequence[Tool], profile: Profile, format_: Format) -> Tools:
    """Return all tools in Responses form: the client's, its search, and the configuration's.

    Raises InvalidRequest.
    """
    made = Tools()
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        if isinstance(tool, FunctionTool):
            made.params.append(_to_function_tool(tool, where))
        elif isinstance(tool, CustomTool):
            made.renames[where] = f"{where}.custom"
            made.params.append(_to_custom(tool, where, profile))
        else:
            made.renames[where] = where
            _check_hosted(decode_body(_KIND, tool, where), where, profile, format_)
            made.params.append(tool)
    if chat.functions:
        made.renames["tools"] = "functions"
        made.params += [_to_function(function, strict=False) for function in chat.functions]
    _check_count(made.params, "functions" if chat.functions else "tools")
    if chat.web_search_options is not None:
        if not _is_hosted(_WEB_SEARCH, profile):
            raise unsupported("web_search_options")
        made.renames[f"tools[{len(made.params)}]"] = "web_search_options"
        made.params.append(_to_web_search(chat.web_search_options))
    _attach(made, profile)
    return made


def declares(tools: Sequence[Tool], name: str) -> bool:
    """Whether one of the client's own functions has this name."""
    return any(isinstance(tool, FunctionTool) and tool.function and tool.function.name == name for tool in tools)


def names(params: Sequence[ToolParam]) -> list[str]:
    """Return the names of tools as they go up, of hosted ones their types."""
    return [_name(param) for param in params]


def _name(param: ToolParam) -> str:
    if isinstance(param, FunctionToolParam | CustomToolParam):
        return param.name
    if isinstance(param, dict):
        return str(param.get("type", ""))
    return "web_search" if isinstance(param, WebSearchTool) else _KIND.decode(param).type


# -- the client's -----------------------------------------------------------------------------------


def _to_function_tool(tool: FunctionTool, where: str) -> FunctionToolParam:
    if tool.function is None:
        raise missing(f"{where}.function")
    return _to_function(tool.function, strict=bool(tool.function.strict))


def _to_function(function: Function, *, strict: bool) -> FunctionToolParam:
    """`strict` is always sent: left out, it means true to the Responses API and false to chat.

    See docs/mapping.md#function-tools.
    """
    parameters = function.parameters
    if not is_given(parameters):
        parameters = _NO_PARAMETERS_STRICT if strict else _NO_PARAMETERS
    return FunctionToolParam(
        name=function.name,
        description=UNSET if function.description is None else function.description,
        parameters=parameters,
        strict=strict,
    )


def _to_custom(tool: CustomTool, where: str, profile: Profile) -> CustomToolParam:
    if not profile.custom_tools:
        raise unexpected("custom", f"{where}.type", ("function",))
    custom = tool.custom
    if custom is None:
        raise missing(f"{where}.custom")
    return CustomToolParam(
        name=custom.name,
        description=UNSET if custom.description is None else custom.description,
        format=UNSET if custom.format is None else _to_custom_format(custom.format, f"{where}.custom.format"),
    )


def _to_custom_format(wanted: CustomFormat, where: str) -> CustomToolFormat:
    if wanted.type not in _FORMATS:
        raise unexpected(wanted.type, f"{where}.type", _FORMATS)
    if wanted.type == "text":
        return CustomToolFormat(type="text")
    if wanted.grammar is None:
        raise missing(f"{where}.grammar")
    return CustomToolFormat(type="grammar", definition=wanted.grammar.definition, syntax=wanted.grammar.syntax)


def _check_count(params: Sequence[ToolParam], name: str) -> None:
    own = sum(isinstance(param, FunctionToolParam | CustomToolParam) for param in params)
    if own > _MAX_TOOLS:
        raise InvalidRequest(
            f"Invalid '{name}': array too long. Expected at most {_MAX_TOOLS} functions, but got {own} instead.",
            name,
            "array_above_max_length",
        )


# -- the upstream's ---------------------------------------------------------------------------------


def _is_hosted(type_: str, profile: Profile) -> bool:
    return any(fnmatchcase(type_, pattern) for pattern in profile.hosted_tools)


def _check_hosted(kind: _Kind, where: str, profile: Profile, format_: Format) -> None:
    if not _is_hosted(kind.type, profile):
        raise unexpected(kind.type, f"{where}.type", (*NESTED, *profile.hosted_tools))
    in_container = kind.environment is not None and kind.environment.type.startswith("container")
    by_client = any(fnmatchcase(kind.type, pattern) for pattern in RUN_BY_CLIENT) and not in_container
    if by_client and format_ != "responses":
        raise InvalidRequest(
            f"The calls of '{kind.type}' have no form in chat: ask for 'x-parley-format: responses'.",
            f"{where}.type",
            "unsupported_value",
        )


def _to_web_search(options: WebSearchOptions) -> WebSearchTool:
    location = options.user_location
    flat: dict[str, Any] = {} if location is None else {"type": location.type}
    if location is not None and location.approximate is not None:
        flat |= msgspec.to_builtins(location.approximate)
    return WebSearchTool(
        search_context_size=UNSET if options.search_context_size is None else options.search_context_size,
        user_location=flat or UNSET,
    )


def _attach(made: Tools, profile: Profile) -> None:
    """Add the configuration's tools that the client did not bring itself."""
    if not profile.tools:
        return
    declared = {_ATTACHED.decode(_ENCODER.encode(param)) for param in made.params}
    for tool in profile.tools:
        if _ATTACHED.decode(_ENCODER.encode(tool)) not in declared:
            made.renames[f"tools[{len(made.params)}]"] = "tools"
            made.params.append(tool)
