"""Measures when the event loop stands still."""

import asyncio
import time
from collections.abc import Callable

BEAT_SECONDS = 0.05
# What is shorter matters to no subject; it must be longer than a beat that comes late on a busy machine.
LEAST_STALL_SECONDS = 0.5


class Pulse:
    """Detects that the event loop stood still, and reports for how many seconds at least."""

    def __init__(self, notify: Callable[[float], None]) -> None:
        self._notify = notify
        self._felt = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Beat from now on, in the running loop."""
        self._felt = time.monotonic()
        self._beat()

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        self.feel()
        self._timer = asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat)

    def feel(self) -> float:
        """Return the monotonic time, after a stall that ends now is reported."""
        now = time.monotonic()
        stalled = now - self._felt - BEAT_SECONDS
        self._felt = now
        if stalled >= LEAST_STALL_SECONDS and self._timer is not None:
            self._notify(stalled)
        return now
