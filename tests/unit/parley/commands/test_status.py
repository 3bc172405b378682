import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.local.state_dir import Running, StateDir
from parley.cli import main


def test_without_a_cluster_it_says_how_to_start_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["status"], env={"PARLEY_VAR": str(tmp_path)})
    assert result.exit_code == 1
    assert result.output == f"parley: No cluster runs in {tmp_path}; start one with `parley up`.\n"


def test_a_service_that_does_not_answer_is_not_ready(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    state = StateDir(tmp_path)
    state.occupy()
    state.tell(Running(pid=os.getpid(), edge_port=port, health_ports={"state": port}, pids={"state": 7}))
    result = CliRunner().invoke(main, ["status"], env={"PARLEY_VAR": str(tmp_path)})
    state.leave()
    assert result.exit_code == 1
    words = f"state not ready {port} 7 no answer: Connection refused"
    assert " ".join(result.output.splitlines()[-1].split()) == words


@pytest.mark.parametrize("command", ["query", "down"])
def test_other_commands_say_so_too(tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARLEY_NATS_URL", raising=False)
    arguments = [command, "SELECT 1"] if command == "query" else [command]
    result = CliRunner().invoke(main, arguments, env={"PARLEY_VAR": str(tmp_path)})
    assert f"No cluster runs in {tmp_path}" in result.output
