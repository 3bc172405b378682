"""Keeps entries in this process: for one replica alone, and gone when it ends."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from services.state.stores.base import Conflict, Entry, Totals

MAX_BYTES = 512 * 1024 * 1024  # of keys and values


class _Kept(NamedTuple):
    entry: Entry
    expires: float


class MemoryStore:
    """A dictionary in the order of writing. Beyond `max_bytes` the oldest entries go first."""

    name = "memory"
    lags = False

    def __init__(self, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept: dict[str, _Kept] = {}
        self._bytes = 0
        self._max_bytes = max_bytes
        self._revision = 0
        self._clock = clock

    async def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of those `keys` that have one."""
        found = {key: self._present(key) for key in keys}
        return {key: entry.value for key, entry in found.items() if entry is not None}

    async def get(self, key: str) -> Entry | None:
        """Return the present entry."""
        return self._present(key)

    async def write(self, key: str, value: bytes, ttl_seconds: int) -> None:
        """Write, whatever is there."""
        self._remove(key)
        self._revision += 1
        self._kept[key] = _Kept(Entry(value, self._revision), self._clock() + ttl_seconds)
        self._bytes += len(key) + len(value)
        while self._bytes > self._max_bytes:
            self._remove(next(iter(self._kept)))

    async def swap(self, key: str, value: bytes, expect: int, ttl_seconds: int) -> None:
        """Write if the key is at the revision `expect`."""
        present = self._present(key)
        if expect != (0 if present is None else present.revision):
            raise Conflict(key)
        await self.write(key, value, ttl_seconds)

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove."""
        for key in keys:
            self._remove(key)

    async def keys(self, prefix: str) -> list[str]:
        """Return the present keys under `prefix`, and drop what has expired anywhere."""
        now = self._clock()
        for key in [key for key, kept in self._kept.items() if kept.expires <= now]:
            self._remove(key)
        return [key for key in self._kept if key.startswith(prefix)]

    async def count(self, prefix: str) -> int:
        """Count the keys under `prefix`."""
        return len(await self.keys(prefix))

    async def totals(self) -> Totals:
        """Return what is held; what has expired counts until it is met."""
        return Totals(len(self._kept), self._bytes)

    def _present(self, key: str) -> Entry | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.expires <= self._clock():
            self._remove(key)
            return None
        return kept.entry

    def _remove(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(key) + len(kept.entry.value)
