"""Chat messages to input items (translation reference A.2).

Each item remembers the message it came from, so that an upstream's complaint about `input[4]` can
name the right message, and so that a continued conversation can send the newest messages alone.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec

from libs.schemas.chat import ContentPart, Message, ToolCall
from libs.schemas.responses import (
    FunctionCallIn,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputItem,
    InputMessage,
    InputPart,
    InputText,
    OutputTextIn,
    RefusalIn,
)
from libs.translate.errors import InvalidRequest
from libs.translate.tools import is_given

INSTRUCTION_SEPARATOR = "\n\n"
_HOISTED_ROLES = ("system", "developer")
_ROLES = ("system", "developer", "user", "assistant", "tool")
_DETAIL = "auto"
_MAX_CALL_ID = 64  # characters; chat has no limit


class Input(msgspec.Struct):
    """The translated history: `sources[k]` is the index of the message that `items[k]` came from."""

    instructions: str | None = None
    hoisted: int = 0  # messages that became `instructions`
    items: list[InputItem] = []
    sources: list[int] = []
    dropped: list[str] = []


def to_input(messages: Sequence[Message], *, needs_json: bool = False) -> Input:
    """Translate a history. Raises InvalidRequest, in chat terms, for what chat itself refuses.

    `needs_json` says that the word must stand in the input itself (A.2.3).
    """
    if not messages:
        raise InvalidRequest(
            "Invalid 'messages': empty array. Expected at least one message.", "messages", "empty_array"
        )
    _check_pairing(messages)
    made = Input()
    made.hoisted = _leading_run(messages, needs_json=needs_json)
    if made.hoisted:
        texts = (plain_text(message.content) for message in messages[: made.hoisted])
        made.instructions = INSTRUCTION_SEPARATOR.join(texts)
    for index, message in enumerate(_with_upstream_ids(messages)):
        if message.name is not None and message.role != "tool":
            made.dropped.append(f"messages[{index}].name")  # Responses knows no name on messages
        if index < made.hoisted:
            _check_parts(message, f"messages[{index}]")
            continue
        items = _BY_ROLE[_role(message, index)](message, f"messages[{index}]")
        made.items += items
        made.sources += [index] * len(items)
    return made


def plain_text(content: str | list[ContentPart] | None) -> str:
    """Return the text of a message's content, parts joined with nothing between them."""
    if isinstance(content, list):
        return "".join(part.text or "" for part in content)
    return content or ""


def _role(message: Message, index: int) -> str:
    if message.role not in _BY_ROLE:
        supported = ", ".join(f"'{role}'" for role in _ROLES)
        raise InvalidRequest(
            f"Invalid value: '{message.role}'. Supported values are: {supported}.",
            f"messages[{index}].role",
            "invalid_value",
        )
    return message.role


def _leading_run(messages: Sequence[Message], *, needs_json: bool) -> int:
    """Count the leading messages of one role that become `instructions` (A.2.3).

    None do when what would be left for `input` is nothing, or lacks a word that it needs.
    """
    role = messages[0].role
    if role not in _HOISTED_ROLES:
        return 0
    run = next((index for index, message in enumerate(messages) if message.role != role), len(messages))
    rest = messages[run:]
    if needs_json and not any("json" in plain_text(message.content).lower() for message in rest):
        return 0
    return run if rest else 0


def _with_upstream_ids(messages: Sequence[Message]) -> list[Message]:
    """Give calls and their results ids that are short enough, and that no other turn has (A.2.1).

    Chat pairs results with the calls before them; Responses pairs by id over the whole input.
    """
    made: list[Message] = []
    turns = Counter[str]()  # how many turns had a call of this id
    ids: dict[str, str] = {}
    for message in messages:
        if message.role == "assistant" and message.tool_calls:
            ids = {call.id: _upstream_id(call.id, turns[call.id]) for call in message.tool_calls}
            turns.update(ids.keys())
            calls = [msgspec.structs.replace(call, id=ids[call.id]) for call in message.tool_calls]
            message = msgspec.structs.replace(message, tool_calls=calls)
        elif message.role == "tool" and message.tool_call_id is not None:
            message = msgspec.structs.replace(message, tool_call_id=ids[message.tool_call_id])
        made.append(message)
    return made


def _upstream_id(call_id: str, turn: int) -> str:
    if turn == 0 and len(call_id) <= _MAX_CALL_ID:
        return call_id
    return "call_" + sha256(f"{turn}:{call_id}".encode()).hexdigest()[: _MAX_CALL_ID - len("call_")]


# -- items by role ----------------------------------------------------------------------------------


def _system(message: Message, where: str) -> list[InputItem]:
    _check_parts(message, where)
    return [_message(message.role, _input_content(message, where))]


def _user(message: Message, where: str) -> list[InputItem]:
    _check_parts(message, where)
    if message.content is None:
        raise InvalidRequest(
            f"Missing required parameter: '{where}.content'.", f"{where}.content", "missing_required_parameter"
        )
    return [_message("user", _input_content(message, where))]


def _assistant(message: Message, where: str) -> list[InputItem]:
    _check_parts(message, where)
    for name, raw in (("audio", message.audio), ("function_call", message.function_call)):
        if is_given(raw):
            raise InvalidRequest(
                f"Unsupported parameter: '{where}.{name}'.", f"{where}.{name}", "unsupported_parameter"
            )
    items: list[InputItem] = []
    parts = _assistant_parts(message)
    if parts:
        items.append(_message("assistant", parts))
    for index, call in enumerate(message.tool_calls or ()):
        items.append(_function_call(call, f"{where}.tool_calls[{index}]"))
    return items


