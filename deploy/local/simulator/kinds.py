"""The JSON kinds a field may have, and the refusals of one that has another: shared by every table of fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.local.simulator import errors
from deploy.local.simulator.wire import Json


@dataclass(frozen=True)
class Kind:
    """One or several JSON types, and how OpenAI names them in a refusal."""

    expected: str
    types: tuple[type, ...]


STRING = Kind("a string", (str,))
INTEGER = Kind("an integer", (int,))
NUMBER = Kind("a decimal", (int, float))
BOOLEAN = Kind("a boolean", (bool,))
OBJECT = Kind("an object", (dict,))
ARRAY = Kind("an array of objects", (list,))
STRINGS = Kind("an array of strings", (list,))
STRING_OR_ARRAY = Kind("one of an array of objects or string", (str, list))
STRING_OR_OBJECT = Kind("one of an object or string", (str, dict))

_NAMES: dict[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a decimal",
    bool: "a boolean",
    dict: "an object",
    list: "an array",
    type(None): "null",
}


@dataclass(frozen=True)
class Field:
    """One known field; `fields` are the known fields of an object, null meaning any."""

    kind: Kind
    nullable: bool = False
    required: bool = False
    fields: "Mapping[str, Field] | None" = None


def check_kind(value: Any, param: str, kind: Kind) -> None:
    # The exact type, as a boolean is an int to isinstance.
    if type(value) not in kind.types:
        raise errors.invalid_type(param, kind.expected, _NAMES[type(value)])


def check_fields(values: Json, table: Mapping[str, Field], prefix: str = "") -> None:
    """Refuse what the table does not know, what has another kind, and what is missing, in that order."""
    for name, value in values.items():
        known = table.get(name)
        if known is None:
            raise errors.unknown_parameter(prefix + name)
        if value is None and known.nullable:
            continue
        check_kind(value, prefix + name, known.kind)
        if known.fields is not None and isinstance(value, dict):
            check_fields(value, known.fields, f"{prefix}{name}.")
    for name, known in table.items():
        if known.required and name not in values:
            raise errors.missing_parameter(prefix + name)
