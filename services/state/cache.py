"""Sealed values of this replica, by key: what a conversation's next request asks is mostly what it just wrote."""

import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from cachetools import TLRUCache, TTLCache

CACHE_SECONDS = 60.0


class _Held(NamedTuple):
    value: bytes
    seconds: float  # to live
    size: int  # in bytes, with its key


class Cache:
    """Least recently used goes first beyond `max_bytes`, and everything after 60 s.

    What was evicted is not taken again for as long: a read that began before a deletion may end after it.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._values: TLRUCache[str, _Held] = TLRUCache(
            max_bytes, lambda _, held, now: now + held.seconds, clock, lambda held: held.size
        )
        self._evicted: TTLCache[str, None] = TTLCache(math.inf, CACHE_SECONDS, clock)

    def get(self, key: str) -> bytes | None:
        """Return the sealed value, if it is here."""
        held = self._values.get(key)
        return None if held is None else held.value

    def put(self, key: str, value: bytes, ttl_seconds: float = CACHE_SECONDS) -> None:
        """Take a value for its time to live, at most 60 s."""
        self._evicted.expire()
        self._values.pop(key, None)
        held = _Held(value, min(ttl_seconds, CACHE_SECONDS), len(key) + len(value))
        if held.size <= self._values.maxsize and key not in self._evicted:
            self._values[key] = held

    def evict(self, keys: Iterable[str]) -> None:
        """Drop, and do not take again what may be on its way."""
        for key in keys:
            self._values.pop(key, None)
            self._evicted[key] = None

    def clear(self) -> None:
        """Drop everything."""
        self._values.clear()
