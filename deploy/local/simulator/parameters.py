"""The parameters of `POST /v1/responses`: which exist, of what kind, which may be null, within what bounds.

One row per field of the SDK's `ResponseCreateParams` (3.54); null is allowed where its type is optional.
"""

from dataclasses import dataclass

from deploy.local.simulator import errors
from deploy.local.simulator.kinds import (
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
)
from deploy.local.simulator.wire import Json

_REASONING = {
    "context": Field(STRING, nullable=True),
    "effort": Field(STRING, nullable=True),
    "generate_summary": Field(STRING, nullable=True),
    "mode": Field(STRING, nullable=True),
    "summary": Field(STRING, nullable=True),
}
_TEXT = {"format": Field(OBJECT), "verbosity": Field(STRING, nullable=True)}

PARAMETERS: dict[str, Field] = {
    "access_programs": Field(OBJECT),
    "background": Field(BOOLEAN, nullable=True),
    "background_options": Field(OBJECT),
    "context_management": Field(ARRAY, nullable=True),
    "conversation": Field(STRING_OR_OBJECT, nullable=True),
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
    "prompt": Field(OBJECT, nullable=True),
    "prompt_cache_key": Field(STRING, nullable=True),
    "prompt_cache_options": Field(OBJECT),
    "prompt_cache_retention": Field(STRING, nullable=True),
    "reasoning": Field(OBJECT, nullable=True, fields=_REASONING),
    "safety_identifier": Field(STRING, nullable=True),
    "service_tier": Field(STRING, nullable=True),
    "store": Field(BOOLEAN, nullable=True),
    "stream": Field(BOOLEAN, nullable=True),
    "stream_options": Field(OBJECT, nullable=True, fields={"include_obfuscation": Field(BOOLEAN, nullable=True)}),
    "temperature": Field(NUMBER, nullable=True),
    "text": Field(OBJECT, fields=_TEXT),
    "tool_choice": Field(STRING_OR_OBJECT),
    "tools": Field(ARRAY),
    "top_logprobs": Field(INTEGER, nullable=True),
    "top_p": Field(NUMBER, nullable=True),
    "truncation": Field(STRING, nullable=True),
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
            _check_bounds(name, value, bounds)
    for position, value in enumerate(body.get("include") or ()):
        if value not in INCLUDABLE:
            raise errors.invalid_value(f"include[{position}]", value, INCLUDABLE)
    if body.get("stream_options") is not None and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise errors.ApiError(message, param="stream_options")


def _check_bounds(param: str, value: float, bounds: Bounds) -> None:
    if bounds.low is not None and value < bounds.low:
        raise errors.out_of_range(param, bounds.kind, "below_min", ">=", bounds.low, value)
    if bounds.high is not None and value > bounds.high:
        raise errors.out_of_range(param, bounds.kind, "above_max", "<=", bounds.high, value)
