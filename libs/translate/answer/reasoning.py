"""Reasoning that may be shown: raw text or its summary, never both (docs/mapping.md#reasoning)."""

from collections.abc import Callable
from typing import Literal

from libs.schemas.plan import ReasoningField
from libs.schemas.wire.completion import Delta
from libs.translate.answer.sent_text import Spoken

PARAGRAPH = "\n\n"  # between parts of a summary, and between items

Kind = Literal["summary", "raw"]

_DELTAS: dict[ReasoningField, Callable[[str], Delta | None]] = {
    "reasoning_content": lambda text: Delta(reasoning_content=text),
    "reasoning": lambda text: Delta(reasoning=text),
    "both": lambda text: Delta(reasoning_content=text, reasoning=text),
    "none": lambda _: None,
}


class Reasoning:
    """The reasoning of an answer, item after item."""

    def __init__(self) -> None:
        self.spoken = Spoken()
        self._shown: dict[int, Kind] = {}  # which of an item the client sees: the one that came first
        self._paragraph: tuple[int, int] | None = None

    def add(self, index: int, part: int, text: str, kind: Kind) -> str:
        """Return what the client gets of a new piece."""
        if self._shown.get(index, kind) != kind:
            return ""
        text = self.spoken.joined((index, part), text)
        return self._say(index, part, text, kind) if text else ""

    def complete(self, index: int, part: int, whole: str, kind: Kind) -> str:
        """Return what the client gets when a part is complete: what follows from what came before."""
        if self._shown.get(index, kind) != kind:
            return ""
        rest = self.spoken.rest((index, part), whole)
        return self._say(index, part, rest, kind) if rest else ""

    def kind(self, index: int) -> Kind:
        """Return which of an item the client sees."""
        return self._shown.get(index, "raw")

    def _say(self, index: int, part: int, text: str, kind: Kind) -> str:
        self._shown.setdefault(index, kind)
        paragraph = (index, part if kind == "summary" else 0)  # raw parts run on
        prefix = PARAGRAPH if self._paragraph not in (None, paragraph) else ""
        self._paragraph = paragraph
        if prefix:
            self.spoken.begin((index, part), prefix)
        self.spoken.add((index, part), text)
        return prefix + text


def to_delta(text: str, field: ReasoningField) -> Delta | None:
    """Return reasoning under the names that the plan wants; None where it wants none, or there is no text."""
    return _DELTAS[field](text) if text else None
