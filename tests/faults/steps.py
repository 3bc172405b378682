"""The steps of a turn, which faults wait for: so that each step meets some."""

import asyncio
from random import Random

# Before the request; when the upstream has it and is silent; in the stream; at its last word; after the answer.
STEPS = ("before", "converted", "streaming", "ending", "between")


class Steps:
    """Conversations tell where they are; a fault waits for any of them to come to its step."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[None]]] = {step: [] for step in STEPS}

    def tell(self, step: str) -> None:
        """Say that a turn has come to this step."""
        waiting, self._waiting[step] = self._waiting[step], []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def reached(self, chance: Random, seconds: float = 3.0) -> str:
        """Wait for some step, and return which; for want of turns none, after `seconds`."""
        step = chance.choice(STEPS)
        future = asyncio.get_running_loop().create_future()
        self._waiting[step].append(future)
        try:
            await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return "none"
        return step
