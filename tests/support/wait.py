"""Waiting for a condition with a deadline, for tests without an event loop."""

import time
from collections.abc import Callable


def until(holds: Callable[[], bool], *, seconds: float = 10.0, what: str = "condition") -> None:
    """Return once `holds` does; fail when it does not within `seconds`."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, f"{what} did not come true within {seconds} s"
        time.sleep(0.02)
