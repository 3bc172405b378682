"""What a moderation model said, in the chat form: each side is a list there (docs/mapping.md#moderation)."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw, UnsetType

from libs.schemas.wire.completion import ModerationOut, ModerationResults
from libs.schemas.wire.output import Moderation
from libs.schemas.wire.surrogates import UNREADABLE

Side = ModerationResults | Raw | UnsetType


class _Result(msgspec.Struct, frozen=True):
    type: str = ""
    model: str = ""


_RESULT = msgspec.json.Decoder(_Result)
_SINGLE = "moderation_result"


def to_moderation(moderation: Moderation | None) -> ModerationOut | None:
    """Return both sides in the chat form; None where there is none."""
    if moderation is None:
        return None
    sides = ModerationOut(input=_side(moderation.input), output=_side(moderation.output))
    return None if sides == ModerationOut() else sides


def merge_moderation(moderations: Sequence[ModerationOut]) -> ModerationOut | None:
    """Return one moderation for all choices: the input is the same for all, the outputs follow each other.

    See docs/mapping.md#several-choices.
    """
    if not moderations:
        return None
    outputs = [one.output for one in moderations]
    results = [side for side in outputs if isinstance(side, ModerationResults)]
    if len(results) < len(outputs):
        return msgspec.structs.replace(moderations[0], output=_first_failure(outputs))
    whole = ModerationResults(model=results[0].model, results=[result for side in results for result in side.results])
    return msgspec.structs.replace(moderations[0], output=whole)


def _first_failure(outputs: Sequence[Side]) -> Side:
    return next(side for side in outputs if not isinstance(side, ModerationResults))


def _side(raw: Raw) -> Side:
    try:
        result = _RESULT.decode(raw)
    except UNREADABLE:  # empty or null
        return UNSET
    return ModerationResults(model=result.model, results=[raw]) if result.type == _SINGLE else raw
