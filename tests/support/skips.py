"""Holds a run to a table of skips: more than it allows for a reason, or a reason that it does not name, fail the run.

`pytest --allowed-skips tests/skips.toml` does so, and prints the number of each reason.
"""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest


class SkipCheck:
    """A plugin for one run.

    The table has two sections of numbers by reason: `always`, and `machine`, where fewer may depend on the machine.
    """

    def __init__(self, table: Path) -> None:
        sections: dict[str, dict[str, int]] = tomllib.loads(table.read_text(encoding="utf-8"))
        self._table = table
        self._always, machine = sections["always"], sections["machine"]
        self._allowed = {**self._always, **machine}
        self._skipped: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a skipped test; one that was expected to fail was not skipped."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._count(report.longrepr)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a file that was skipped whole."""
        if report.skipped:
            self._count(report.longrepr)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that would have passed."""
        if self._too_many() and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the number of each reason, and what is to be done."""
        terminalreporter.section("skipped tests by reason")
        for reason in sorted({*self._allowed, *self._skipped}):
            terminalreporter.line(f"{self._skipped[reason]:4} of {self._allowed.get(reason, 0):3}: {reason}")
        for reason, number in sorted(self._too_many().items()):
            terminalreporter.line(f"{number} more than {self._table} allows: {reason}", red=True)
        for reason, allowed in self._always.items():
            if self._skipped[reason] < allowed:
                terminalreporter.line(f"Lower the number in {self._table} to {self._skipped[reason]}: {reason}")

    def _count(self, longrepr: Any) -> None:
        _, _, reason = longrepr
        self._skipped[reason.removeprefix("Skipped: ")] += 1

    def _too_many(self) -> dict[str, int]:
        over = {reason: number - self._allowed.get(reason, 0) for reason, number in self._skipped.items()}
        return {reason: number for reason, number in over.items() if number > 0}
