"""Keeps entries in this process: for one replica alone, and gone when it ends."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cachetools import TLRUCache

from services.state.stores.base import Conflict, Entry, Totals

MAX_BYTES = 512 * 1024 * 1024  # of keys and values


class _Kept(NamedTuple):
    entry: Entry
    seconds: int  # to live
    size: int  # in bytes, with its key


class MemoryStore:
    """Beyond `max_bytes` the least recently used entries go first."""

    name = "memory"
    lags = False

    def __init__(self, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept: TLRUCache[str, _Kept] = TLRUCache(
            max_bytes, lambda _, kept, now: now + kept.seconds, clock, lambda kept: kept.size
        )
        self._revision = 0

    async def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of those `keys` that have one."""
        found = {key: self._present(key) for key in keys}
        return {key: entry.value for key, entry in found.items() if entry is not None}

    async def get(self, key: str) -> Entry | None:
        """Return the present entry."""
        return self._present(key)

    async def write(self, key: str, value: bytes, ttl_seconds: int) -> None:
        """Write, whatever is there."""
        self._kept.pop(key, None)
        self._revision += 1
        kept = _Kept(Entry(value, self._revision), ttl_seconds, len(key) + len(value))
        if kept.size <= self._kept.maxsize:
            self._kept[key] = kept

    async def swap(self, key: str, value: bytes, expect: int, ttl_seconds: int) -> None:
        """Write if the key is at the revision `expect`."""
        present = self._present(key)
        if expect != (0 if present is None else present.revision):
            raise Conflict(key)
        await self.write(key, value, ttl_seconds)

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove."""
        for key in keys:
            self._kept.pop(key, None)

    async def keys(self, prefix: str) -> list[str]:
        """Return the present keys under `prefix`."""
        return [key for key in self._kept if key.startswith(prefix)]

    async def count(self, prefix: str) -> int:
        """Count the keys under `prefix`."""
        return len(await self.keys(prefix))

    async def totals(self) -> Totals:
        """Return what is held."""
        self._kept.expire()
        return Totals(len(self._kept), int(self._kept.currsize))

    def _present(self, key: str) -> Entry | None:
        kept = self._kept.get(key)
        return None if kept is None else kept.entry
