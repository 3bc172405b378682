"""Breaks the cluster on purpose and counts what holds: `python -m tests.faults [--quick] [--seed N] [SCENARIO ...]`."""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import NoReturn

from tests.faults import beside, pressure, processes, walk
from tests.faults.counts import Counts, table
from tests.faults.registry import SCENARIOS
from tests.faults.site import Site, running_site
from tests.faults.sizes import FULL, QUICK, Sizes

MODULES = (processes, pressure, beside, walk)  # each registers its scenarios


def run(names: list[str], sizes: Sizes, seed: int, directory: Path) -> dict[str, Counts]:
    """Run these scenarios one after the other; after one that could not be finished, on another cluster."""
    counted: dict[str, Counts] = {name: Counts() for name in names}
    left = list(names)
    while left:
        place = directory / f"cluster-{len(names) - len(left)}"
        place.mkdir()
        name = left[0]
        try:
            with running_site(place) as site:
                while left:
                    name = left.pop(0)
                    print(f"{name} ...", file=sys.stderr, flush=True)
                    site.note("scenario", name=name)
                    counted[name] = asyncio.run(_bounded(name, site, sizes, Random(f"{seed} {name}")))
        except (Exception, asyncio.CancelledError) as error:
            lines = (str(error) or "it did not end in time").splitlines()
            counted[name].broken.append(f"{type(error).__name__}: {lines[0]}")
            left = [other for other in left if other != name]
    for counts in counted.values():
        counts.judge()
    return counted


async def _bounded(name: str, site: Site, sizes: Sizes, chance: Random) -> Counts:
    async with asyncio.timeout(sizes.limit):
        counts = await SCENARIOS[name](site, sizes, chance)
        await site.mend()
    return counts


def _stop(*_: object) -> NoReturn:
    """End the run, so that what it started is stopped; a cancellation can be swallowed on its way."""
    raise KeyboardInterrupt


def main() -> int:
    """Run, print the table, and return 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("scenario", nargs="*", help=f"all of them unless named: {', '.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="a few faults of each kind, in about a minute")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    unknown = set(arguments.scenario) - set(SCENARIOS)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    for stops in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stops, _stop)
    started, directory = time.monotonic(), Path(tempfile.mkdtemp(prefix="parley-faults-"))
    print(f"seed {arguments.seed}; logs and journal in {directory}", file=sys.stderr, flush=True)
    try:
        sizes = QUICK if arguments.quick else FULL
        counted = run(arguments.scenario or list(SCENARIOS), sizes, arguments.seed, directory)
    except KeyboardInterrupt:
        shutil.rmtree(directory)
        return 130
    print(table(counted))
    broken = any(counts.broken for counts in counted.values())
    print(f"seed {arguments.seed}, {time.monotonic() - started:.0f} s; {'BROKEN, see above' if broken else 'all held'}")
    if not broken:
        shutil.rmtree(directory)
    else:
        print(f"logs and journal are in {directory}")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
