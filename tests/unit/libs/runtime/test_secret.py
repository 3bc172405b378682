"""The deployment's secret: where it comes from, and what is refused."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from libs.runtime.errors import StartError
from libs.runtime.secret import load_secret


def test_secret_is_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret"
    first = load_secret({}, str(path))
    assert load_secret({}, str(path)) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_secret({}, str(tmp_path / "other")) != first


def test_services_that_start_together_read_the_same_secret(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: load_secret({}, str(path)), range(32)))) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_secret_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="secret file"):
        load_secret({}, str(tmp_path))


def test_secret_of_the_environment_wins(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert load_secret({"PARLEY_SECRET": "x" * 16}, str(path)) != load_secret({}, str(path))


def test_short_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="less than 16"):
        load_secret({"PARLEY_SECRET": "short"}, str(tmp_path / "secret"))
