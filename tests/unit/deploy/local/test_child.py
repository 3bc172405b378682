import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.child import Child, ChildFailed
from tests.support.children import fake


async def _never(port: int) -> bool:
    return False


async def test_output_goes_to_the_log_which_grows_over_restarts(tmp_path: Path) -> None:
    child = Child(fake("a", tmp_path / "events", "brief", probe=_never), tmp_path)
    for _ in range(2):
        await child.start()
        with pytest.raises(ChildFailed) as failure:
            await child.wait_ready()
        assert failure.value.tail == [f"ready {child.pid}", "after ready"]
    assert child.log.read_text().count("after ready") == 2


async def test_the_port_is_known_from_the_announcement(tmp_path: Path) -> None:
    child = Child(fake("a", tmp_path / "events", environ={"FAKE_PORT": "4711"}), tmp_path)
    await child.start()
    await child.wait_ready()
    assert child.port == 4711
    await child.kill()
    assert child.end() == "was killed by SIGKILL"


async def test_a_child_is_out_of_reach_of_the_terminals_signals(tmp_path: Path) -> None:
    child = Child(fake("a", tmp_path / "events"), tmp_path)
    await child.start()
    assert os.getpgid(child.pid) == child.pid != os.getpgrp()
    await child.kill()


async def test_a_command_that_does_not_exist_says_so_in_the_log(tmp_path: Path) -> None:
    child = Child(replace(fake("a", tmp_path / "events"), command=["no-such-command"]), tmp_path)
    await child.start()
    with pytest.raises(ChildFailed) as failure:
        await child.wait_ready()
    assert failure.value.tail == ["no-such-command: No such file or directory"]


async def test_well_seconds_count_from_ready_in_the_present_life(tmp_path: Path) -> None:
    child = Child(fake("a", tmp_path / "events", "mute", start_seconds=0.2), tmp_path)
    await child.start()
    with pytest.raises(ChildFailed):
        await child.wait_ready()
    assert child.well_seconds == 0.0 < child.age_seconds
    await child.kill()


async def test_stop_of_a_child_that_does_not_run_does_nothing(tmp_path: Path) -> None:
    child = Child(fake("a", tmp_path / "events", "broken"), tmp_path)
    assert await child.stop(asyncio.Event())
    await child.start()
    await child.wait()
    assert await child.stop(asyncio.Event())
    assert child.end() == "exited with status 1"
