"""A chat request to a Responses request (translation reference A).

`parse` turns bytes into a `ChatRequest` or a refusal that names the field; `translate` makes the
upstream request. The same request always gives the same bytes: caches upstream depend on it.
"""

import re
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from libs.schemas.chat import ChatRequest
from libs.schemas.responses import Reasoning, ResponsesRequest
from libs.translate.errors import InvalidRequest
from libs.translate.messages import Input, to_input
from libs.translate.tools import is_given, to_text, to_tool_choice, to_tools

MIN_OUTPUT_TOKENS = 16  # of the Responses API; chat has no minimum (A.1)
MAX_OUTPUT_TOKENS = 2**53 - 1  # beyond it not every JSON reader keeps the number
ENCRYPTED_REASONING = "reasoning.encrypted_content"
# Models that never reason: they refuse to be asked for encrypted reasoning.
_PLAIN_MODELS = ("gpt-3.5*", "gpt-4*", "chatgpt-*", "*-chat-latest", "ft:gpt-3.5*", "ft:gpt-4*")

# Chat fields without a counterpart that change what an answer means: refused while they cannot be
# honoured. Any other unknown field is a hint at most: left out, and told (A.1).
_REFUSED = frozenset(
    {"stop", "logit_bias", "logprobs", "top_logprobs", "modalities", "audio", "functions", "function_call"}
    | {"web_search_options"}
)
# What asks for nothing, by field; null does in every one.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "stop": ("", []),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "modalities": (["text"],),
    "functions": ([],),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
}
_FIELD = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")

_DECODER = msgspec.json.Decoder(ChatRequest)
_KEYS_DECODER = msgspec.json.Decoder(dict[str, Raw])
_VALUE_DECODER = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream request and what came of the client's parameters on the way."""

    body: ResponsesRequest
    input: Input
    renames: dict[str, str]
    dropped: list[str]


# -- parsing ----------------------------------------------------------------------------------------


def decode_body(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    """Decode a client's JSON body. Raises InvalidRequest, which names the field at fault (G.5)."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("The body of your request is not valid JSON.", None) from None
    except RecursionError:
        raise InvalidRequest("The body of your request is nested too deeply.", None) from None


def _wrong_field(text: str) -> InvalidRequest:
    place = _FIELD.search(text)
    path = place["path"] if place else ""
    missing = _MISSING.search(text)
    if missing:
        param = f"{path}.{missing['field']}" if path else missing["field"]
        return InvalidRequest(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    wrong = _EXPECTED.search(text)
    if wrong and path:
        wanted = wrong["wanted"].removesuffix(" | null").replace(" | ", " or ")
        message = f"Invalid type for '{path}': expected {wanted}, but got {wrong['got']} instead."
        return InvalidRequest(message, path, "invalid_type")
    if wrong:
        return InvalidRequest("The body of your request must be a JSON object.", None)
    return InvalidRequest(text[: place.start()] if place else text, path or None, "invalid_value")


def parse(body: bytes) -> tuple[ChatRequest, list[str]]:
    """Return the request in `body`, and the names of the fields that are left out of it.

    Raises InvalidRequest for a malformed body, and for a field that Parley must not ignore.
    """
    request: ChatRequest = decode_body(_DECODER, body)
    given: dict[str, Raw] = decode_body(_KEYS_DECODER, body)
    dropped = []
    for name in given.keys() - _KNOWN:
        if _asks_for_nothing(name, given[name]):
            continue
        if name in _REFUSED:
            raise InvalidRequest(f"Unsupported parameter: '{name}'.", name, "unsupported_parameter")
        dropped.append(name)
    return request, sorted(dropped)


def _asks_for_nothing(name: str, raw: Raw) -> bool:
    return not is_given(raw) or (name in _NEUTRAL and decode_body(_VALUE_DECODER, bytes(raw)) in _NEUTRAL[name])


_KNOWN = frozenset(field.encode_name for field in msgspec.structs.fields(ChatRequest))


# -- translating ------------------------------------------------------------------------------------


def translate(request: ChatRequest, *, model: str, store: bool = False) -> Translated:
    """Return the upstream request for `model`. `store` is what an absent `store` means here.

    Raises InvalidRequest for what chat itself refuses.
    """
    _check(request)
    made = to_input(request.messages, needs_json=_needs_json(request))
    limit, limit_name = _output_limit(request)
    dropped = list(made.dropped)
    if limit is not None and limit < MIN_OUTPUT_TOKENS:
        limit = MIN_OUTPUT_TOKENS
        dropped.append(limit_name)
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        dropped.append("max_tokens")
    stored = store if request.store is None else request.store
    body = ResponsesRequest(
        model=model,
        instructions=_or_unset(made.instructions),
        input=made.items,
        tools=to_tools(request.tools) if request.tools else UNSET,
        tool_choice=to_tool_choice(request),
        parallel_tool_calls=_or_unset(request.parallel_tool_calls) if request.tools else UNSET,
        reasoning=Reasoning(effort=request.reasoning_effort) if request.reasoning_effort else UNSET,
        text=to_text(request),
        max_output_tokens=_or_unset(limit),
        temperature=_or_unset(request.temperature),
        top_p=_or_unset(request.top_p),
        metadata=request.metadata if is_given(request.metadata) else UNSET,
        user=_or_unset(request.user),
        safety_identifier=_or_unset(request.safety_identifier),
        prompt_cache_key=_or_unset(request.prompt_cache_key),
        service_tier=_or_unset(request.service_tier),
        include=[ENCRYPTED_REASONING] if not stored and may_reason(model) else UNSET,
        stream=bool(request.stream),
        store=stored,
    )
    return Translated(body=body, input=made, renames={"max_output_tokens": limit_name}, dropped=dropped)


def encode(body: ResponsesRequest) -> bytes:
    """Return the bytes to send."""
    return _ENCODER.encode(body)


def may_reason(model: str) -> bool:
    """Whether `model` may answer with reasoning items."""
    return not any(fnmatchcase(model, pattern) for pattern in _PLAIN_MODELS)


def is_structured(request: ChatRequest) -> bool:
    """Whether the answer's text must be JSON and nothing else (B.2.1)."""
    return request.response_format is not None and request.response_format.type.startswith("json")


def _needs_json(request: ChatRequest) -> bool:
    return request.response_format is not None and request.response_format.type == "json_object"


def _or_unset(value: Any) -> Any | UnsetType:
    return UNSET if value is None else value


def _output_limit(request: ChatRequest) -> tuple[int | None, str]:
    if request.max_completion_tokens is None and request.max_tokens is not None:
        return request.max_tokens, "max_tokens"
    return request.max_completion_tokens, "max_completion_tokens"


def _check(request: ChatRequest) -> None:
    if request.n is not None and request.n != 1:
        raise InvalidRequest("Unsupported value: 'n' must be 1.", "n", "unsupported_parameter")
    if request.stream_options is not None and not request.stream:
        raise InvalidRequest("'stream_options' is only allowed when 'stream' is true.", "stream_options")
    if not request.model:
        raise InvalidRequest("Missing required parameter: 'model'.", "model", "missing_required_parameter")
    limit, name = _output_limit(request)
    if limit is not None and limit < 1:
        raise InvalidRequest(f"Invalid '{name}': must be at least 1.", name, "integer_below_min_value")
    if limit is not None and limit > MAX_OUTPUT_TOKENS:
        raise InvalidRequest(f"Invalid '{name}': must be at most {MAX_OUTPUT_TOKENS}.", name, "invalid_value")
