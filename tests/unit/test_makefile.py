import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRON = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}


def make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=directory, env=ENVIRON, capture_output=True, text=True, check=False)


def test_make_alone_lists_every_target() -> None:
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = [line.split()[0] for line in make(ROOT).stdout.splitlines()]
    assert listed == targets


def test_an_interpreter_that_is_too_old_is_said_in_one_sentence(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make(tmp_path, "install", f"PYTHON={old}")
    assert done.returncode != 0
    assert done.stderr.startswith(f"Parley needs Python 3.11 or newer, and {old} is not")
    assert not (tmp_path / ".venv").exists()
