"""How long to wait before the next try of what failed."""

import random
from collections.abc import Callable


class Backoff:
    """Delays that double from `first_seconds` up to `last_seconds`.

    Each is cut at random by up to a half: what failed together is not tried again together.
    """

    def __init__(
        self, first_seconds: float, last_seconds: float, chance: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._first = first_seconds
        self._last = last_seconds
        self._chance = chance
        self._next = first_seconds

    def next(self) -> float:
        """Return the delay before the next try, in seconds."""
        delay = self._next
        self._next = min(2 * delay, self._last)
        return delay * self._chance(0.5, 1.0)

    def reset(self) -> None:
        """It went well: the next failure is a first one."""
        self._next = self._first
