"""Input items: which types exist, which keys and content parts each takes, and their one normal form.

Items whose keys have no row in `ITEM_KEYS` yet are known by type only and pass as they are.
"""

from collections.abc import Callable
from typing import Any

from deploy.local.simulator import errors
from deploy.local.simulator.ids import new_id
from deploy.local.simulator.kinds import ARRAY, OBJECT, STRING, STRING_OR_ARRAY, check_kind
from deploy.local.simulator.wire import Json

MESSAGE_ROLES = ("assistant", "system", "developer", "user")
CALL_ID_MAX = 64

# The prefix an item's own id must begin with (translation reference A.2).
ID_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fc",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctc",
    "reasoning": "rs",
}
ITEM_KEYS: dict[str, frozenset[str]] = {
    "message": frozenset({"type", "role", "content", "id", "status", "phase"}),
    "function_call": frozenset(
        {"type", "id", "call_id", "name", "arguments", "status", "namespace", "async", "caller"}
    ),
    "function_call_output": frozenset({"type", "id", "call_id", "output", "status", "name", "namespace", "caller"}),
    "custom_tool_call": frozenset({"type", "id", "call_id", "name", "input", "status", "namespace", "async", "caller"}),
    "custom_tool_call_output": frozenset({"type", "id", "call_id", "output", "caller"}),
    "reasoning": frozenset({"type", "id", "summary", "content", "encrypted_content", "status"}),
    "item_reference": frozenset({"type", "id"}),
}
_REQUIRED_KEYS: dict[str, tuple[str, ...]] = {
    "message": ("content",),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
    "reasoning": ("summary",),
    "item_reference": ("id",),
}
_STRING_KEYS = ("call_id", "name", "arguments", "input", "id", "role")
HOSTED_TYPES = (
    "file_search_call",
    "computer_call",
    "computer_call_output",
    "web_search_call",
    "tool_search_call",
    "tool_search_output",
    "additional_tools",
    "configuration_update",
    "compaction",
    "image_generation_call",
    "code_interpreter_call",
    "local_shell_call",
    "local_shell_call_output",
    "shell_call",
    "shell_call_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "compaction_trigger",
    "program",
    "program_output",
)
ITEM_TYPES = (*ITEM_KEYS, *HOSTED_TYPES)

_INPUT_PARTS = ("input_text", "input_image", "input_file")
PARTS_OF_ROLE: dict[str, tuple[str, ...]] = {
    "user": _INPUT_PARTS,
    "system": _INPUT_PARTS,
    "developer": _INPUT_PARTS,
    "assistant": ("output_text", "refusal"),
}
PART_KEYS: dict[str, frozenset[str]] = {
    "input_text": frozenset({"type", "text", "prompt_cache_breakpoint"}),
    "input_image": frozenset({"type", "image_url", "file_id", "detail", "prompt_cache_breakpoint"}),
    "input_file": frozenset(
        {"type", "file_data", "file_id", "file_url", "filename", "detail", "prompt_cache_breakpoint"}
    ),
    "output_text": frozenset({"type", "text", "annotations", "logprobs"}),
    "refusal": frozenset({"type", "refusal"}),
}
_TEXT_KEY = {"input_text": "text", "output_text": "text", "refusal": "refusal"}


def to_items(value: str | list[Any]) -> list[Json]:
    """The input as checked items, each with a type, an id of its own and content as parts.

    Raises the 400 that OpenAI gives for the first item that is wrong (translation reference A.2, E).
    """
    if isinstance(value, str):
        return [_message({"role": "user", "content": value}, "input[0]")]
    return [_to_item(item, f"input[{position}]") for position, item in enumerate(value)]


def _to_item(item: Any, param: str) -> Json:
    check_kind(item, param, OBJECT)
    type = item.get("type") or ("message" if "role" in item else "item_reference" if "id" in item else None)
    if type is None:
        raise errors.missing_parameter(f"{param}.type")
    if type not in ITEM_TYPES:
        raise errors.invalid_value(f"{param}.type", type, ITEM_TYPES)
    _check_keys(item, type, param)
    return _NORMAL_FORMS.get(type, _as_it_is)({**item, "type": type}, param)


def _check_keys(item: Json, type: str, param: str) -> None:
    known = ITEM_KEYS.get(type)
    if known is None:
        return
    for key in item:
        if key not in known:
            raise errors.unknown_parameter(f"{param}.{key}")
    for key in _REQUIRED_KEYS[type]:
        if item.get(key) is None:
            raise errors.missing_parameter(f"{param}.{key}")
    for key in _STRING_KEYS:
        if item.get(key) is not None:
            check_kind(item[key], f"{param}.{key}", STRING)
    _check_ids(item, type, param)


def _check_ids(item: Json, type: str, param: str) -> None:
    call_id = item.get("call_id")
    if call_id is not None and len(call_id) > CALL_ID_MAX:
        raise errors.string_too_long(f"{param}.call_id", CALL_ID_MAX, len(call_id))
    prefix = ID_PREFIXES.get(type)
    id = item.get("id")
    if prefix is not None and id is not None and not id.startswith(prefix):
        message = f"Invalid '{param}.id': '{id}'. Expected an ID that begins with '{prefix}'."
        raise errors.ApiError(message, param=f"{param}.id", code="invalid_value")


def _message(item: Json, param: str) -> Json:
    role = item.get("role")
    if role not in PARTS_OF_ROLE:
        raise errors.invalid_value(f"{param}.role" if role else param, role, MESSAGE_ROLES)
    content = item["content"]
    check_kind(content, f"{param}.content", STRING_OR_ARRAY)
    if isinstance(content, str):
        kind = "output_text" if role == "assistant" else "input_text"
        content = [{"type": kind, "text": content}]
    for position, part in enumerate(content):
        _check_part(part, PARTS_OF_ROLE[role], f"{param}.content[{position}]")
    return {"id": new_id("msg"), "type": "message", "status": "completed", **item, "content": content}


def _output(item: Json, param: str) -> Json:
    output = item["output"]
    check_kind(output, f"{param}.output", STRING_OR_ARRAY)
    if isinstance(output, list):
        for position, part in enumerate(output):
            _check_part(part, _INPUT_PARTS, f"{param}.output[{position}]")
    return {"id": new_id("fc"), "status": "completed", **item}


def _reasoning(item: Json, param: str) -> Json:
    check_kind(item["summary"], f"{param}.summary", ARRAY)
    return {"id": new_id("rs"), **item}


def _as_it_is(item: Json, param: str) -> Json:
    return {"id": new_id(ID_PREFIXES.get(item["type"], "item")), **item}


def _check_part(part: Any, supported: tuple[str, ...], param: str) -> None:
    check_kind(part, param, OBJECT)
    type = part.get("type")
    if type not in supported:
        raise errors.invalid_value(param, type, supported)
    for key in part:
        if key not in PART_KEYS[type]:
            raise errors.unknown_parameter(f"{param}.{key}")
    if (text_key := _TEXT_KEY.get(type)) is not None:
        if text_key not in part:
            raise errors.missing_parameter(f"{param}.{text_key}")
        check_kind(part[text_key], f"{param}.{text_key}", STRING)


_NORMAL_FORMS: dict[str, Callable[[Json, str], Json]] = {
    "message": _message,
    "function_call_output": _output,
    "custom_tool_call_output": _output,
    "reasoning": _reasoning,
}
