"""Prints how two runs differ: `python -m tests.bench.compare A.json B.json`."""

import sys
from pathlib import Path

import msgspec

from tests.bench.measures import Measure, number


class _Report(msgspec.Struct):
    measures: list[Measure]


def compare(first: list[Measure], second: list[Measure]) -> list[str]:
    """Return a line for each number that both have: medians, and the second over the first."""
    before = {(measure.section, measure.name): measure for measure in first}
    lines, section = [], ""
    for measure in second:
        was = before.get((measure.section, measure.name))
        if was is None:
            continue
        if measure.section != section:
            section = measure.section
            lines += ["", section]
        ratio = f"{measure.median / was.median:.2f}" if was.median else "-"
        apart = "" if measure.high < was.low or measure.low > was.high else "(rounds overlap)"
        lines.append(
            f"  {measure.name:<52} {number(was.median):>9} {number(measure.median):>9} {measure.unit:<8} "
            f"{ratio:>6} {apart}".rstrip()
        )
    return lines


def main() -> None:
    """Compare the two files of the command line."""
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    first, second = (msgspec.json.decode(Path(name).read_bytes(), type=_Report) for name in sys.argv[1:])
    print("\n".join(compare(first.measures, second.measures)))


if __name__ == "__main__":
    main()
