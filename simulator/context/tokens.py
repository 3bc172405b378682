"""Token counts and the prompt cache: plausible numbers made from lengths, the same for the same input."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable

from simulator.checks.responses_request import ResponsesRequest
from simulator.context.reading import parts, texts
from simulator.wire.json import ENCODER, Json

_CHARACTERS_A_TOKEN = 4
_TOKENS_AN_ITEM = 4
_TOKENS_AN_ATTACHMENT = 765
# Caching starts at this many tokens and goes on in steps.
_CACHE_FROM = 1024
_CACHE_STEP = 128
_UNHASHED_KEYS = frozenset({"id", "status"})


def count(text: str) -> int:
    """About four characters a token, rounded up."""
    return -(-len(text) // _CHARACTERS_A_TOKEN)


def characters(tokens: int) -> int:
    """How much text fits into so many tokens."""
    return tokens * _CHARACTERS_A_TOKEN


def count_item(item: Json) -> int:
    attachments = sum(1 for part in parts(item) if part.get("type") in ("input_image", "input_file"))
    return _TOKENS_AN_ITEM + attachments * _TOKENS_AN_ATTACHMENT + sum(count(text) for text in texts(item))


def usage(input_tokens: int, cached: int, output_tokens: int, reasoning: int) -> Json:
    """The `usage` of a Response; `output_tokens` includes the reasoning ones (docs/mapping.md#usage)."""
    written = (input_tokens - cached) // _CACHE_STEP * _CACHE_STEP if input_tokens >= _CACHE_FROM else 0
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cache_write_tokens": written, "cached_tokens": cached},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": input_tokens + output_tokens,
    }


def sizes(request: ResponsesRequest, context: list[Json]) -> list[int]:
    """The tokens of instructions and tools together, then of each item of the context."""
    head = count(request.params.get("instructions", "")) + sum(map(_count_tool, request.tools))
    return [head, *map(count_item, context)]


class PromptCache:
    """The prompt prefixes seen lately, by account and model: bounded, least recently used first."""

    def __init__(self, limit: int = 100_000) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._limit = limit

    def measure(self, request: ResponsesRequest, context: list[Json], account: str) -> tuple[int, int]:
        """The input tokens of this prompt and how many of them were cached; remembers the prompt."""
        head = ENCODER.encode([account, request.model, request.params.get("instructions"), request.tools])
        head_tokens, *item_tokens = sizes(request, context)
        total = head_tokens + sum(item_tokens)
        # Hashing a short prompt could only ever find nothing.
        if total < _CACHE_FROM:
            return total, 0
        reached = head_tokens
        known = 0
        for size, key in zip(item_tokens, _rolling(head, context), strict=True):
            reached += size
            if key in self._seen:
                known = reached
            self._remember(key)
        cached = known // _CACHE_STEP * _CACHE_STEP
        return total, cached if cached >= _CACHE_FROM else 0

    def clear(self) -> None:
        self._seen.clear()

    def _remember(self, key: bytes) -> None:
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)


def _count_tool(tool: Json) -> int:
    return len(ENCODER.encode(tool)) // _CHARACTERS_A_TOKEN


def _rolling(head: bytes, context: list[Json]) -> Iterable[bytes]:
    key = hashlib.blake2b(head, digest_size=16).digest()
    for item in context:
        kept = {name: value for name, value in item.items() if name not in _UNHASHED_KEYS}
        key = hashlib.blake2b(key + ENCODER.encode(kept), digest_size=16).digest()
        yield key
