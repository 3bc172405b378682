"""Measures Parley on this machine, in one run: `python -m tests.bench [--quick] [--out FILE] [SECTION ...]`."""

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.bench.continuity import continuity
from tests.bench.costs import calls, memory, streamed_events
from tests.bench.delays import first_token, history, upload
from tests.bench.machine import Commit, Machine, read_commit, read_machine
from tests.bench.measures import Measure, Results, table
from tests.bench.site import running_site
from tests.bench.sizes import FULL, QUICK, Sizes

SECTIONS = (streamed_events, calls, first_token, memory, history, upload, continuity)
_ROOT = Path(__file__).resolve().parents[2]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as it is kept."""

    started: str
    seconds: float
    machine: Machine
    tree: Commit
    load_average: dict[str, tuple[float, float, float]]
    sizes: Sizes
    measures: list[Measure]


def measure(sizes: Sizes, names: list[str]) -> Report:
    """Run the sections of these names, all of them where none is given."""
    started, before = time.time(), os.getloadavg()
    results = Results()
    with running_site() as site:
        if not site.nginx:
            print("nginx is not installed: no ratios to it", file=sys.stderr)
        for section in SECTIONS:
            if not names or section.__name__ in names:
                print(f"measuring {section.__name__} ...", file=sys.stderr, flush=True)
                section(site, sizes, results)
    return Report(
        started=datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        seconds=round(time.time() - started, 1),
        machine=read_machine(),
        tree=read_commit(),
        load_average={"before": before, "after": os.getloadavg()},
        sizes=sizes,
        measures=results.measures(),
    )


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("section", nargs="*", help=", ".join(section.__name__ for section in SECTIONS))
    parser.add_argument("--out", type=Path, help="default: docs/bench/DATE-COMMIT.json")
    parser.add_argument("--quick", action="store_true", help="tiny counts: does it work?")
    arguments = parser.parse_args()
    report = measure(QUICK if arguments.quick else FULL, arguments.section)
    out = arguments.out or _ROOT / "docs" / "bench" / f"{report.started[:10]}-{report.tree.commit}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    load = report.load_average
    print(table(report.measures))
    print(f"\nmedian, lowest .. highest of {report.sizes.rounds} rounds; {report.machine.cores} x {report.machine.cpu}")
    print(f"load average before {load['before'][0]:.2f}, after {load['after'][0]:.2f}; written to {out}")


if __name__ == "__main__":
    main()
