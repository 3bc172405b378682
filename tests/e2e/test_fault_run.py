"""The run of faults itself: a short one holds all promises, and one that is stopped leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "tests.faults", "--quick", "--seed", "7"]


def test_quick_run_holds_every_promise() -> None:
    scenarios = ["nats", "descriptors", "bodies", "walk"]
    done = subprocess.run([*COMMAND, *scenarios], capture_output=True, text=True, timeout=115)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    rows = {line.partition("|")[0].strip() for line in done.stdout.splitlines() if "|" in line}
    assert {*scenarios, "all"} <= rows


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_stopped_run_stops_what_it_started(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([*COMMAND, "walk"], stderr=subprocess.PIPE, text=True, env=environ) as run:
        assert run.stderr is not None
        assert next(line for line in run.stderr if line.startswith("walk"))
        assert _mentioning(str(tmp_path))
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 130
    assert _mentioning(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def _mentioning(folder: str) -> list[int]:
    """Return the processes, but for this one, whose arguments or settings name a folder."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            try:
                told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            except OSError:
                continue
            found += [int(process.name)] if folder.encode() in told else []
    return found
