import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = ROOT / ".ci" / "run"


def run(**environ: str) -> subprocess.CompletedProcess[str]:
    """Run it as CI does, but for what `environ` says."""
    unset = {key: value for key, value in os.environ.items() if key != "PARLEY_RECORDINGS"}
    return subprocess.run(
        ["bash", str(RUN)],
        env={**unset, **environ},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def path_with_make(folder: Path, script: str) -> str:
    """Return a PATH on which `make` prints what it is asked for, and then runs this line of shell."""
    make = folder / "make"
    make.write_text(f'#!/bin/sh\necho "asked: $*"\n{script}\n')
    make.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def asked(output: str) -> list[str]:
    """Return what `make` was asked for, its version not counted."""
    return re.findall(r"^asked: (?!--version)(.*)", output, re.MULTILINE)


@pytest.mark.parametrize("place", ["", "missing", "empty"])
def test_recordings_that_are_promised_must_be_there(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    done = run(PARLEY_RECORDINGS=str(tmp_path / place) if place else "")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("PARLEY_RECORDINGS is set")


def test_it_installs_the_clients_and_runs_the_command_of_the_readme(tmp_path: Path) -> None:
    done = run(PATH=path_with_make(tmp_path, "true"))
    assert done.returncode == 0, done.stderr
    assert asked(done.stdout) == ["clients-install", "test PYTEST=--allowed-skips tests/skips.toml"]
    assert re.search(r"^make test ", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("target", ["clients-install", "test"])
def test_it_fails_when_a_step_does(tmp_path: Path, target: str) -> None:
    done = run(PATH=path_with_make(tmp_path, f'test "$1" != {target}'))
    assert done.returncode == 1
    assert asked(done.stdout)[-1].split()[0] == target
