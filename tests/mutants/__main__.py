"""`make mutants`: changes the code a little, thousands of times, and lists the changes that no test notices.

mutmut makes the changes; `trying.py` runs, for each, only the tests that reach the changed function, in a fork of a
process that has imported them. All is done on a copy under var/mutants, so the sources are never touched.

    python -m tests.mutants [PATTERN...]   only what a pattern names, such as libs.translate.answer.*
    python -m tests.mutants --sample N     each N-th change, for an estimate
    python -m tests.mutants lock           write requirements.txt anew from requirements.in
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLACE = ROOT / "var" / "mutants"
ENVIRONMENT = PLACE / "environment"
COPY = PLACE / "copy"
LOCK = HERE / "requirements.txt"
ACCEPTED = HERE / "accepted.toml"
_UV = str(Path(sys.executable).parent / "uv")

# What is changed, and the tests that must notice.
CHANGED = ("libs/translate/*", "services/edge/answering/*")
TESTS = (
    "tests/unit/libs/translate",
    "tests/unit/services/converter",
    "tests/unit/services/edge",
    *(f"tests/golden/test_{name}.py" for name in ("golden", "answers", "requests")),
)
COPIED = ("libs", "services", "deploy", "parley", "simulator", "tests")
READ = ("API_REFERENCE.md", "README.md", "docs", "examples")  # by tests
# Left out: tests with random data, which notice by chance, and tests that measure time, which notice a busy machine.
ARGUMENTS = (
    "-m",
    "not hypothesis",
    "-k",
    "not linear_time and not little_time",
    "-p",
    "no:cacheprovider",
    "--timeout=30",
)


def install() -> None:
    """Make the environment where it is not there or older than its lock; it sees the packages of the project's own."""
    stamp, wanted = ENVIRONMENT / "installed", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    _run(_UV, "venv", "--quiet", "--python", sys.executable, str(ENVIRONMENT))
    python = str(ENVIRONMENT / "bin" / "python")
    _run(_UV, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(LOCK))
    packages = next(ENVIRONMENT.glob("lib/python*/site-packages"))
    (packages / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
    stamp.write_text(wanted)


def lock() -> None:
    """Write the lock anew. What the project has locked keeps its version."""
    options = ["--universal", "--python-version", "3.11", "--generate-hashes", "-c", "requirements.lock"]
    files = [str((HERE / "requirements.in").relative_to(ROOT)), "-o", str(LOCK.relative_to(ROOT))]
    _run(_UV, "pip", "compile", "--quiet", *options, "--custom-compile-command", "make mutants-lock", *files)


def copy() -> None:
    """Bring the copy up to date. A file that did not change keeps its time, and so its results."""
    for top in (*COPIED, *READ):
        files = [ROOT / top] if (ROOT / top).is_file() else (ROOT / top).rglob("*")
        wanted = {path.relative_to(ROOT) for path in files if path.is_file() and _is_source(path)}
        for file in wanted:
            source, target = ROOT / file, COPY / file
            if not target.exists() or target.read_bytes() != source.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        for target in list((COPY / top).rglob("*")):
            if target.is_file() and target.relative_to(COPY) not in wanted:
                target.unlink()
                (COPY / "mutants" / target.relative_to(COPY)).unlink(missing_ok=True)
                (COPY / "mutants" / f"{target.relative_to(COPY)}.meta").unlink(missing_ok=True)
    settings = {
        "source_paths": [top for top in COPIED if top != "tests"],
        "also_copy": READ,
        "only_mutate": CHANGED,
        "pytest_add_cli_args": ARGUMENTS,
        "pytest_add_cli_args_test_selection": [test for test in TESTS if (ROOT / test).exists()],
        "use_git_change_detection": False,
        "timeout_multiplier": 5.0,
    }
    told = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    (COPY / "pyproject.toml").write_text(f"{(ROOT / 'pyproject.toml').read_text()}\n[tool.mutmut]\n{told}")


def _is_source(path: Path) -> bool:
    return "__pycache__" not in path.parts


def results(patterns: Sequence[str], step: int) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Try each `step`-th change that a pattern names; return what became of each, and the lines of survivors."""
    environ = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    file = PLACE / "results.json"
    file.unlink(missing_ok=True)
    python = str(ENVIRONMENT / "bin" / "python")
    command = [python, "-m", "tests.mutants.trying", str(file), str(step), *patterns]
    signal.signal(signal.SIGINT, lambda *_: None)  # it is for the tests: they stop, and what was tried is reported
    subprocess.run(command, cwd=COPY, env=environ, check=True)
    found = json.loads(file.read_text())
    return found["verdicts"], found["lines"]


class Reason(NamedTuple):
    """Why some changes are let live: those in modules that `where` names whose lines `lines` is found in."""

    where: str
    lines: str
    why: str


def reasons() -> list[Reason]:
    """Return the rows of accepted.toml."""
    return [Reason(**row) for row in tomllib.loads(ACCEPTED.read_text())["accepted"]]


def why(name: str, lines: Sequence[str], accepted: Sequence[Reason]) -> str:
    """Return why a survivor may live, "" where nothing says so."""
    text = "\n".join(lines)
    fitting = (one.why for one in accepted if fnmatch(name, f"{one.where}.*") and re.search(one.lines, text))
    return next(fitting, "")


def report(found: Mapping[str, str], changed: Mapping[str, Sequence[str]], accepted: Sequence[Reason] = ()) -> str:
    """Return what the tests noticed: a line for each module, then each survivor, with why it may live."""
    modules: dict[str, Counter[str]] = {}
    for name, verdict in found.items():
        modules.setdefault(name.rpartition(".")[0], Counter())[verdict] += 1
    total = sum(modules.values(), Counter[str]())
    width = max(map(len, modules), default=0)
    lines = [f"{'':{width}} {'tried':>6} {'killed':>7} {'timeout':>7} {'survived':>8} {'no test':>7}"]
    lines += [f"{module:{width}} {_columns(counted)}" for module, counted in sorted(modules.items())]
    lines.append(f"{'':{width}} {_columns(total)}")
    alive = total["survived"] + total["no test"]
    known = sum(why(name, changed[name], accepted) != "" for name in changed)
    share = 100 * alive / max(total.total(), 1)
    lines.append(f"{alive} of {total.total()} survive: {share:.1f} %; for {known} of them accepted.toml says why")
    for name in sorted(changed):
        lines += ["", f"{name}: {why(name, changed[name], accepted) or found[name]}", *changed[name]]
    return "\n".join(lines)


def _columns(counted: Counter[str]) -> str:
    return " ".join(
        [
            f"{counted.total():6}",
            f"{counted['killed']:7}",
            f"{counted['timeout']:7}",
            f"{counted['survived']:8}",
            f"{counted['no test']:7}",
        ]
    )


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])} failed:\n{done.stdout}")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("patterns", nargs="*", default=["*"])
    parser.add_argument("--sample", type=int, default=1, metavar="N")
    told = parser.parse_args()
    if told.patterns == ["lock"]:
        lock()
        return
    install()
    copy()
    print(report(*results(told.patterns, told.sample), reasons()))


if __name__ == "__main__":
    main()
