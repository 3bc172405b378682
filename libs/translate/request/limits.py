"""How much of an answer, and how many: output limits, choices and stop sequences.

See docs/mapping.md#output-limits, #several-choices, #stop-sequences.
"""

import msgspec

from libs.schemas.config import Profile
from libs.schemas.plan import Format
from libs.schemas.wire.chat import ChatRequest
from libs.schemas.wire.fields import FIELDS
from libs.translate.errors import InvalidRequest, unsupported

MAX_OUTPUT_TOKENS = 2**53 - 1  # beyond it not every JSON reader keeps the number
_MAX_STOPS = 4
_MAX_STOP_CHARACTERS = 1024  # as many may be held back of a stream, and are looked through again with each delta
_MAX_TOP_LOGPROBS = 20
_LIMIT = "max_output_tokens"  # upstream
_OUTPUT_LIMITS = tuple(name for name, field in FIELDS.items() if _LIMIT in (name, field.to))


class OutputLimit(msgspec.Struct, frozen=True):
    """`name` is what the client called it; `dropped` the limits that were not sent as they were."""

    tokens: int | None = None
    name: str = _OUTPUT_LIMITS[0]
    dropped: list[str] = []


def to_output_limit(chat: ChatRequest, profile: Profile) -> OutputLimit:
    """Return the limit, raised to the least that the upstream takes. Raises InvalidRequest."""
    given = {name: tokens for name in _OUTPUT_LIMITS if (tokens := getattr(chat, name)) is not None}
    if not given:
        return OutputLimit()
    (name, tokens), *others = given.items()
    dropped = [other for other, _ in others]
    if tokens < 1:
        raise InvalidRequest(f"Invalid '{name}': must be at least 1.", name, "integer_below_min_value")
    if tokens > MAX_OUTPUT_TOKENS:
        raise InvalidRequest(f"Invalid '{name}': must be at most {MAX_OUTPUT_TOKENS}.", name, "invalid_value")
    if tokens < profile.min_output_tokens:
        return OutputLimit(profile.min_output_tokens, name, [name, *dropped])
    return OutputLimit(tokens, name, dropped)


def to_choices(chat: ChatRequest, profile: Profile, format_: Format) -> int:
    """Return how many answers are asked for. Raises InvalidRequest."""
    choices = 1 if chat.n is None else chat.n
    if choices < 1:
        raise InvalidRequest("Invalid 'n': must be at least 1.", "n", "integer_below_min_value")
    if choices > profile.max_choices:
        message = f"Invalid 'n': must be at most {profile.max_choices}."
        raise InvalidRequest(message, "n", "integer_above_max_value")
    if choices > 1 and format_ == "responses":
        raise unsupported("n")  # one typed stream has one response
    return choices


def to_stops(chat: ChatRequest, format_: Format) -> list[str]:
    """Return the stop sequences. Raises InvalidRequest."""
    given = [chat.stop] if isinstance(chat.stop, str) else chat.stop or []
    stops = [stop for stop in given if stop]
    if len(given) > _MAX_STOPS:
        raise InvalidRequest(
            f"Invalid 'stop': array too long. Expected at most {_MAX_STOPS} sequences, but got {len(given)} instead.",
            "stop",
            "array_above_max_length",
        )
    for index, stop in enumerate(given):
        if len(stop) > _MAX_STOP_CHARACTERS:
            where = "stop" if isinstance(chat.stop, str) else f"stop[{index}]"
            message = f"Invalid '{where}': expected at most {_MAX_STOP_CHARACTERS} characters, got {len(stop)}."
            raise InvalidRequest(message, where, "string_above_max_length")
    if stops and format_ == "responses":
        raise unsupported("stop")  # typed events pass as the upstream sends them
    return stops


def to_top_logprobs(chat: ChatRequest) -> int | None:
    """Return how many alternatives of each token are asked for. Raises InvalidRequest."""
    wanted = chat.top_logprobs
    if wanted is None or (wanted == 0 and not chat.logprobs):
        return None
    if not chat.logprobs:
        message = "Invalid value for 'top_logprobs': it is only allowed when 'logprobs' is true."
        raise InvalidRequest(message, "top_logprobs", "invalid_value")
    if not 0 <= wanted <= _MAX_TOP_LOGPROBS:
        message = f"Invalid 'top_logprobs': must be from 0 to {_MAX_TOP_LOGPROBS}."
        raise InvalidRequest(message, "top_logprobs", "invalid_value")
    return wanted
