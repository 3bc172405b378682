"""Waiting for a condition with a deadline, instead of sleeping for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def eventually(holds: Callable[[], Awaitable[bool]], *, seconds: float = 10.0, what: str = "condition") -> None:
    """Return once `holds` does; fail when it does not within `seconds`."""
    ends = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < ends, f"{what} did not come true within {seconds} s"
        await asyncio.sleep(0.02)
