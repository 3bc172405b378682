"""Passwords of what a service connects to stand in no line that it prints: not at the start, not later."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import Service
from tests.support.nats import running_nats
from tests.support.wait import until

PASSWORD = "pw-9d41c7e2"
ROOT = Path(__file__).resolve().parents[2]


def printed(name: str, **environ: str) -> str:
    """Return what a service prints that cannot start."""
    settings = {"PARLEY_NATS_CONNECT_TIMEOUT_SECONDS": "1", "PYTHONPATH": str(ROOT), **environ}
    command = [sys.executable, "-m", f"services.{name}"]
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_reconnect_tells_where_and_not_with_which_password(tmp_path: Path) -> None:
    with running_nats(tmp_path / "nats", f"parley:{PASSWORD}") as server:
        settings = {
            "PARLEY_NATS_URL": server.url,
            "PARLEY_STATE_STORE": "memory",
            "PARLEY_SECRET_FILE": str(tmp_path / "secret"),
        }
        service = Service("state", settings, tmp_path / "state.log")
        service.start()
        try:
            server.kill()
            until(lambda: "bus_disconnected" in service.logged(), what="loss noticed")
            server.start()
            until(lambda: "bus_reconnected" in service.logged(), what="reconnected")
        finally:
            service.stop()
        assert f'"server":"127.0.0.1:{server.port}"' in service.logged()
        assert PASSWORD not in service.logged()


@pytest.mark.parametrize(
    "url",
    [
        f"nats://parley:{PASSWORD}@127.0.0.1:9",
        f"nats://{PASSWORD}@127.0.0.1:9",
        f"parley:{PASSWORD}@127.0.0.1:9",
        f"nats://parley:{PASSWORD[:4]}/{PASSWORD[4:]}@127.0.0.1:9",
        f"nats://parley:1/{PASSWORD}@127.0.0.1:9",
        f"nats://parley:{PASSWORD}@@127.0.0.1:9",
        f"nats://parley:{PASSWORD}@127.0.0.1:port",
        f"nats://parley:{PASSWORD}@",
    ],
)
def test_error_at_the_start_holds_no_password(url: str) -> None:
    text = printed("converter", PARLEY_NATS_URL=url)
    assert "NATS" in text or "nats.url" in text
    assert PASSWORD not in text and PASSWORD[4:] not in text


def test_wrong_password_stops_the_start_without_being_told(tmp_path: Path) -> None:
    with running_nats(tmp_path / "nats", f"parley:{PASSWORD}") as server:
        url = server.url.replace(PASSWORD, f"no-{PASSWORD}")
        text = printed("converter", PARLEY_NATS_URL=url)
    assert "no connection to NATS" in text
    assert PASSWORD not in text


@pytest.mark.parametrize(
    "url",
    [
        f"redis://parley:{PASSWORD}@127.0.0.1:9/0",
        f"redis://:{PASSWORD}@127.0.0.1:9/x",
        f"redis://:{PASSWORD[:4]}/{PASSWORD[4:]}@127.0.0.1:9/0",
        f"http://:{PASSWORD}@127.0.0.1:9/0",
        f"redis://127.0.0.1:9/0?password={PASSWORD}",
    ],
)
def test_redis_that_is_not_there_is_told_without_its_password(tmp_path: Path, url: str) -> None:
    with running_nats(tmp_path / "nats") as server:
        environ = {"PARLEY_NATS_URL": server.url, "PARLEY_STATE_STORE": "redis", "PARLEY_STATE_REDIS_URL": url}
        text = printed("state", **environ)
    assert "redis_url" in text
    assert PASSWORD not in text and PASSWORD[4:] not in text


def test_clickhouse_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    with running_nats(tmp_path / "nats") as server:
        url = f"http://parley:{PASSWORD}@127.0.0.1:9"
        settings = {"PARLEY_NATS_URL": server.url, "PARLEY_ANALYTICS_CLICKHOUSE_URL": url}
        service = Service("analytics", settings, tmp_path / "analytics.log")
        service.start()
        try:
            until(lambda: "database_not_opened" in service.logged(), seconds=30, what="failure told")
        finally:
            service.stop()
        assert PASSWORD not in service.logged()


def test_base_url_that_is_none_is_told_without_its_password() -> None:
    for url in (f"ftp://a:{PASSWORD}@b/v1", f"a:{PASSWORD}@b/v1", f"http://a:{PASSWORD}@b:x/v1"):
        text = printed("converter", OPENAI_BASE_URL=url)
        assert "base_url" in text and PASSWORD not in text
