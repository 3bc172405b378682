"""Reasoning that may be shown: raw text or its summary, never both (docs/mapping.md#reasoning)."""

from collections.abc import Callable
from typing import Literal

from libs.schemas.plan import ReasoningField
from libs.schemas.wire.completion import Delta
from libs.translate.answer.sent_text import SentText

PARAGRAPH = "\n\n"  # between parts of a summary, and between items

ReasoningForm = Literal["summary", "raw"]

_DELTAS: dict[ReasoningField, Callable[[str], Delta | None]] = {
    "reasoning_content": lambda text: Delta(reasoning_content=text),
    "reasoning": lambda text: Delta(reasoning=text),
    "both": lambda text: Delta(reasoning_content=text, reasoning=text),
    "none": lambda _: None,
}


class Reasoning:
    """The reasoning of an answer, item after item."""

    def __init__(self) -> None:
        self.sent = SentText()
        self._shown: dict[int, ReasoningForm] = {}  # which of an item the client sees: the one that came first
        self._paragraph: tuple[int, int] | None = None

    def add(self, index: int, part: int, text: str, kind: ReasoningForm) -> str:
        """Return what the client gets of a new piece."""
        if self._shown.get(index, kind) != kind:
            return ""
        text = self.sent.joined((index, part), text)
        return self._send(index, part, text, kind) if text else ""

    def complete(self, index: int, part: int, final_text: str, kind: ReasoningForm) -> str:
        """Return what the client gets when a part is complete: what follows from what came before."""
        if self._shown.get(index, kind) != kind:
            return ""
        rest = self.sent.rest((index, part), final_text)
        return self._send(index, part, rest, kind) if rest else ""

    def kind(self, index: int) -> ReasoningForm:
        """Return which of an item the client sees."""
        return self._shown.get(index, "raw")

    def _send(self, index: int, part: int, text: str, kind: ReasoningForm) -> str:
        self._shown.setdefault(index, kind)
        paragraph = (index, part if kind == "summary" else 0)  # raw parts run on
        prefix = PARAGRAPH if self._paragraph not in (None, paragraph) else ""
        self._paragraph = paragraph
        if prefix:
            self.sent.begin((index, part), prefix)
        self.sent.add((index, part), text)
        return prefix + text


def to_delta(text: str, field: ReasoningField) -> Delta | None:
    """Return reasoning under the names that the plan wants; None where it wants none, or there is no text."""
    return _DELTAS[field](text) if text else None
