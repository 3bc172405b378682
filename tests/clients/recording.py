"""Keeps what came of each client in results.json: `python -m pytest tests/clients -p tests.clients.recording`."""

import json
from typing import Any

import pytest

from tests.clients.clients import CLIENTS, HERE

RESULTS = HERE / "results.json"

_run: dict[str, dict[str, Any]] = {}


def load() -> list[dict[str, Any]]:
    """Return what is recorded, in the order of the clients."""
    recorded: list[dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    return recorded


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    about = dict(report.user_properties)
    if "client" not in about or report.skipped or (report.when != "call" and report.passed):
        return
    result = _run.setdefault(str(about["client"]), {"version": "", "scenarios": {}})
    result["version"] = about.get("version", result["version"])
    scenario = str(about["scenario"])
    passed = report.passed and result["scenarios"].get(scenario, "passed") == "passed"
    result["scenarios"][scenario] = "passed" if passed else "failed"


def pytest_sessionfinish() -> None:
    """A client that did not run keeps what is recorded of it."""
    known = {entry["client"]: entry for entry in load()}
    known |= {name: {"client": name, **result} for name, result in _run.items()}
    entries = [known[client.id] for client in CLIENTS if client.id in known]
    RESULTS.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
