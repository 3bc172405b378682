"""How often a request has come: what lets a fault happen a few times and then no more."""

from collections import OrderedDict

from simulator.scripts.plan import Limit


class Attempts:
    """Counts by account and key, at most `limit` of them, oldest forgotten first."""

    def __init__(self, limit: int = 10_000) -> None:
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._limit = limit

    def is_over(self, account: str, asked: Limit) -> bool:
        """Count this request; whether its faults have happened often enough."""
        key = (account, asked.key)
        self._counts[key] = self._counts.get(key, 0) + 1
        while len(self._counts) > self._limit:
            self._counts.popitem(last=False)
        return self._counts[key] > asked.times

    def clear(self) -> None:
        self._counts.clear()
