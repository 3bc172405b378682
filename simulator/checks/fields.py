"""The JSON kinds a field may have, and the refusals of one that has another: shared by every table of fields."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.rules.book import invalid_value, refuse
from simulator.wire.json import Json


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
STRINGS_OR_OBJECT = Kind("one of an array of strings or object", (list, dict))
ANY = Kind("any value", (str, int, float, bool, dict, list))

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
    """One known field. `fields` are the known fields of an object, null meaning any; `values` the only ones allowed."""

    kind: Kind
    nullable: bool = False
    required: bool = False
    fields: "Mapping[str, Field] | None" = None
    values: tuple[str, ...] | None = None
    max_length: int | None = None


def check_kind(value: Any, param: str, kind: Kind) -> None:
    # The exact type, as a boolean is an int to isinstance.
    if type(value) not in kind.types:
        raise refuse("invalid_type", param=param, expected=kind.expected, got=name_of(value))


def name_of(value: Any) -> str:
    """How a refusal calls the JSON type of a value."""
    return _NAMES[type(value)]


def is_one_of(value: Any, names: Container[str]) -> bool:
    """Whether a value of any JSON type is one of these names."""
    return isinstance(value, str) and value in names


def check_fields(values: Json, table: Mapping[str, Field], prefix: str = "") -> None:
    """Refuse what the table does not know, what has another kind or value, and what is missing, in that order."""
    for name, value in values.items():
        known = table.get(name)
        if known is None:
            raise refuse("unknown_parameter", param=prefix + name)
        if value is not None or not known.nullable:
            _check_field(value, prefix + name, known)
    for name, known in table.items():
        if known.required and name not in values:
            raise refuse("missing_parameter", param=prefix + name)


def _check_field(value: Any, param: str, known: Field) -> None:
    check_kind(value, param, known.kind)
    if isinstance(value, str):
        if known.values is not None and value not in known.values:
            raise invalid_value(param, value, known.values)
        check_length(value, param, known.max_length)
    elif known.fields is not None and isinstance(value, dict):
        check_fields(value, known.fields, f"{param}.")


def check_length(value: str, param: str, limit: int | None) -> None:
    if limit is not None and len(value) > limit:
        raise refuse("string_too_long", param=param, limit=limit, length=len(value))
