"""Which upstreams have lately not gone on from a `previous_response_id`, and need not be asked to again at once."""

import time
from collections.abc import Callable, Mapping

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

    def known(self, accounts: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return each upstream that has lately said so to one of these accounts, by upstream, and the model it was."""
        now = self._clock()
        return [
            (upstream, model)
            for (upstream, account, model), until in self._until.items()
            if until > now and accounts.get(upstream) == account
        ]
