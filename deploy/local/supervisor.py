"""Keeps the processes of the local cluster running: starts them in stages, restarts the dead, stops them in order.

What the processes are is in `cluster.py`, what one process does in `child.py`.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from deploy.local.child import Child, ChildFailed
from libs.runtime.backoff import Backoff

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0
WELL_AFTER_SECONDS = 30.0

Say = Callable[[str], None]


class Supervisor:
    """Runs `stages` of children: a stage starts when the one before is ready, and stops before it.

    `say` takes lines for the terminal; `changed` is called when a restarted child is ready again.
    """

    def __init__(self, stages: Sequence[Sequence[Child]], say: Say, changed: Callable[[], None]) -> None:
        self._stages = stages
        self._say = say
        self._changed = changed
        self._keepers: dict[str, asyncio.Task[None]] = {}

    @property
    def children(self) -> Iterator[Child]:
        """All children, in the order of their start."""
        return (child for stage in self._stages for child in stage)

    async def start(self) -> None:
        """Start all children, and keep them running from then on.

        Raises ChildFailed for the first that does not become ready, OSError when the system refuses one;
        the others are left as they are, for `stop`.
        """
        for stage in self._stages:
            try:
                async with asyncio.TaskGroup() as group:
                    for child in stage:
                        group.create_task(self._start(child))
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from None
        for child in self.children:
            self._keepers[child.name] = asyncio.create_task(self._keep(child))

    async def _start(self, child: Child) -> None:
        await child.start()
        await child.wait_ready()
        self._say(f"  {child.name:<12} ready after {child.age_seconds:4.1f} s, port {child.port}")

    async def _keep(self, child: Child) -> None:
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
        while True:
            await child.wait()
            if child.well_seconds >= WELL_AFTER_SECONDS:
                backoff.reset()
            delay = backoff.next()
            self._say(f"{_clock()} {child.name} {child.end()}; starting it again in {delay:.2g} s (see {child.log})")
            await asyncio.sleep(delay)
            await self._restart(child)

    async def _restart(self, child: Child) -> None:
        try:
            await child.start()
            await child.wait_ready()
        except ChildFailed:
            await child.kill()  # `_keep` says so, and tries again
        except OSError as error:
            self._say(f"{_clock()} {child.name} cannot be started: {error.strerror}")
        else:
            self._say(f"{_clock()} {child.name} is ready again after {child.age_seconds:.1f} s")
            self._changed()

    async def stop(self, hastened: asyncio.Event) -> None:
        """Stop all children, the last stage first; those of the stages before are kept running meanwhile."""
        for stage in reversed(self._stages):
            await asyncio.gather(*(self._stop(child, hastened) for child in stage))

    async def _stop(self, child: Child, hastened: asyncio.Event) -> None:
        keeper = self._keepers.pop(child.name, None)
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        if not await child.stop(hastened):
            self._say(f"{child.name} did not stop in time and was killed")


def _clock() -> str:
    return time.strftime("%H:%M:%S")
