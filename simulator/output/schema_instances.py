"""An instance of a JSON schema: the smallest one that a reader finds sensible, with names from the user's text."""

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

from simulator.wire.json import Json

_DEPTH_LIMIT = 16
_FORMATS = {
    "date": "2026-08-07",
    "date-time": "2026-08-07T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000001",
}


def instance(schema: Json, names: list[str]) -> Any:
    """A value that the schema accepts: required properties only, the first enum value, `names` for free strings."""
    return _Synthesis(schema, names).value(schema, 0)


class _Synthesis:
    def __init__(self, root: Json, names: list[str]) -> None:
        self._root = root
        # The last name serves every further string; a text without names gives "example".
        self._names: Iterator[str] = chain(names, repeat(names[-1] if names else "example"))
        self._makers: dict[str, Callable[[Json, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "number": self._number,
            "integer": self._number,
            "boolean": lambda schema, depth: True,
            "null": lambda schema, depth: None,
        }

    def value(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict) or depth > _DEPTH_LIMIT:
            return None
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        if "$ref" in schema:
            return self.value(self._resolved(schema["$ref"]), depth + 1)
        for key in ("anyOf", "oneOf", "allOf"):
            if schema.get(key):
                return self.value(_first_real(schema[key]), depth + 1)
        return self._makers[_type_of(schema)](schema, depth)

    def _resolved(self, reference: str) -> Any:
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = found.get(step) if isinstance(found, dict) else None
        return found

    def _object(self, schema: Json, depth: int) -> Json:
        properties = schema.get("properties", {})
        return {name: self.value(properties.get(name, {}), depth + 1) for name in schema.get("required", ())}

    def _array(self, schema: Json, depth: int) -> list[Any]:
        return [self.value(schema.get("items", {}), depth + 1) for _ in range(max(1, schema.get("minItems", 1)))]

    def _string(self, schema: Json, depth: int) -> str:
        return _FORMATS.get(schema.get("format", "")) or next(self._names)

    def _number(self, schema: Json, depth: int) -> float:
        lowest: float = schema.get("minimum", 1)
        highest: float = schema.get("maximum", max(1, lowest))
        return min(max(1, lowest), highest)


def _first_real(choices: list[Any]) -> Any:
    return next((choice for choice in choices if choice != {"type": "null"}), choices[0])


def _type_of(schema: Json) -> str:
    declared = schema.get("type")
    if isinstance(declared, list):
        declared = next((name for name in declared if name != "null"), "null")
    if declared in ("object", "array", "string", "number", "integer", "boolean", "null"):
        return str(declared)
    return "object" if "properties" in schema else "array" if "items" in schema else "string"
