"""Profiles the edge under load: `python -m tests.bench.profile [streams | calls] [--seconds N]`.

Prints the functions by own time. The profiler makes small Python functions look dearer than they are, and
system calls cheaper: use it to find where to look, and the bench to see what a change did.
"""

import argparse
import pstats
import tempfile
from pathlib import Path

from tests.bench.jobs import Called, Calls, Held, Hold
from tests.bench.requests import JSON, STREAM, Model, Request
from tests.bench.site import Site, run, running_site
from tests.bench.sizes import FULL

_ROOT = Path(__file__).resolve().parents[2]
_SHOWN = 25
# The loop, whose time holds the waiting too, and what only a start does.
_LEFT_OUT = (
    "runners.py",
    "importlib",
    "compile",
    "marshal",
    "__build_class__",
    "builtins.exec",
    "_imp.",
    "verify_paths",
    "gc.",
)


def profile(load: str, seconds: float) -> pstats.Stats:
    """Return the profile of an edge under `load`, from its start to its stop."""
    with tempfile.TemporaryDirectory(prefix="parley-profile-") as directory:
        file = Path(directory) / "edge.prof"
        with running_site(wrapped={"edge": ("-m", "cProfile", "-o", str(file))}) as site:
            (_stream if load == "streams" else _call)(site, seconds)
        return pstats.Stats(str(file))


def _stream(site: Site, seconds: float) -> None:
    model = Model(STREAM, int(1000 * seconds / FULL.pace_ms), FULL.pace_ms)
    request = Request(surface="chat", model=model)
    run(Hold(port=site.edge, request=request, streams=FULL.streams, settle_seconds=0, seconds=seconds + 1), Held)


def _call(site: Site, seconds: float) -> None:
    request = Request(surface="chat", model=Model(JSON))
    calls = int(500 * seconds)
    run(Calls(port=site.edge, request=request, calls=calls, concurrency=FULL.concurrency), Called)


def top(stats: pstats.Stats) -> list[str]:
    """Return a line for each of the functions that took most time themselves; the loop is left out."""
    rows = [
        (own, calls, _place(file, line, name))
        for (file, line, name), (_, calls, own, _, _) in stats.stats.items()  # type: ignore[attr-defined]
        if not any(part in f"{file} {name}" for part in _LEFT_OUT)
    ]
    total = sum(own for own, _, _ in rows)
    rows.sort(reverse=True)
    return [f"{100 * own / total:5.1f} %  {calls:>9}  {place}" for own, calls, place in rows[:_SHOWN]]


def _place(file: str, line: int, name: str) -> str:
    if file == "~":
        return name
    path = Path(file)
    shown = path.relative_to(_ROOT) if path.is_relative_to(_ROOT) and ".venv" not in file else "/".join(path.parts[-2:])
    return f"{shown}:{line} {name}"


def main() -> None:
    """Profile, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profile", description=__doc__)
    parser.add_argument("load", nargs="?", choices=("streams", "calls"), default="streams")
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    print("own time      calls  function")
    print("\n".join(top(profile(arguments.load, arguments.seconds))))


if __name__ == "__main__":
    main()
