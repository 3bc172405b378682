import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.local import supervisor as module
from deploy.local.child import Child, ChildFailed, Spec
from deploy.local.supervisor import Supervisor
from tests.support.children import DEADLINE_SECONDS, alive, fake, told


class Terminal:
    """Collects what the supervisor says and how often it tells of a change."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.changes = 0

    def changed(self) -> None:
        self.changes += 1

    def said(self, *parts: str) -> bool:
        return any(all(part in line for part in parts) for line in self.lines)


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not in time: {what}")


@asynccontextmanager
async def supervising(tmp_path: Path, *stages: list[Spec]) -> AsyncIterator[tuple[Supervisor, Terminal]]:
    terminal = Terminal()
    children = [[Child(spec, tmp_path) for spec in stage] for stage in stages]
    supervisor = Supervisor(children, terminal.lines.append, terminal.changed)
    hastened = asyncio.Event()
    try:
        yield supervisor, terminal
    finally:
        hastened.set()
        await supervisor.stop(hastened)
    assert not any(child.running for child in supervisor.children)


def delays(terminal: Terminal) -> list[float]:
    """The delays before the restarts of `a`, in seconds, as they were said."""
    said = re.compile(r" a was killed by SIGKILL; starting it again in (\S+) s ")
    return [float(found[1]) for line in terminal.lines if (found := said.search(line))]


async def test_a_stage_starts_when_the_one_before_is_ready(tmp_path: Path) -> None:
    events = tmp_path / "events"
    stages = [[fake("a", events), fake("b", events)], [fake("c", events)]]
    async with supervising(tmp_path, *stages) as (supervisor, terminal):
        await supervisor.start()
        started = [name for name, _ in told(events, "started")]
        assert sorted(started[:2]) == ["a", "b"] and started[2] == "c"
        assert [terminal.said(f"  {name} ", "ready after") for name in "abc"] == [True] * 3


async def test_stop_goes_from_the_last_stage_to_the_first_and_waits_for_each(tmp_path: Path) -> None:
    events = tmp_path / "events"
    stages = [[fake("bus", events)], [fake("w1", events, "slow"), fake("w2", events)], [fake("edge", events, "slow")]]
    async with supervising(tmp_path, *stages) as (supervisor, _):
        await supervisor.start()
        await supervisor.stop(asyncio.Event())
        lines = [line.rsplit(" ", 1)[0] for line in events.read_text().splitlines()]
        asked = [line for line in lines if not line.endswith("started")]
        assert asked[:2] == ["edge asked", "edge stopped"]
        assert asked[-2:] == ["bus asked", "bus stopped"]
        assert sorted(asked[2:6]) == ["w1 asked", "w1 stopped", "w2 asked", "w2 stopped"]


async def test_a_dead_child_is_started_again_and_said_so(tmp_path: Path) -> None:
    events = tmp_path / "events"
    async with supervising(tmp_path, [fake("a", events)]) as (supervisor, terminal):
        await supervisor.start()
        (_, first_pid) = told(events, "started")[0]
        os.kill(first_pid, signal.SIGKILL)
        await until(lambda: terminal.changes == 1, "the child is ready again")
        (child,) = supervisor.children
        assert child.pid == told(events, "started")[1][1] != first_pid
        assert [0.1 <= delay <= 0.2 for delay in delays(terminal)] == [True]
        assert terminal.said("a is ready again")


@pytest.mark.parametrize(
    ("well_after_seconds", "longest"),
    [(30.0, [0.01, 0.02, 0.04, 0.08]), (0.0, [0.01, 0.01, 0.01, 0.01])],
    ids=["keeps dying", "was well each time"],
)
async def test_a_child_that_keeps_dying_is_started_ever_more_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, well_after_seconds: float, longest: list[float]
) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(module, "WELL_AFTER_SECONDS", well_after_seconds)
    async with supervising(tmp_path, [fake("a", tmp_path / "events")]) as (supervisor, terminal):
        await supervisor.start()
        (child,) = supervisor.children
        for restarts in range(1, 5):
            await child.kill()
            await until(lambda: terminal.changes == restarts, f"restart {restarts}")  # noqa: B023 - awaited here
        waited = delays(terminal)
    assert [0.5 * most <= delay <= most for delay, most in zip(waited, longest, strict=True)] == [True] * 4


async def test_a_restarted_child_keeps_its_port(tmp_path: Path) -> None:
    spec = fake("edge", tmp_path / "events", port_variable="FAKE_PORT")
    async with supervising(tmp_path, [spec]) as (supervisor, terminal):
        await supervisor.start()
        (child,) = supervisor.children
        port = child.port
        await child.kill()
        await until(lambda: terminal.changes == 1, "the child is ready again")
        assert child.port == port != child.pid


async def test_a_child_is_started_again_while_a_later_stage_stops(tmp_path: Path) -> None:
    events = tmp_path / "events"
    stages = [[fake("bus", events)], [fake("edge", events, "stubborn")]]
    async with supervising(tmp_path, *stages) as (supervisor, terminal):
        await supervisor.start()
        hastened = asyncio.Event()
        stopping = asyncio.create_task(supervisor.stop(hastened))
        await until(lambda: bool(told(events, "asked")), "the edge was asked to stop")
        os.kill(told(events, "started")[0][1], signal.SIGKILL)
        await until(lambda: terminal.said("bus is ready again"), "the bus is back")
        hastened.set()
        await stopping
        assert terminal.said("edge did not stop in time and was killed")
        assert [name for name, _ in told(events, "stopped")] == ["bus"]


async def test_a_stubborn_child_is_killed_at_the_end_of_its_grace(tmp_path: Path) -> None:
    events = tmp_path / "events"
    async with supervising(tmp_path, [fake("a", events, "stubborn", grace_seconds=0.1)]) as (supervisor, terminal):
        await supervisor.start()
        await supervisor.stop(asyncio.Event())
        assert not alive(told(events, "started")[0][1])
        assert terminal.said("a did not stop in time")


async def test_a_child_that_fails_at_the_start_is_named_with_its_last_lines(tmp_path: Path) -> None:
    events = tmp_path / "events"
    stages = [[fake("good", events), fake("bad", events, "broken")], [fake("later", events)]]
    async with supervising(tmp_path, *stages) as (supervisor, _):
        with pytest.raises(ChildFailed, match="^bad exited with status 1$") as failure:
            await supervisor.start()
        assert sorted(failure.value.tail) == ["first words", "port 1 is cursed"]
        assert "later" not in [name for name, _ in told(events, "started")]


async def test_a_child_that_never_is_ready_fails_the_start(tmp_path: Path) -> None:
    spec = fake("a", tmp_path / "events", "mute", start_seconds=0.5)
    async with supervising(tmp_path, [spec]) as (supervisor, _):
        with pytest.raises(ChildFailed, match="^a was not ready within 0.5 s$"):
            await supervisor.start()
