"""Reasoning that may be shown: raw text or its summary, never both (translation reference B.2, C.1, C.4)."""

from collections.abc import Callable
from typing import Literal

from libs.schemas.completion import Delta
from libs.schemas.plan import ReasoningField

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
        self._sent: dict[tuple[int, int], int] = {}  # characters of each part that came
        self._shown: dict[int, Kind] = {}  # which of an item the client sees: the one that came first
        self._paragraph: tuple[int, int] | None = None

    def add(self, index: int, part: int, text: str, kind: Kind) -> str:
        """Return what the client gets of a new piece."""
        if not text or self._shown.setdefault(index, kind) != kind:
            return ""
        self._sent[index, part] = self._sent.get((index, part), 0) + len(text)
        paragraph = (index, part if kind == "summary" else 0)  # raw parts run on
        prefix = PARAGRAPH if self._paragraph not in (None, paragraph) else ""
        self._paragraph = paragraph
        return prefix + text

    def complete(self, index: int, part: int, whole: str, kind: Kind) -> str:
        """Return what the client gets when a part is complete: what had not come before."""
        return self.add(index, part, whole[self._sent.get((index, part), 0) :], kind)


def to_delta(text: str, field: ReasoningField) -> Delta | None:
    """Return reasoning under the names that the plan wants; None where it wants none, or there is no text."""
    return _DELTAS[field](text) if text else None
