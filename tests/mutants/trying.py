"""Tries changes, in the environment and the copy of `make mutants`: `trying.py RESULTS STEP PATTERN...`.

mutmut writes the changed code and chooses the change of a process; both by functions that are no public interface,
so its version is pinned. One pytest session collects the tests. A fork of it runs them all and says which functions
each reaches; then a fork for each change runs the tests that reach the changed function, the quickest first, until
one fails.
"""

import gc
import json
import os
import pickle
import resource
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import redirect_stdout, suppress
from fnmatch import fnmatch
from pathlib import Path

import pytest
from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants, setup_source_paths
from mutmut.configuration import config
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

KILLED, SURVIVED, TIMEOUT, UNTESTED = "killed", "survived", "timeout", "no test"
_VERDICTS = {0: SURVIVED, 1: KILLED, 2: TIMEOUT}
# A change may cost this many times the processor time of its tests, and as many seconds more.
_FACTOR, _SECONDS = 5, 5


class Trying:
    """The loop of the pytest session. `wanted` are names of changes; `verdicts` is filled with what became of each."""

    def __init__(self, wanted: list[str], verdicts: dict[str, str]) -> None:
        self._wanted = wanted
        self._verdicts = verdicts
        self._failed: str | None = None
        self._reached: dict[str, list[int]] = {}  # by function: places in the session's list of tests
        self._seconds: list[float] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what failed."""
        if report.failed:
            self._failed = TIMEOUT if "Timeout" in str(report.longrepr) else KILLED

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's own loop."""
        if session.testsfailed:
            raise session.Interrupted("a test file cannot be imported")
        self._measure(session)
        gc.collect()
        gc.freeze()  # or each fork copies the pages of all objects when it first collects
        running: dict[int, str] = {}
        try:
            for place, name in enumerate(self._wanted, 1):
                if len(running) >= (os.cpu_count() or 1):
                    self._reap(running)
                if tests := self._reached.get(name.partition("__mutmut_")[0]):
                    running[self._fork(session, name, tests)] = name
                else:
                    self._verdicts[name] = UNTESTED
                if place % 100 == 0:
                    print(f"{place} of {len(self._wanted)} changes", file=sys.__stderr__, flush=True)
        except KeyboardInterrupt:  # what was tried until then is reported
            print("stopping", file=sys.__stderr__, flush=True)
        while running:
            self._reap(running)
        return True

    def _measure(self, session: pytest.Session) -> None:
        """Fill `_reached` and `_seconds` from a run of all tests, in a fork: what they leave reaches no change."""
        with tempfile.TemporaryFile() as told:
            child = os.fork()
            if child == 0:
                reached: dict[str, list[int]] = {}
                seconds: list[float] = []
                set_mutant_under_test("stats")
                for place, item in enumerate(session.items):
                    self._failed, begun = None, time.process_time()
                    self._run(session, place, place + 1)
                    seconds.append(time.process_time() - begun)
                    if self._failed is None:
                        for function in state()._stats:
                            reached.setdefault(function, []).append(place)
                    else:
                        print(f"left out, for it fails: {item.nodeid}", file=sys.__stderr__, flush=True)
                    state()._stats.clear()
                pickle.dump((reached, seconds), told)
                told.flush()
                os._exit(0)
            os.waitpid(child, 0)
            told.seek(0)
            self._reached, self._seconds = pickle.load(told)
        for tests in self._reached.values():
            tests.sort(key=self._seconds.__getitem__)

    def _run(self, session: pytest.Session, place: int, following: int | None) -> None:
        item = session.items[place]
        nextitem = session.items[following] if following is not None and following < len(session.items) else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)

    def _fork(self, session: pytest.Session, name: str, tests: list[int]) -> int:
        child = os.fork()
        if child:
            return child
        code = 1
        with suppress(BaseException):
            limit = int(_SECONDS + _FACTOR * sum(self._seconds[place] for place in tests))
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
            resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
            set_mutant_under_test(name)
            self._failed = None
            for place, following in zip(tests, [*tests[1:], None], strict=True):
                self._run(session, place, following)
                if self._failed:
                    break
            code = {None: 0, KILLED: 1, TIMEOUT: 2}[self._failed]
        os._exit(code)

    def _reap(self, running: dict[int, str]) -> None:
        child, status = os.wait()
        # One that a signal ended was stopped by its limit of time.
        verdict = _VERDICTS[os.WEXITSTATUS(status)] if os.WIFEXITED(status) else TIMEOUT
        self._verdicts[running.pop(child)] = verdict


def changes(patterns: Iterable[str]) -> list[str]:
    """Return the names of the changes in the copy that a pattern names."""
    files = sorted(Path("mutants").rglob("*.meta"))
    names = [name for file in files for name in json.loads(file.read_text())["exit_code_by_key"]]
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]


def difference(name: str) -> list[str]:
    """Return the lines that a change takes away and those that it puts there."""
    module = name.rpartition(".")[0]
    lines = get_diff_for_mutant(name, path=module.replace(".", "/") + ".py").split("\n")
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def main(results: str, step: str, *patterns: str) -> None:
    """Write what became of each change, and the lines of those that survived, to the file `results`."""
    copy_src_dir()
    copy_also_copy_files()
    setup_source_paths()
    set_mutant_under_test("mutant_generation")
    create_mutants(os.cpu_count() or 1)
    settings = config()
    verdicts: dict[str, str] = {}
    trying = Trying(changes(patterns)[:: int(step)], verdicts)
    set_mutant_under_test("")
    os.chdir("mutants")
    arguments = ["--rootdir=.", "-q", *settings.pytest_add_cli_args, *settings.pytest_add_cli_args_test_selection]
    if code := pytest.main(arguments, plugins=[trying]):
        sys.exit(f"the tests could not be collected: pytest ended with {int(code)}")
    os.chdir("..")
    alive = [name for name, verdict in verdicts.items() if verdict in (SURVIVED, UNTESTED)]
    told = {"verdicts": verdicts, "lines": {name: difference(name) for name in alive}}
    Path(results).write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        main(*sys.argv[1:])
