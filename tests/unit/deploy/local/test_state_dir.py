import os
from pathlib import Path

import pytest

from deploy.local.state_dir import Occupied, Running, StateDir


def test_it_is_var_unless_the_environment_names_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert StateDir.of({}).path == tmp_path / "var"
    assert StateDir.of({}).shown == "var"
    assert StateDir.of({"PARLEY_VAR": "/elsewhere"}).shown == "/elsewhere"


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "var")
    state.occupy()
    assert state.path.stat().st_mode & 0o777 == 0o700
    state.leave()


def test_a_second_occupant_is_refused_with_the_address_of_the_first(tmp_path: Path) -> None:
    first, second = StateDir(tmp_path), StateDir(tmp_path)
    first.occupy()
    first.tell(Running(pid=7, base_url="http://127.0.0.1:8080/v1"))
    with pytest.raises(Occupied, match=r"already running in .*, at http://127.0.0.1:8080/v1 \(process 7\)\.$"):
        second.occupy()
    first.leave()
    second.occupy()
    second.leave()


def test_a_first_that_is_not_up_yet_is_said_to_be_starting(tmp_path: Path) -> None:
    first = StateDir(tmp_path)
    first.occupy()
    with pytest.raises(Occupied, match="already starting"):
        StateDir(tmp_path).occupy()
    first.leave()


def test_running_is_what_the_occupant_told(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    assert StateDir(tmp_path).running() is None
    state.occupy()
    assert StateDir(tmp_path).running() == Running(pid=os.getpid())
    told = Running(pid=7, base_url="http://127.0.0.1:1/v1", health_ports={"edge": 1})
    state.tell(told)
    assert StateDir(tmp_path).running() == told
    state.leave()
    assert StateDir(tmp_path).running() is None


def test_a_file_without_a_lock_means_nothing(tmp_path: Path) -> None:
    StateDir(tmp_path).tell(Running(pid=7, base_url="http://127.0.0.1:1/v1"))
    assert StateDir(tmp_path).running() is None


def test_looking_makes_no_directory(tmp_path: Path) -> None:
    assert StateDir(tmp_path / "var").running() is None
    assert not (tmp_path / "var").exists()
