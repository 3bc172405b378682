"""When a client counts as installed: only then do its tests run."""

from pathlib import Path

import pytest

from tests.clients import environments
from tests.clients.clients import CLIENTS, HERE, Client
from tests.clients.environments import why_not


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all environments, here an empty one."""
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    return tmp_path


def stamp(root: Path, directory: str, lock: Path) -> None:
    """Leave behind what an installation from this lock leaves."""
    (root / directory).mkdir(exist_ok=True)
    (root / directory / "installed").write_text(environments._digest(lock))


def client(directory: str) -> Client:
    return next(client for client in CLIENTS if client.directory == directory)


def test_a_client_in_the_projects_own_environment_can_always_run() -> None:
    assert why_not(client("openai_python")) == ""


def test_a_client_runs_from_its_lock_alone(root: Path) -> None:
    assert why_not(client("llm")) == "llm (Python) is not installed: make clients-install"
    stamp(root, "llm", HERE / "litellm" / "requirements.txt")
    assert why_not(client("llm")) == "llm (Python) is older than its lock: make clients-install"
    stamp(root, "llm", HERE / "llm" / "requirements.txt")
    assert why_not(client("llm")) == ""


def test_a_client_of_node_needs_the_pinned_node_as_well(root: Path) -> None:
    stamp(root, "openai_node", HERE / "openai_node" / "package-lock.json")
    assert why_not(client("openai_node")) == "openai (Node) is not installed: make clients-install"
    stamp(root, "node", HERE / "llm" / "requirements.txt")
    assert why_not(client("openai_node")) == "openai (Node) is older than its lock: make clients-install"
    stamp(root, "node", HERE / "node" / "requirements.txt")
    assert why_not(client("openai_node")) == ""
