"""Input items: their check against the tables, and their one normal form."""

from collections.abc import Callable
from typing import Any

from simulator.checks.content_parts import INPUT_PARTS, PARTS_OF_ROLE, check_part
from simulator.checks.fields import OBJECT, check_fields, check_kind, is_one_of
from simulator.checks.item_fields import ID_PREFIXES, ITEM_FIELDS
from simulator.rules.book import invalid_value, refuse
from simulator.wire.ids import new_id
from simulator.wire.json import Json

MESSAGE_ROLES = ("assistant", "system", "developer", "user")
ITEM_TYPES = tuple(ITEM_FIELDS)


def to_items(value: str | list[Any], param: str = "input") -> list[Json]:
    """The input as checked items, each with a type, an id of its own and content as parts.

    Raises the 400 that OpenAI gives for the first item that is wrong (docs/mapping.md#messages,
    #what-an-upstream-keeps).
    """
    if isinstance(value, str):
        return [_message({"role": "user", "content": value}, f"{param}[0]")]
    items = [_to_item(item, f"{param}[{position}]") for position, item in enumerate(value)]
    for position, item in enumerate(items[:-1]):
        if item["type"] == "compaction_trigger":
            raise refuse("trigger_last", param=f"{param}[{position}]")
    return items


def _to_item(item: Any, param: str) -> Json:
    check_kind(item, param, OBJECT)
    type = item.get("type") or ("message" if "role" in item else "item_reference" if "id" in item else None)
    if type is None:
        raise refuse("missing_parameter", param=f"{param}.type")
    if not is_one_of(type, ITEM_FIELDS):
        raise invalid_value(f"{param}.type", type, ITEM_TYPES)
    check_fields(item, ITEM_FIELDS[type], f"{param}.")
    _check_ids(item, type, param)
    return _NORMAL_FORMS.get(type, _as_it_is)({**item, "type": type}, param)


def _check_ids(item: Json, type: str, param: str) -> None:
    if item.get("call_id") == "":
        raise refuse("empty_string", param=f"{param}.call_id")
    prefix = ID_PREFIXES.get(type)
    id = item.get("id")
    if prefix is not None and id is not None and not id.startswith(prefix):
        raise refuse("id_prefix", param=f"{param}.id", id=id, prefix=prefix)


def _message(item: Json, param: str) -> Json:
    role = item["role"]
    if role not in PARTS_OF_ROLE:
        raise invalid_value(f"{param}.role", role, MESSAGE_ROLES)
    content = item["content"]
    if isinstance(content, str):
        kind = "output_text" if role == "assistant" else "input_text"
        content = [{"type": kind, "text": content}]
    for position, part in enumerate(content):
        check_part(part, PARTS_OF_ROLE[role], f"{param}.content[{position}]")
    return {"id": new_id("msg"), "type": "message", "status": "completed", **_given(item), "content": content}


def _output(item: Json, param: str) -> Json:
    output = item["output"]
    if isinstance(output, list):
        for position, part in enumerate(output):
            check_part(part, INPUT_PARTS, f"{param}.output[{position}]")
    return {"id": new_id(ID_PREFIXES[item["type"]]), "status": "completed", **_given(item)}


def _as_it_is(item: Json, param: str) -> Json:
    return {"id": new_id(ID_PREFIXES.get(item["type"], "item")), **_given(item)}


def _given(item: Json) -> Json:
    return {name: value for name, value in item.items() if value is not None}


_NORMAL_FORMS: dict[str, Callable[[Json, str], Json]] = {
    "message": _message,
    "function_call_output": _output,
    "custom_tool_call_output": _output,
}
