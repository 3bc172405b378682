"""Small processes for the supervisor to run, each a script that says in a file what it lives through."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy.local.child import Spec
from deploy.local.cluster import READY_LINE

DEADLINE_SECONDS = 20.0

_SCRIPT = """
import os, pathlib, signal, sys, time
name, events, manner = sys.argv[1:]
def tell(what):
    with open(events, "a") as file:
        file.write(f"{name} {what} {os.getpid()}\\n")
def stop(*_):
    tell("asked")
    if manner == "stubborn":
        return
    if manner == "slow":
        time.sleep(0.3)
    tell("stopped")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, lambda *_: tell("interrupted"))
tell("started")
if manner == "broken":
    os.write(1, b"first words\\n")  # in one piece each, for the two meet in the log
    os.write(2, b"port 1 is cursed\\n")
    sys.exit(1)
if manner != "mute":
    print(f"ready {os.environ.get('FAKE_PORT', os.getpid())}", flush=True)
print("after", "ready", flush=True)
if manner == "brief":
    sys.exit(3)
while True:
    signal.pause()
"""


async def always(port: int) -> bool:
    """A probe that finds every child ready."""
    return True


def fake(name: str, events: Path, manner: str = "polite", **more: object) -> Spec:
    """Return a child that appends `NAME started|asked|stopped PID` lines to `events`.

    Manners: polite, slow or stubborn at SIGTERM; broken (fails at once), brief (ends once ready), mute.
    """
    settings: dict[str, object] = {"announcement": READY_LINE, "environ": dict(os.environ), "probe": always, **more}
    command = [sys.executable, "-S", "-c", _SCRIPT, name, str(events), manner]
    return Spec(name=name, command=command, **settings)  # type: ignore[arg-type]


def told(events: Path, what: str) -> list[tuple[str, int]]:
    """Return (name, process id) of each event `what`, in order."""
    lines = events.read_text().splitlines() if events.exists() else []
    split = (line.split() for line in lines)
    return [(name, int(pid)) for name, event, pid in split if event == what]


def alive(pid: int) -> bool:
    """Return whether a process runs; one that waits to be reaped does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def until(condition: Callable[[], bool], what: str) -> None:
    """Return when `condition` holds; fail when it does not in time."""
    ends = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < ends, f"not in time: {what}"
        time.sleep(0.01)