def _tool(message: Message, where: str) -> list[InputItem]:
    _check_parts(message, where)
    return [FunctionCallOutput(call_id=message.tool_call_id or "", output=plain_text(message.content))]


_BY_ROLE: dict[str, Callable[[Message, str], list[InputItem]]] = {
    "system": _system,
    "developer": _system,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
}


def _message(role: str, content: str | list[InputPart]) -> InputItem:
    return InputMessage(role=role, content=content)


def _input_content(message: Message, where: str) -> str | list[InputPart]:
    if not isinstance(message.content, list):
        return message.content or ""
    return [_input_part(part, f"{where}.content[{index}]") for index, part in enumerate(message.content)]


def _assistant_parts(message: Message) -> list[InputPart]:
    content = message.content if isinstance(message.content, list) else [ContentPart("text", text=message.content)]
    parts = [_assistant_part(part) for part in content if part.text or part.refusal]
    if message.refusal:
        parts.append(RefusalIn(refusal=message.refusal))
    return parts


def _assistant_part(part: ContentPart) -> InputPart:
    return RefusalIn(refusal=part.refusal or "") if part.type == "refusal" else OutputTextIn(text=part.text or "")


def _function_call(call: ToolCall, where: str) -> InputItem:
    if call.type not in (None, "function"):
        raise InvalidRequest(
            f"Invalid value: '{call.type}'. Supported values are: 'function'.", f"{where}.type", "invalid_value"
        )
    if call.function is None:
        raise InvalidRequest(
            f"Missing required parameter: '{where}.function'.", f"{where}.function", "missing_required_parameter"
        )
    return FunctionCallIn(call_id=call.id, name=call.function.name, arguments=call.function.arguments)


# -- content parts ----------------------------------------------------------------------------------


def _text_part(part: ContentPart, where: str) -> InputPart:
    return InputText(text=part.text or "")


def _image_part(part: ContentPart, where: str) -> InputPart:
    image = part.image_url
    if image is None:
        raise InvalidRequest(
            f"Missing required parameter: '{where}.image_url'.", f"{where}.image_url", "missing_required_parameter"
        )
    if isinstance(image, str):  # a common slip that is clear enough to accept
        return InputImage(image_url=image, detail=_DETAIL)
    return InputImage(image_url=image.url, detail=image.detail or _DETAIL)


def _file_part(part: ContentPart, where: str) -> InputPart:
    file = part.file
    if file is None or (file.file_id is None and file.file_data is None):
        raise InvalidRequest(
            f"Missing required parameter: '{where}.file'.", f"{where}.file", "missing_required_parameter"
        )
    name = file.filename or ("file" if file.file_data is not None else None)
    return InputFile(file_id=file.file_id, file_data=file.file_data, filename=name)


_PARTS: dict[str, Callable[[ContentPart, str], InputPart]] = {
    "text": _text_part,
    "image_url": _image_part,
    "file": _file_part,
}
# What each role's content may hold (A.2.2, "Part-type/role rules").
_ALLOWED_PARTS: dict[str, tuple[str, ...]] = {
    "system": ("text",),
    "developer": ("text",),
    "user": ("text", "image_url", "file"),
    "assistant": ("text", "refusal"),
    "tool": ("text",),
}
_NEVER_EMPTY = ("system", "developer", "user")  # clients send the others with [] for nothing


def _input_part(part: ContentPart, where: str) -> InputPart:
    return _PARTS[part.type](part, where)


def _check_parts(message: Message, where: str) -> None:
    if not isinstance(message.content, list):
        return
    allowed = _ALLOWED_PARTS[message.role]
    if not message.content and message.role in _NEVER_EMPTY:
        raise InvalidRequest(
            f"Invalid '{where}.content': empty array. Expected at least one part.", f"{where}.content", "empty_array"
        )
    for index, part in enumerate(message.content):
        if part.type not in allowed:
            supported = ", ".join(f"'{type_}'" for type_ in allowed)
            raise InvalidRequest(
                f"Invalid value: '{part.type}'. Supported values are: {supported}.",
                f"{where}.content[{index}].type",
                "invalid_value",
            )
        if part.type == "text" and part.text is None:
            path = f"{where}.content[{index}].text"
            raise InvalidRequest(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")


# -- pairing ----------------------------------------------------------------------------------------


def _check_pairing(messages: Sequence[Message]) -> None:
    """Every call is answered by the tool messages that follow it, and every answer has its call."""
    caller, open_ids = 0, set[str]()
    known_ids = set[str]()
    for index, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in known_ids:
                raise InvalidRequest(
                    "Invalid parameter: a message with role 'tool' must answer a preceding message with 'tool_calls'.",
                    f"messages[{index}].tool_call_id" if known_ids else f"messages[{index}].role",
                )
            open_ids.discard(message.tool_call_id or "")
            continue
        _check_answered(open_ids, caller)
        ids = [call.id for call in message.tool_calls or ()] if message.role == "assistant" else []
        caller, open_ids, known_ids = index, set(ids), set(ids)
    _check_answered(open_ids, caller)


def _check_answered(open_ids: set[str], caller: int) -> None:
    if open_ids:
        raise InvalidRequest(
            "An assistant message with 'tool_calls' must be followed by tool messages that answer each "
            f"'tool_call_id'. These have no answer: {', '.join(sorted(open_ids))}",
            f"messages[{caller}].tool_calls",
        )
