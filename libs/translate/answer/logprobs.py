"""Log probabilities in the chat form (docs/mapping.md#log-probabilities)."""

from collections.abc import Sequence

from msgspec import Raw

from libs.schemas.wire.completion import ChoiceLogprobs, TokenLogprobOut, TopLogprobOut
from libs.schemas.wire.parts import TokenLogprob, TopLogprob, decode_logprobs

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # stands for bytes that are no whole character


def to_logprobs(raw: Raw) -> list[TokenLogprobOut]:
    """Return the tokens of a text in the chat form."""
    return [_token(token) for token in decode_logprobs(raw)]


def to_choice_logprobs(tokens: Sequence[TokenLogprobOut]) -> ChoiceLogprobs | None:
    """Return `logprobs` of a choice; null where there are none."""
    return ChoiceLogprobs(content=list(tokens)) if tokens else None


def _token(token: TokenLogprob) -> TokenLogprobOut:
    return TokenLogprobOut(
        token=token.token,
        logprob=token.logprob,
        bytes=_bytes(token),
        top_logprobs=[
            TopLogprobOut(token=top.token, logprob=top.logprob, bytes=_bytes(top)) for top in token.top_logprobs or ()
        ],
    )


def _bytes(token: TokenLogprob | TopLogprob) -> list[int] | None:
    """The bytes that a token stands for: deltas lack them, and a token cut inside a character has lost them."""
    if token.bytes is not None:
        return token.bytes
    return None if _REPLACEMENT in token.token else list(token.token.encode("utf-8", "surrogatepass"))
