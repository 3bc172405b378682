"""One content part of a message that the model writes."""

from dataclasses import dataclass

from simulator.wire.json import Json


@dataclass(frozen=True)
class Part:
    """Text or a refusal. `top_logprobs` is null when no logprobs were asked for."""

    text: str
    is_refusal: bool = False
    annotations: tuple[Json, ...] = ()
    top_logprobs: int | None = None
