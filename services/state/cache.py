"""Sealed values of this replica, by key: what a conversation's next request asks is mostly what it just wrote."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

CACHE_SECONDS = 60.0


class Cache:
    """Least recently used goes first beyond `max_bytes`, and everything after 60 s.

    What was evicted is not taken again for as long: a read that began before a deletion may end after it.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._values: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._evicted: OrderedDict[str, float] = OrderedDict()
        self._bytes = 0
        self._max_bytes = max_bytes
        self._clock = clock

    def get(self, key: str) -> bytes | None:
        """Return the sealed value, if it is here."""
        found = self._values.get(key)
        if found is None:
            return None
        value, expires = found
        if expires <= self._clock():
            self._remove(key)
            return None
        self._values.move_to_end(key)
        return value

    def put(self, key: str, value: bytes, ttl_seconds: float = CACHE_SECONDS) -> None:
        """Take a value for its time to live, at most 60 s."""
        now = self._clock()
        while self._evicted and next(iter(self._evicted.values())) <= now:
            self._evicted.popitem(last=False)
        self._remove(key)
        if key in self._evicted:
            return
        self._values[key] = (value, now + min(ttl_seconds, CACHE_SECONDS))
        self._bytes += len(key) + len(value)
        while self._bytes > self._max_bytes:
            self._remove(next(iter(self._values)))

    def evict(self, keys: Iterable[str]) -> None:
        """Drop, and do not take again what may be on its way."""
        until = self._clock() + CACHE_SECONDS
        for key in keys:
            self._remove(key)
            self._evicted.pop(key, None)
            self._evicted[key] = until

    def clear(self) -> None:
        """Drop everything."""
        self._values.clear()
        self._bytes = 0

    def _remove(self, key: str) -> None:
        found = self._values.pop(key, None)
        if found is not None:
            self._bytes -= len(key) + len(found[0])
