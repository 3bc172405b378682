"""Which upstreams have lately not gone on from a `previous_response_id`, and need not be asked to again at once."""

import time
from collections.abc import Callable, Mapping

REMEMBERED_SECONDS = 600.0


Target = tuple[str, str, str]  # an upstream's name, the digest of the account there, the model
_MANY = 4096


class Unchained:
    """What was asked, and whose answer showed it; `clock` in monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[tuple[str, str], dict[str, float]] = {}  # by upstream and account, then by model

    def note(self, target: Target) -> None:
        """Its answer has just shown it."""
        upstream, account, model = target
        if len(self._until) >= _MANY:
            self._until = {where: alive for where in self._until if (alive := self._alive(where))}
        where = upstream, account
        self._until[where] = {**self._alive(where), model: self._clock() + REMEMBERED_SECONDS}

    def known(self, accounts: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return each upstream that has lately shown it to one of these accounts, by upstream, and the model it was."""
        if not self._until:  # nearly always
            return []
        return [
            (upstream, model) for upstream, account in accounts.items() for model in self._alive((upstream, account))
        ]

    def _alive(self, where: tuple[str, str]) -> dict[str, float]:
        now = self._clock()
        return {model: until for model, until in self._until.get(where, {}).items() if until > now}
