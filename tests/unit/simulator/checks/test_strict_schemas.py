import pytest

from simulator.checks.strict_schemas import effective, schema_fault, strict_fault
from simulator.wire.json import Json

STRICT: Json = {
    "type": "object",
    "properties": {"a": {"type": ["string", "null"]}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        (STRICT, None),
        ({**STRICT, "required": []}, "Missing 'a'."),
        ({**STRICT, "additionalProperties": True}, "'additionalProperties' is required to be supplied"),
        ({**STRICT, "properties": {"a": {}}}, "schema must have a 'type' key."),
        ({**STRICT, "allOf": []}, "'allOf' is not permitted."),
        ({**STRICT, "properties": {"a": {"type": "object"}}}, "In context=('properties', 'a')"),
        ({**STRICT, "$defs": {"b": {"type": "object"}}}, "In context=('$defs', 'b')"),
        ({**STRICT, "properties": {"a": {"type": "array", "items": {}}}}, "In context=('properties', 'a', 'items')"),
    ],
)
def test_strict_rules(schema: Json, fault: str | None) -> None:
    found = strict_fault(schema)
    assert (found is None) if fault is None else fault in str(found)


def test_the_root_must_be_an_object() -> None:
    assert schema_fault({"type": "object"}) is None
    assert (
        schema_fault({"type": "array"}) == "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'."
    )
    assert schema_fault({}) is not None


@pytest.mark.parametrize("broken", [{"properties": None}, {"required": "a"}, {"properties": {"a": 1}}])
def test_a_schema_must_have_a_schemas_form(broken: Json) -> None:
    assert "is not of type" in str(schema_fault({"type": "object", **broken}))


def test_an_open_strict_closes_what_can_be_closed() -> None:
    inner: Json = {"type": "object", "properties": {"b": {"type": "string"}}}
    strict, schema = effective({"parameters": {"type": "object", "properties": {"a": inner}}})
    assert strict and schema["required"] == ["a"]
    assert schema["properties"]["a"]["required"] == ["b"]


def test_a_map_of_free_keys_is_not_made_strict() -> None:
    free: Json = {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}
    assert effective({"parameters": free}) == (False, free)
    assert effective({"parameters": STRICT, "strict": False}) == (False, STRICT)
