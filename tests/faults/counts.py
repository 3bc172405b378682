"""What a scenario counts, and the one table of all of them."""

from collections.abc import Mapping

import msgspec

GAP_ALLOWED = 0.25  # seconds that a stream may stand still longer beside a bad body

_COLUMNS = ("tried", "survived", "answers", "expected", "found", "doubled", "wrong", "beside", "alone")
_HEADS = """\
              |      faults      |         |         records          |       wrong   |  longest gap, ms
scenario      |  tried  survived | answers | expected  found  doubled | continuations | beside   alone"""
_ROW = (
    "{name:<13} | {tried:>6} {survived:>9} | {answers:>7} | {expected:>8} {found:>6} {doubled:>8} "
    "| {wrong:>13} | {beside:>6} {alone:>7}"
)


class Counts(msgspec.Struct, kw_only=True):
    """One scenario, or the sum of them. Gaps in seconds, None where no stream was watched.

    `broken` says in words which promise did not hold; `notes` what else is worth a line.
    """

    tried: int = 0
    survived: int = 0
    answers: int = 0
    expected: int = 0
    found: int = 0
    doubled: int = 0
    wrong: int = 0
    beside: float | None = None
    alone: float | None = None
    broken: list[str] = []
    notes: list[str] = []

    def judge(self) -> None:
        """Add what the numbers alone say of the promises."""
        if self.survived < self.tried:
            self.broken.append(f"{self.tried - self.survived} of {self.tried} faults were not survived")
        if self.found != self.expected:
            self.broken.append(f"{self.expected - self.found} of {self.expected} records were not found")
        if self.doubled:
            self.broken.append(f"{self.doubled} records were doubled")
        if self.wrong:
            self.broken.append(f"{self.wrong} wrong continuations")
        if self.beside is not None and self.beside > (self.alone or 0.0) + GAP_ALLOWED:
            self.broken.append(f"a stream stood still for {1e3 * self.beside:.0f} ms beside a bad body")


def table(counted: Mapping[str, Counts]) -> str:
    """Return the table, and below it what was broken and what is worth a line."""
    lines = [_HEADS, *(_row(name, counts) for name, counts in counted.items())]
    if len(counted) > 1:
        lines.append(_row("all", total(counted)))
    for title, words in (("", "notes"), ("BROKEN ", "broken")):
        for name, counts in counted.items():
            lines += [f"{title}{name}: {line}" for line in getattr(counts, words)]
    return "\n".join(lines)


def total(counted: Mapping[str, Counts]) -> Counts:
    """Return the sum; of gaps, those of the scenario with the largest difference."""
    summed = Counts()
    for counts in counted.values():
        for name in ("tried", "survived", "answers", "expected", "found", "doubled", "wrong"):
            setattr(summed, name, getattr(summed, name) + getattr(counts, name))
        if counts.beside is not None and _more(counts) > _more(summed):
            summed.beside, summed.alone = counts.beside, counts.alone
    return summed


def _more(counts: Counts) -> float:
    return -1.0 if counts.beside is None else counts.beside - (counts.alone or 0.0)


def _row(name: str, counts: Counts) -> str:
    shown = {column: _shown(getattr(counts, column)) for column in _COLUMNS}
    return _ROW.format(name=name, **shown)


def _shown(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{1e3 * value:.0f}" if isinstance(value, float) else str(value)
