"""What is known of models by their names alone; a name that no table holds is a model that can do all."""

from fnmatch import fnmatchcase
from functools import lru_cache

# They refuse to be asked for encrypted reasoning.
_NEVER_REASON = ("gpt-3.5*", "gpt-4*", "chatgpt-*", "*-chat-latest", "ft:gpt-3.5*", "ft:gpt-4*")
# They refuse sampling parameters, even at their default.
_NO_SAMPLING = ("o[1-9]*", "gpt-[5-9]*")
# They know `json_object` and no schemas (docs/mapping.md#response-format).
_NO_SCHEMAS = (
    *("gpt-3.5*", "gpt-4", "gpt-4-*", "gpt-4o-2024-05-13", "chatgpt-4o-latest"),
    *("ft:gpt-3.5*", "ft:gpt-4:*", "ft:gpt-4-*"),
)
_LONGEST = 256  # characters of a name whose matches are remembered
# They have no twin on the Responses API (docs/mapping.md#request-fields).
_CHAT_ONLY = ("*-search-preview*", "gpt-audio*", "*-audio-preview*")


def may_reason(model: str) -> bool:
    """Whether `model` may answer with reasoning items."""
    return not _matches(model, _NEVER_REASON)


def takes_no_sampling(model: str) -> bool:
    """Whether `model` is one of OpenAI's that reason, and refuses `temperature` and `top_p` whatever they say."""
    return _matches(model, _NO_SAMPLING) and may_reason(model)


def takes_schemas(model: str) -> bool:
    """Whether `model` can be held to a JSON schema."""
    return not _matches(model, _NO_SCHEMAS)


def is_chat_only(model: str) -> bool:
    """Whether `model` answers on the chat endpoint alone."""
    return _matches(model, _CHAT_ONLY)


def _matches(model: str, patterns: tuple[str, ...]) -> bool:
    # Requests name few models, again and again; a long name is no model's, and not worth its memory.
    return _matched(model, patterns) if len(model) <= _LONGEST else _matched.__wrapped__(model, patterns)


@lru_cache(maxsize=512)
def _matched(model: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in patterns)
