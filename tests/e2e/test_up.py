"""The real `parley up`: every process, the simulator as upstream, a state directory of its own."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.children import alive, until
from tests.support.files import open_to_others
from tests.support.up import STOP_SECONDS, Up

SERVICES = {"converter", "state", "analytics", "edge"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    cluster = Up(tmp_path_factory.mktemp("up"))
    cluster.start()
    yield cluster
    cluster.end()


def test_the_banner_names_the_simulator_and_its_calls_work(up: Up) -> None:
    assert "upstream   the simulator" in up.output
    assert up.call() == 200
    code = up.banner_part("Or with OpenAI's own Python SDK")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_call_can_be_queried(up: Up) -> None:
    before = up.calls_recorded()
    assert up.call() == 200
    until(lambda: up.calls_recorded() > before, "the call is recorded")
    example = shlex.split(up.banner_part("Query the records"))[-1]
    answer = up.parley("query", example)
    assert answer.returncode == 0, answer.stderr
    assert "ok" in answer.stdout.splitlines()[-1].split()


def test_status_finds_every_service_ready(up: Up) -> None:
    answer = up.parley("status", "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    status = json.loads(answer.stdout)
    assert {service["name"] for service in status["services"] if service["ready"]} == SERVICES
    assert status["edge"]["ready"] is True


def test_a_second_up_says_so_and_touches_nothing(up: Up) -> None:
    before = up.told()
    answer = up.parley("up")
    assert answer.returncode == 1
    assert f"at {before['base_url']}" in answer.stderr and answer.stderr.count("\n") == 1
    assert up.told() == before


@pytest.mark.parametrize("name", ["converter", "state", "nats-server", "simulator", "edge", "analytics"])
def test_a_killed_process_comes_back(up: Up, name: str) -> None:
    pid = up.told()["pids"][name]
    os.kill(pid, signal.SIGKILL)
    until(lambda: up.told()["pids"][name] != pid, f"another {name}")
    until(lambda: up.call() == 200, "a call succeeds")
    until(lambda: up.parley("status").returncode == 0, "every service is ready")
    assert f"{name} was killed by SIGKILL; starting it again" in up.output


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    cluster = Up(tmp_path)
    try:
        cluster.start()
        pids = cluster.told()["pids"].values()
    finally:
        cluster.end()
    until(lambda: not any(map(alive, pids)), "no process is left")


def test_state_survives_a_restart_and_nothing_is_left_running(tmp_path: Path) -> None:
    cluster = Up(tmp_path)
    try:
        cluster.start()
        assert cluster.call() == 200
        until(lambda: cluster.calls_recorded() == 1, "the call is recorded")
        secret = (cluster.state / "secret").read_bytes()
        pids = cluster.told()["pids"].values()
        assert cluster.stop() == 0, cluster.output
        assert "and was killed" not in cluster.output
        assert not any(map(alive, pids))
        cluster.start()
        assert cluster.calls_recorded() == 1
        assert (cluster.state / "secret").read_bytes() == secret
        assert cluster.parley("down").returncode == 0
        assert cluster.process is not None and cluster.process.wait(STOP_SECONDS) == 0
    finally:
        cluster.end()


def test_what_it_writes_is_its_users_alone_and_each_process_has_what_it_needs(tmp_path: Path) -> None:
    up = Up(tmp_path)
    up.environ |= {
        "OPENAI_API_KEY": "canary-key",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OTHER_TOKEN": "canary-x",
    }
    up.environ |= {"PARLEY_SECRET": "canary-secret-0123456789"}
    left = up.state / "logs" / "edge.log"  # of a release that left it open
    left.parent.mkdir(parents=True)
    left.touch(mode=0o644)
    before = os.umask(0o022)
    try:
        up.start()
    finally:
        os.umask(before)
    try:
        assert up.call() == 502  # the converter knows the route, and nobody listens there
        assert open_to_others(up.state) == {}
        environs = {name: Path(f"/proc/{pid}/environ").read_text() for name, pid in up.told()["pids"].items()}
        assert {name for name, environ in environs.items() if "canary-key" in environ} == {"edge"}
        assert {name for name, environ in environs.items() if "canary-secret" in environ} == {"edge", "state"}
        assert not [name for name, environ in environs.items() if "canary-x" in environ]
    finally:
        up.stop()
