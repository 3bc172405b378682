"""The real `parley up`: every process, the simulator as upstream, a state directory of its own."""

import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.children import alive, until
from tests.support.files import open_to_others

ROOT = Path(__file__).parents[2]
SERVICES = {"converter", "state", "analytics", "edge"}
STOP_SECONDS = 60.0


class Up:
    """One state directory, in which `parley` commands run as a user would run them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "var"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PARLEY_", "OPENAI_", "MAKE"))}
        self.environ = {**kept, "PYTHONPATH": str(ROOT), "PARLEY_VAR": str(self.state), "PARLEY_PORT": "0"}
        self._output = directory / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run `parley up` until its banner is there."""
        with self._output.open("wb") as output:
            command = [sys.executable, "-m", "parley", "up"]
            self.process = subprocess.Popen(
                command, cwd=self.directory, env=self.environ, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        until(lambda: "Parley is up" in self.output or not self.runs, "the banner")
        assert self.runs, self.output

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def output(self) -> str:
        return self._output.read_text()

    def told(self) -> dict[str, Any]:
        running: dict[str, Any] = json.loads((self.state / "cluster.json").read_text())
        return running

    def parley(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "parley", *arguments]
        return subprocess.run(
            command, cwd=self.directory, env=self.environ, capture_output=True, text=True, check=False, timeout=60
        )

    def banner_part(self, title: str) -> str:
        return textwrap.dedent(self.output.partition(f"{title}:\n")[2].partition("\n\n")[0])

    def call(self) -> int:
        """Make the banner's curl call; return its status, 0 when nobody answers."""
        arguments = shlex.split(self.banner_part("Call it"))
        given = dict(arguments[place + 1].split(": ", 1) for place, word in enumerate(arguments) if word == "-H")
        data = arguments[arguments.index("-d") + 1].encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(arguments[1], data, given), timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def calls_recorded(self) -> int:
        answer = self.parley("query", "--json", "SELECT count() AS n FROM calls")
        assert answer.returncode == 0, answer.stderr
        return int(json.loads(answer.stdout)["n"])

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)

    def end(self) -> None:
        if self.process is not None and self.runs:
            self.process.kill()
            self.process.wait()


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
