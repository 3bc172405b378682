"""The table in README.md is what was recorded, of the versions that are pinned, and nothing in it failed."""

import re
from pathlib import Path

import pytest

from tests.clients.clients import CLIENTS, HERE, Client
from tests.clients.recording import load
from tests.clients.table import COLUMNS, in_readme, render

LOCKS = sorted(path for pattern in ("*/requirements.txt", "*/package*.json") for path in HERE.glob(pattern))


def test_readme_shows_what_was_recorded() -> None:
    assert in_readme() == render(load()), "write it anew: make clients"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.id)
def test_every_client_is_recorded_whole_and_passed(client: Client) -> None:
    result = {result["client"]: result for result in load()}[client.id]
    assert result["version"] == client.pinned, "its version changed: make clients"
    assert result["scenarios"] == dict.fromkeys((*client.scenarios, "upstream"), "passed")


def test_every_scenario_has_a_column() -> None:
    scenarios = {scenario for client in CLIENTS for scenario in client.scenarios}
    assert scenarios == {scenario for column in COLUMNS.values() for scenario in column}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_lock_names_a_host(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text and "resolved" not in text
    assert not re.search(r"^\s*--?(index-url|extra-index-url|find-links|trusted-host|i|f)\b", text, re.MULTILINE)
