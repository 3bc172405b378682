from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.output.schema_instances import instance

CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "string": ({"type": "string"}, "Paris"),
    "enum": ({"type": "string", "enum": ["a", "b"]}, "a"),
    "const": ({"const": 7}, 7),
    "integer": ({"type": "integer"}, 1),
    "minimum": ({"type": "number", "minimum": 18}, 18),
    "maximum": ({"type": "number", "maximum": 0}, 0),
    "boolean": ({"type": "boolean"}, True),
    "nullable": ({"type": ["null", "integer"]}, 1),
    "array": ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
    "format": ({"type": "string", "format": "date"}, "2026-08-07"),
    "any_of": ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
    "reference": ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, 1),
    "no_type": ({"properties": {"x": {"type": "integer"}}, "required": ["x"]}, {"x": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_each_kind_of_schema_has_its_smallest_instance(name: str) -> None:
    schema, expected = CASES[name]
    assert instance(schema, ["Paris"]) == expected


def test_only_required_properties_appear_and_names_are_dealt_in_order() -> None:
    strings = {name: {"type": "string"} for name in ("origin", "destination", "note")}
    schema = {"type": "object", "properties": strings, "required": ["origin", "destination"]}
    assert instance(schema, ["Rome", "Oslo"]) == {"origin": "Rome", "destination": "Oslo"}
    assert instance(schema, []) == {"origin": "example", "destination": "example"}


def test_a_schema_that_contains_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    depth, value = 0, instance(node, [])
    while value is not None:
        depth, value = depth + 1, value["next"]
    assert 0 < depth < 20


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(json_values, min_size=1))
def test_any_enum_gives_its_first_value(values: list[Any]) -> None:
    assert instance({"enum": values}, []) == values[0]
