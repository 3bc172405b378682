"""The parameters of `POST /v1/responses`: which exist, of what kind, which may be null, within what bounds.

One row per field of the SDK's `ResponseCreateParams` (3.54); null is allowed where its type is optional.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.checks.fields import (
    ARRAY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    OBJECT,
    STRING,
    STRING_OR_ARRAY,
    STRING_OR_OBJECT,
    STRINGS,
    Field,
    check_fields,
    check_kind,
    check_length,
    is_one_of,
)
from simulator.rules.book import invalid_value, refuse
from simulator.wire.json import Json

REASONING = {
    "context": Field(STRING, nullable=True, values=("auto", "current_turn", "all_turns")),
    "effort": Field(STRING, nullable=True),
    "generate_summary": Field(STRING, nullable=True, values=("auto", "concise", "detailed")),
    "mode": Field(STRING, nullable=True),
    "summary": Field(STRING, nullable=True, values=("auto", "concise", "detailed")),
}
TEXT = {"format": Field(OBJECT), "verbosity": Field(STRING, nullable=True)}
FORMATS: Mapping[str, Mapping[str, Field]] = {
    "text": {"type": Field(STRING, required=True)},
    "json_object": {"type": Field(STRING, required=True)},
    "json_schema": {
        "type": Field(STRING, required=True),
        "name": Field(STRING, required=True, max_length=64),
        "schema": Field(OBJECT, required=True),
        "description": Field(STRING),
        "strict": Field(BOOLEAN, nullable=True),
    },
}
_MANAGEMENT = {
    "type": Field(STRING, required=True, values=("compaction",)),
    "compact_threshold": Field(INTEGER, nullable=True),
}
_PROMPT = {
    "id": Field(STRING, required=True),
    "version": Field(STRING, nullable=True),
    "variables": Field(OBJECT, nullable=True),
}
_CACHE_OPTIONS = {
    "mode": Field(STRING),
    "ttl": Field(STRING),
    "prewarm": Field(BOOLEAN),
    "comparison_response_id": Field(STRING, nullable=True),
}

PARAMETERS: dict[str, Field] = {
    "access_programs": Field(OBJECT),
    "background": Field(BOOLEAN, nullable=True),
    "background_options": Field(OBJECT),
    "context_management": Field(ARRAY, nullable=True),
    "conversation": Field(STRING_OR_OBJECT, nullable=True, fields={"id": Field(STRING, required=True)}),
    "image": Field(OBJECT),
    "include": Field(STRINGS, nullable=True),
    "input": Field(STRING_OR_ARRAY),
    "instructions": Field(STRING, nullable=True),
    "max_output_tokens": Field(INTEGER, nullable=True),
    "max_tool_calls": Field(INTEGER, nullable=True),
    "metadata": Field(OBJECT, nullable=True),
    "model": Field(STRING, required=True),
    "moderation": Field(OBJECT, nullable=True),
    "parallel_tool_calls": Field(BOOLEAN, nullable=True),
    "previous_response_id": Field(STRING, nullable=True),
    "prompt": Field(OBJECT, nullable=True, fields=_PROMPT),
    "prompt_cache_key": Field(STRING, nullable=True, max_length=64),
    "prompt_cache_options": Field(OBJECT, fields=_CACHE_OPTIONS),
    "prompt_cache_retention": Field(STRING, nullable=True, values=("in_memory", "24h")),
    "reasoning": Field(OBJECT, nullable=True, fields=REASONING),
    "safety_identifier": Field(STRING, nullable=True, max_length=128),
    "service_tier": Field(
        STRING, nullable=True, values=("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
    ),
    "store": Field(BOOLEAN, nullable=True),
    "stream": Field(BOOLEAN, nullable=True),
    "stream_options": Field(OBJECT, nullable=True, fields={"include_obfuscation": Field(BOOLEAN, nullable=True)}),
    "temperature": Field(NUMBER, nullable=True),
    "text": Field(OBJECT, fields=TEXT),
    "tool_choice": Field(STRING_OR_OBJECT),
    "tools": Field(ARRAY),
    "top_logprobs": Field(INTEGER, nullable=True),
    "top_p": Field(NUMBER, nullable=True),
    "truncation": Field(STRING, nullable=True, values=("auto", "disabled")),
    "user": Field(STRING),
}

INCLUDABLE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)
_METADATA_PAIRS = 16
_METADATA_KEY = 64
_METADATA_VALUE = 512


@dataclass(frozen=True)
class Bounds:
    kind: str
    low: float | None = None
    high: float | None = None


BOUNDS: dict[str, Bounds] = {
    "max_output_tokens": Bounds("integer", low=16),
    "max_tool_calls": Bounds("integer", low=1),
    "temperature": Bounds("decimal", low=0, high=2),
    "top_logprobs": Bounds("integer", low=0, high=20),
    "top_p": Bounds("decimal", low=0, high=1),
}


def check_parameters(body: Json) -> None:
    """Raise the 400 that OpenAI gives for the first thing wrong with the top level."""
    check_fields(body, PARAMETERS)
    for name, bounds in BOUNDS.items():
        if (value := body.get(name)) is not None:
            check_bounds(name, value, bounds)
    check_include(body.get("include") or ())
    check_metadata(body.get("metadata") or {})
    for position, entry in enumerate(body.get("context_management") or ()):
        check_kind(entry, f"context_management[{position}]", OBJECT)
        check_fields(entry, _MANAGEMENT, f"context_management[{position}].")
    _check_format(body.get("text", {}).get("format"))
    if body.get("stream_options") is not None and not body.get("stream"):
        raise refuse("stream_options")
    if body.get("background") and body.get("store") is False:
        raise refuse("background_unstored")


def check_bounds(param: str, value: float, bounds: Bounds) -> None:
    if bounds.low is not None and value < bounds.low:
        raise _out_of_range(param, bounds.kind, "below_min", "below minimum", ">=", bounds.low, value)
    if bounds.high is not None and value > bounds.high:
        raise _out_of_range(param, bounds.kind, "above_max", "above maximum", "<=", bounds.high, value)


def _out_of_range(param: str, kind: str, side: str, words: str, sign: str, bound: float, got: float) -> Exception:
    return refuse("out_of_range", param=param, kind=kind, side=side, words=words, sign=sign, bound=bound, got=got)


def check_include(include: list[str] | tuple[()]) -> None:
    for position, value in enumerate(include):
        if value not in INCLUDABLE:
            raise invalid_value(f"include[{position}]", value, INCLUDABLE)


def check_metadata(metadata: Json) -> None:
    if len(metadata) > _METADATA_PAIRS:
        raise refuse("too_many_properties", param="metadata", limit=_METADATA_PAIRS, count=len(metadata))
    for key, value in metadata.items():
        check_length(key, "metadata", _METADATA_KEY)
        check_kind(value, f"metadata.{key}", STRING)
        check_length(value, f"metadata.{key}", _METADATA_VALUE)


def _check_format(text_format: Json | None) -> None:
    if text_format is None:
        return
    type = text_format.get("type")
    if type is None:
        raise refuse("missing_parameter", param="text.format.type")
    if not is_one_of(type, FORMATS):
        raise invalid_value("text.format.type", type, FORMATS)
    check_fields(text_format, FORMATS[type], "text.format.")
