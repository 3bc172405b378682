"""Which upstreams have lately not gone on from a `previous_response_id`, and need not be asked to again at once."""

import time
from collections.abc import Callable

REMEMBERED_SECONDS = 600.0


Target = tuple[str, str, str]  # an upstream's name, the digest of the account there, the model
_MANY = 4096


class Unchained:
    """What was asked, and whose answer said so; `clock` in monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[Target, float] = {}

    def note(self, target: Target) -> None:
        """It has just said so."""
        now = self._clock()
        if len(self._until) >= _MANY:
            self._until = {known: until for known, until in self._until.items() if until > now}
        self._until[target] = now + REMEMBERED_SECONDS

    def __contains__(self, target: Target) -> bool:
        return self._until.get(target, 0.0) > self._clock()
