"""Which upstreams have lately said that they know no `previous_response_id`, and need not be asked again at once."""

import time
from collections.abc import Callable

REMEMBERED_SECONDS = 600.0


class Unchained:
    """Upstreams by name; `clock` in monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def note(self, upstream: str) -> None:
        """It has just said so."""
        self._until[upstream] = self._clock() + REMEMBERED_SECONDS

    def __contains__(self, upstream: str) -> bool:
        return self._until.get(upstream, 0.0) > self._clock()
