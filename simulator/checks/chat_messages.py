"""Messages of a native chat request: their check, and the input items that say the same (docs/mapping.md#messages)."""

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.checks.fields import ARRAY, OBJECT, STRING, STRING_OR_ARRAY, Field, check_fields, check_kind
from simulator.rules.book import invalid_value, refuse
from simulator.wire.json import Json

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_TEXT = {"type": Field(STRING), "text": Field(STRING, required=True)}
_IMAGE = {"url": Field(STRING, required=True), "detail": Field(STRING)}
_FILE = {
    "file_id": Field(STRING, nullable=True),
    "file_data": Field(STRING, nullable=True),
    "filename": Field(STRING, nullable=True),
}
_AUDIO = {"data": Field(STRING, required=True), "format": Field(STRING, required=True)}
_BREAKPOINT = {"prompt_cache_breakpoint": Field(OBJECT, nullable=True)}
_PARTS: Mapping[str, Mapping[str, Field]] = {
    "text": {**_TEXT, **_BREAKPOINT},
    "refusal": {"type": Field(STRING), "refusal": Field(STRING, required=True)},
    "image_url": {"type": Field(STRING), "image_url": Field(OBJECT, required=True, fields=_IMAGE), **_BREAKPOINT},
    "file": {"type": Field(STRING), "file": Field(OBJECT, required=True, fields=_FILE), **_BREAKPOINT},
    "input_audio": {"type": Field(STRING), "input_audio": Field(OBJECT, required=True, fields=_AUDIO), **_BREAKPOINT},
}
_CALLED: Mapping[str, Mapping[str, Field]] = {
    "function": {"name": Field(STRING, required=True), "arguments": Field(STRING, required=True)},
    "custom": {"name": Field(STRING, required=True), "input": Field(STRING, required=True)},
}


def check_messages(messages: list[Any]) -> None:
    """Raise the 400 for the first message that is malformed, or torn from its tool messages.

    See docs/mapping.md#messages.
    """
    if not messages:
        raise refuse("empty_array", param="messages")
    waiting: dict[str, None] = {}
    asked_at = 0
    for position, message in enumerate(messages):
        check_kind(message, f"messages[{position}]", OBJECT)
        role = message.get("role")
        if role not in _ROLES:
            raise invalid_value(f"messages[{position}].role", role, _ROLES)
        _check_message(message, f"messages[{position}]")
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                raise refuse("chat_orphan_tool", position=position)
            del waiting[message["tool_call_id"]]
            continue
        _check_answered(waiting, asked_at)
        waiting = {call["id"]: None for call in message.get("tool_calls") or ()}
        asked_at = position
    _check_answered(waiting, asked_at)


def _check_answered(waiting: Mapping[str, None], asked_at: int) -> None:
    if waiting:
        raise refuse("chat_missing_tool", position=asked_at, call_ids=", ".join(waiting))


def _check_message(message: Json, param: str) -> None:
    content = message.get("content")
    if content is not None:
        check_kind(content, f"{param}.content", STRING_OR_ARRAY)
    for position, part in enumerate(content if isinstance(content, list) else ()):
        _check_part(part, f"{param}.content[{position}]")
    if message.get("tool_call_id") is not None:
        check_kind(message["tool_call_id"], f"{param}.tool_call_id", STRING)
    calls = message.get("tool_calls")
    if calls is not None:
        check_kind(calls, f"{param}.tool_calls", ARRAY)
    for position, call in enumerate(calls or ()):
        _check_call(call, f"{param}.tool_calls[{position}]")


def _check_part(part: Any, param: str) -> None:
    check_kind(part, param, OBJECT)
    if not isinstance(type := part.get("type"), str) or type not in _PARTS:
        raise invalid_value(f"{param}.type", type, _PARTS)
    check_fields(part, _PARTS[type], f"{param}.")


def _check_call(call: Any, param: str) -> None:
    check_kind(call, param, OBJECT)
    if "id" not in call:
        raise refuse("missing_parameter", param=f"{param}.id")
    check_kind(call["id"], f"{param}.id", STRING)
    key = "custom" if call.get("type") == "custom" else "function"
    if key not in call:
        raise refuse("missing_parameter", param=f"{param}.{key}")
    check_kind(call[key], f"{param}.{key}", OBJECT)
    for name, field in _CALLED[key].items():
        if name not in call[key]:
            raise refuse("missing_parameter", param=f"{param}.{key}.{name}")
        check_kind(call[key][name], f"{param}.{key}.{name}", field.kind)


def items_of(message: Json) -> Iterator[Json]:
    """The input items that say the same as one checked message."""
    role = message.get("role")
    text = text_of(message.get("content"))
    if role in ("tool", "function"):
        call_id = message.get("tool_call_id") or f"call_{message.get('name')}"
        yield {"type": "function_call_output", "call_id": call_id[:64], "output": text}
        return
    if role != "assistant":
        yield {"role": role, "content": _parts_of(message.get("content"))}
        return
    if text:
        yield {"role": role, "content": text}
    for call in message.get("tool_calls") or ():
        inner = call.get("function") or call.get("custom")
        arguments = inner.get("arguments", inner.get("input", ""))
        yield {"type": "function_call", "call_id": call["id"][:64], "name": inner["name"], "arguments": arguments}


def _parts_of(content: Any) -> str | list[Json]:
    if not isinstance(content, list):
        return content or ""
    return [made for part in content if (made := _part_of(part)) is not None]


def _part_of(part: Json) -> Json | None:
    type = part.get("type")
    if type == "image_url":
        return {"type": "input_image", "image_url": part["image_url"]["url"]}
    if type == "file":
        return {"type": "input_file", **part["file"]}
    return {"type": "input_text", "text": part["text"]} if "text" in part else None


_TEXT_KEYS = ("text", "refusal")


def text_of(content: Any) -> str:
    """The text of a message's content in any form."""
    if isinstance(content, list):
        return "".join(part[key] for part in content for key in _TEXT_KEYS if isinstance(part.get(key), str))
    return content or ""
