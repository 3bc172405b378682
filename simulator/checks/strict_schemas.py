"""Strict JSON schemas: what is wrong with one, and how a schema is made strict where nobody said whether it is.

docs/mapping.md#function-tools: on Responses a function without `strict` is tried as strict, with its schema normalised;
one that cannot be normalised stays as it is and is not strict.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.wire.json import Json

_FORBIDDEN = (
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
)
_DEPTH_LIMIT = 24
_OBJECT_ROOT = "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{type}\"'."


# The JSON type of each keyword that is read, and its name in a refusal.
_KEYWORDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "type": ((str, list), "'string', 'array'"),
    "properties": ((dict,), "'object'"),
    "$defs": ((dict,), "'object'"),
    "definitions": ((dict,), "'object'"),
    "items": ((dict, bool), "'object', 'boolean'"),
    "required": ((list,), "'array'"),
    "enum": ((list,), "'array'"),
    "anyOf": ((list,), "'array'"),
    "oneOf": ((list,), "'array'"),
    "allOf": ((list,), "'array'"),
    "$ref": ((str,), "'string'"),
    "format": ((str,), "'string'"),
    "minimum": ((int, float), "'number'"),
    "maximum": ((int, float), "'number'"),
    "minItems": ((int,), "'integer'"),
}


def schema_fault(schema: Json) -> str | None:
    """What is wrong with a schema, whether it is strict or not; null when nothing is."""
    return _root_fault(schema) or next(filter(None, (_form_fault(node) for _, node in _nodes(schema, (), 0))), None)


def _form_fault(node: Any) -> str | None:
    if not isinstance(node, dict | bool):
        return f"{node!r} is not of type 'object', 'boolean'"
    for keyword, (types, words) in _KEYWORDS.items():
        if isinstance(node, dict) and keyword in node and not isinstance(node[keyword], types):
            return f"{node[keyword]!r} is not of type {words}"
    return None


def _root_fault(schema: Json) -> str | None:
    type = schema.get("type")
    if type == "object" or (type is None and "$ref" in schema):
        return None
    return _OBJECT_ROOT.format(type=type)


def strict_fault(schema: Json) -> str | None:
    """The first strict rule that a schema breaks, in OpenAI's words; null when it keeps them all."""
    for path, node in _nodes(schema, (), 0):
        fault = _node_fault(node) if isinstance(node, dict) else None
        if fault is not None:
            return f"In context={path!r}, {fault}"
    return None


def _node_fault(node: Json) -> str | None:
    forbidden = next((key for key in _FORBIDDEN if key in node), None)
    if forbidden is not None:
        return f"'{forbidden}' is not permitted."
    if not any(key in node for key in ("type", "$ref", "anyOf", "enum", "const")):
        return "schema must have a 'type' key."
    if not _is_object(node):
        return None
    if node.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    missing = [name for name in node.get("properties", {}) if name not in node.get("required", ())]
    if missing:
        return (
            "'required' is required to be supplied and to be an array including every key in properties. "
            f"Missing '{missing[0]}'."
        )
    return None


def _is_object(node: Json) -> bool:
    type = node.get("type")
    return type == "object" or (isinstance(type, list) and "object" in type)


def _nodes(schema: Any, path: tuple[str, ...], depth: int) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every schema in a schema, parents first; what is no schema at all is among them."""
    yield path, schema
    if not isinstance(schema, dict) or depth > _DEPTH_LIMIT:
        return
    for key, inner in _children(schema):
        yield from _nodes(inner, (*path, *key), depth + 1)


def _children(schema: Json) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key in ("properties", "$defs", "definitions"):
        if isinstance(schema.get(key), dict):
            yield from (((key, name), inner) for name, inner in schema[key].items())
    if "items" in schema:
        yield ("items",), schema["items"]
    if isinstance(schema.get("anyOf"), list):
        yield from ((("anyOf", str(position)), inner) for position, inner in enumerate(schema["anyOf"]))


def effective(tool: Json) -> tuple[bool, Json]:
    """Whether a function tool is strict, and the schema in force: normalised where `strict` was left open."""
    parameters = tool.get("parameters") or {"type": "object", "properties": {}}
    if tool.get("strict") is not None:
        return bool(tool["strict"]), parameters
    normalised = _normalised(parameters, 0)
    if strict_fault(normalised) is None:
        return True, normalised
    return False, parameters


def _normalised(schema: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEPTH_LIMIT:
        return schema
    copy = dict(schema)
    for key in ("properties", "$defs", "definitions"):
        if isinstance(copy.get(key), dict):
            copy[key] = {name: _normalised(inner, depth + 1) for name, inner in copy[key].items()}
    if "items" in copy:
        copy["items"] = _normalised(copy["items"], depth + 1)
    if isinstance(copy.get("anyOf"), list):
        copy["anyOf"] = [_normalised(inner, depth + 1) for inner in copy["anyOf"]]
    # A map of free keys cannot be closed: it stays open, and the schema as a whole not strict.
    if _is_object(copy) and copy.get("additionalProperties") in (None, False):
        copy["additionalProperties"] = False
        copy["required"] = list(copy.get("properties", {}))
    return copy
