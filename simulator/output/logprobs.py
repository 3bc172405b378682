"""Log probabilities: the same for the same text, in the two forms the wire has (docs/mapping.md#log-probabilities)."""

from typing import Any

from simulator.output import deltas
from simulator.output.message_part import Part
from simulator.wire.json import Json

_OTHERS = ("The", " a", " and", " one", "\n")


def delta_logprobs(part: Part, token: str) -> list[Json]:
    """Of one delta, which is one token: without bytes, as events carry them."""
    if part.top_logprobs is None:
        return []
    top = [{"token": other, "logprob": value} for other, value in _top(token, part.top_logprobs)]
    return [{"token": token, "logprob": _logprob(token), "top_logprobs": top}]


def done_logprobs(part: Part) -> list[Json]:
    """Of the whole text, without bytes."""
    return [entry for token in deltas.words(part.text) for entry in delta_logprobs(part, token)]


def full_logprobs(part: Part, text: str) -> list[Json]:
    """Of the finished part: with the bytes of every token."""
    if part.top_logprobs is None:
        return []
    return [
        {
            **_with_bytes(token, _logprob(token)),
            "top_logprobs": [_with_bytes(other, value) for other, value in _top(token, part.top_logprobs)],
        }
        for token in deltas.words(text)
    ]


def _with_bytes(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "bytes": list(token.encode()), "logprob": logprob}


def _logprob(token: str) -> float:
    return -((len(token) * 7 + ord(token[0])) % 97) / 100


def _top(token: str, count: int) -> list[tuple[str, float]]:
    likeliest = [(token, _logprob(token)), *((other, _logprob(other) - 2) for other in _OTHERS * 4)]
    return likeliest[:count]
