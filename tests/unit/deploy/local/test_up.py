import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.support.children import DEADLINE_SECONDS, alive, told, until

ROOT = Path(__file__).parents[4]


class Run:
    """One `parley up` with fake children; `output` is what its terminal shows."""

    def __init__(self, directory: Path, edge_manner: str, **environ: str) -> None:
        self.state = directory / "var"
        self.events = directory / "events"
        self._output = directory / "output"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PARLEY_", "OPENAI_", "MAKE"))}
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fake_cluster", str(self.events), edge_manner],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env={**kept, "PYTHONPATH": str(ROOT), "PARLEY_PORT": "0", **environ},
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def pids(self) -> dict[str, int]:
        return dict(told(self.events, "started"))

    def told(self) -> dict[str, object]:
        running: dict[str, object] = json.loads((self.state / "cluster.json").read_text())
        return running

    def await_up(self) -> None:
        until(lambda: "Parley is up" in self.output or self.process.poll() is not None, "up")
        assert self.process.poll() is None, self.output

    def end(self) -> int:
        return self.process.wait(DEADLINE_SECONDS)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(edge_manner: str = "polite", **environ: str) -> Run:
        runs.append(Run(tmp_path, edge_manner, **environ))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()
    for run in runs:
        until(lambda run=run: not any(map(alive, run.pids().values())), "no process is left")  # type: ignore[misc]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_edge_first_and_exits_well(start: Callable[..., Run], number: signal.Signals) -> None:
    run = start("slow")
    run.await_up()
    run.process.send_signal(number)
    assert run.end() == 0
    assert [name for name, _ in told(run.events, "stopped")] == ["edge", "converter", "nats-server"]
    assert "Parley has stopped." in run.output
    assert not (run.state / "cluster.json").exists()


def test_the_running_cluster_is_told_in_cluster_json(start: Callable[..., Run]) -> None:
    run = start()
    run.await_up()
    running = run.told()
    pids = run.pids()
    assert running["pid"] == run.process.pid
    assert running["pids"] == pids
    assert running["edge_port"] == pids["edge"]  # a fake announces its process id
    assert running["base_url"] == f"http://127.0.0.1:{pids['edge']}/v1"
    assert running["health_ports"] == {"converter": pids["converter"], "edge": pids["edge"]}
    assert running["upstream"] == "simulator"


def test_a_second_interrupt_hastens(start: Callable[..., Run]) -> None:
    run = start("stubborn")  # its grace is far longer than the deadline of this test
    run.await_up()
    run.process.send_signal(signal.SIGINT)
    until(lambda: bool(told(run.events, "asked")), "the edge was asked to stop")
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0
    assert "edge did not stop in time and was killed" in run.output


def test_an_interrupt_during_the_start_stops_what_has_started(start: Callable[..., Run]) -> None:
    run = start("mute")
    until(lambda: "edge" in run.pids(), "the edge has started")
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0
    assert [name for name, _ in told(run.events, "stopped")] == ["edge", "converter", "nats-server"]


def test_nothing_outlives_a_killed_supervisor_and_its_stale_file_is_ignored(start: Callable[..., Run]) -> None:
    killed = start("stubborn")
    killed.await_up()
    pids = killed.pids()
    killed.process.kill()
    killed.process.wait()
    until(lambda: not any(map(alive, pids.values())), "no child is left")
    assert (killed.state / "cluster.json").exists()
    following = start()
    following.await_up()
    assert following.told()["pid"] == following.process.pid


def test_a_second_up_says_so_and_touches_nothing(start: Callable[..., Run], tmp_path: Path) -> None:
    first = start()
    first.await_up()
    before = first.told()
    (tmp_path / "second").mkdir()
    second = Run(tmp_path / "second", "polite", PARLEY_VAR=str(first.state))
    assert second.end() == 1
    (line,) = second.output.splitlines()
    assert line.startswith("Parley is already running in ")
    assert line.endswith(f", at {before['base_url']} (process {first.process.pid}).")
    assert first.told() == before and first.process.poll() is None
    assert not second.pids()


def test_a_child_that_fails_shows_its_last_lines(start: Callable[..., Run]) -> None:
    run = start("broken")
    assert run.end() == 1
    assert "edge exited with status 1. The last lines of " in run.output
    assert "  port 1 is cursed\n" in run.output
    assert [name for name, _ in told(run.events, "stopped")] == ["converter", "nats-server"]


def test_a_taken_port_is_said_in_one_sentence(start: Callable[..., Run]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        run = start(PARLEY_PORT=str(port))
        assert run.end() == 1
    (line,) = run.output.splitlines()
    assert line.startswith(f"Parley cannot listen on port {port} of 127.0.0.1 (Address already in use)")
    assert not run.pids()


def test_a_wrong_configuration_is_said_in_one_sentence(start: Callable[..., Run]) -> None:
    run = start(PARLEY_GRACE_SECONDS="soon")
    assert run.end() == 1
    (line,) = run.output.splitlines()
    assert line.startswith("PARLEY_GRACE_SECONDS: ")


_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(['make', 'up'])))"


def test_ctrl_c_under_make_ends_make_well(tmp_path: Path) -> None:
    events = tmp_path / "events"
    script = f"PYTHONPATH={ROOT} PARLEY_PORT=0 {sys.executable} -m tests.support.fake_cluster {events} slow"
    (tmp_path / "Makefile").write_text(f"up:\n\t@{script}\n")
    terminal = [sys.executable, "-c", _TERMINAL]
    with subprocess.Popen(terminal, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None and process.stdout is not None
        output = _read_past(process.stdout, b"Stop with Ctrl-C")
        process.stdin.write(b"\x03")
        output = _read_past(process.stdout, b"Parley has stopped.")
        process.wait(DEADLINE_SECONDS)
    assert process.returncode == 0
    assert b"make" not in output
    assert [name for name, _ in told(events, "stopped")] == ["edge", "converter", "nats-server"]


def _read_past(stdout: IO[bytes], mark: bytes) -> bytes:
    output = b""
    while mark not in output:
        data = stdout.read(4096)
        assert data, output.decode()
        output += data
    return output
