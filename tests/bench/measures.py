"""Numbers with names and units, over several rounds; how they are printed and kept."""

from collections.abc import Iterable
from statistics import median

import msgspec


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One number; `rounds` are what the single rounds gave. Noise is seen in the spread."""

    section: str
    name: str
    unit: str
    median: float
    low: float
    high: float
    rounds: list[float]


class Results:
    """Collects rounds; `add` may be called in any order."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, str, str], list[float]] = {}

    def add(self, section: str, name: str, unit: str, value: float) -> None:
        """Add what one round gave."""
        self._rounds.setdefault((section, name, unit), []).append(round(value, 4))

    def measures(self) -> list[Measure]:
        """Return all numbers, in the order in which they first came."""
        return [
            Measure(
                section=section,
                name=name,
                unit=unit,
                median=round(median(rounds), 4),
                low=min(rounds),
                high=max(rounds),
                rounds=rounds,
            )
            for (section, name, unit), rounds in self._rounds.items()
        ]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which `share` of the values are."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def table(measures: Iterable[Measure]) -> str:
    """Return the numbers for people: median, and the lowest and highest round."""
    lines, section = [], ""
    for measure in measures:
        if measure.section != section:
            section = measure.section
            lines += ["", section]
        spread = f"{number(measure.low)} .. {number(measure.high)}"
        lines.append(f"  {measure.name:<52} {number(measure.median):>9} {measure.unit:<8} {spread:>20}")
    return "\n".join(lines)


def number(value: float) -> str:
    """Return a number with as many digits as mean something."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
