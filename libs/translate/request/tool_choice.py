"""`tool_choice` and the legacy `function_call`, from chat's nested forms to the flat ones.

See docs/mapping.md#tool-choice, #legacy-functions.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec
from msgspec import UNSET, Raw, UnsetType

from libs.schemas.config import Profile
from libs.schemas.wire.chat import AllowedTools, ChatRequest, NamedTool, ToolChoice, ToolName
from libs.schemas.wire.responses import AllowedToolsChoice, ToolChoiceParam, ToolParam, ToolRef, WebSearchTool
from libs.schemas.wire.tool_types import NESTED
from libs.translate.errors import InvalidRequest, unexpected
from libs.translate.request.body import Reader, decode_body, is_given

Choice = str | ToolChoice | Raw | None

_WORDS = ("none", "auto", "required")
_OWN = (*NESTED, "allowed_tools")
_FORM = '{"type": "function", "function": {"name": ...}}'


class _Kind(msgspec.Struct, frozen=True):
    type: str


_KIND = msgspec.json.Decoder(_Kind)
_WORD = msgspec.json.Decoder(str)
_READER: Reader[ToolChoice] = Reader(ToolChoice)
_NAMED: Reader[NamedTool] = Reader(NamedTool)


def read_choice(raw: Raw, unknown: dict[str, Raw]) -> Choice:
    """Return `tool_choice`, one of a hosted tool as it is; unknown keys go to `unknown`. Raises InvalidRequest."""
    if not is_given(raw):
        return None
    if bytes(memoryview(raw)[:1]) != b"{":
        word: str = decode_body(_WORD, raw, "tool_choice")
        return word
    if decode_body(_KIND, raw, "tool_choice").type not in _OWN:
        return raw
    choice, more = _READER.read(raw, "tool_choice")
    unknown.update(more)
    return choice


def to_tool_choice(
    chat: ChatRequest, choice: Choice, params: Sequence[ToolParam], profile: Profile
) -> ToolChoiceParam | UnsetType:
    """Return `tool_choice` in Responses form. Raises InvalidRequest."""
    if chat.function_call and chat.functions:
        return _legacy(chat.function_call)
    if choice is None:
        only_search = len(params) == 1 and isinstance(params[0], WebSearchTool)
        return "required" if only_search and profile.force_search else UNSET
    if not params and choice != "none":
        raise InvalidRequest("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    if isinstance(choice, str):
        return _word(choice, "tool_choice", _WORDS)
    if isinstance(choice, ToolChoice):
        return _object(choice)
    return _hosted(choice, profile)


def _word(choice: str, where: str, words: Sequence[str]) -> str:
    if choice not in words:
        raise unexpected(choice, where, words)
    return choice


def _legacy(choice: str | ToolName) -> ToolChoiceParam:
    if isinstance(choice, ToolName):
        return ToolRef(type="function", name=choice.name)
    return _word(choice, "function_call", _WORDS[:2])


def _object(choice: ToolChoice) -> ToolChoiceParam:
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        return _allowed(choice.allowed_tools)
    return _ref(choice.type, choice.function, choice.custom)


def _allowed(allowed: AllowedTools) -> AllowedToolsChoice:
    tools: list[ToolRef | Raw] = []
    for index, raw in enumerate(allowed.tools):
        where = f"tool_choice.allowed_tools.tools[{index}]"
        if decode_body(_KIND, raw, where).type not in _OWN:
            tools.append(raw)
            continue
        named, _ = _NAMED.read(raw, where)
        tools.append(_ref(named.type, named.function, named.custom))
    return AllowedToolsChoice(mode=allowed.mode, tools=tools)


def _ref(type_: str, function: ToolName | None, custom: ToolName | None) -> ToolRef:
    named = {"function": function, "custom": custom}.get(type_)
    if named is None:
        message = f"Invalid 'tool_choice': a tool is named as {_FORM}."
        raise InvalidRequest(message, "tool_choice", "invalid_value")
    return ToolRef(type=type_, name=named.name)


def _hosted(raw: Raw, profile: Profile) -> Raw:
    type_ = decode_body(_KIND, raw, "tool_choice").type
    if not any(fnmatchcase(type_, pattern) for pattern in profile.hosted_tools):
        raise unexpected(type_, "tool_choice.type", (*_OWN, *profile.hosted_tools))
    return raw
