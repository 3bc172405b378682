"""The store as the handlers see it: records go in and out, sealed and cached on the way.

What does not open is counted, logged and absent: a changed secret loses conversations, and breaks none.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from libs.runtime import metrics
from libs.runtime.logs import RareLog
from libs.runtime.sealing import Seals
from services.state.cache import Cache
from services.state.keys import immutable
from services.state.records import ENCODER
from services.state.stores.base import Store, Totals

T = TypeVar("T")
Notify = Callable[[Sequence[str]], Awaitable[None]]

LOG_SECONDS = 10.0


class Versioned(NamedTuple):
    """A record, or None where there is none that opens, and the revision to swap it for another."""

    record: Any
    revision: int


class Vault:
    """Reads and writes records. `tell` lets the other replicas' caches evict. All raise StoreDown,
    and `delete` what `tell` raises.
    """

    def __init__(self, store: Store, seals: Seals, cache: Cache, notify: Notify) -> None:
        self.store = store
        self._seals = seals
        self._cache = cache
        self._notify = notify
        self._rarely = RareLog("parley.state", LOG_SECONDS)

    async def read(self, wanted: dict[str, msgspec.msgpack.Decoder[T]]) -> dict[str, T]:
        """Return the records of the keys `wanted`, in one batch at most; what is absent has none."""
        sealed = {key: value for key in wanted if (value := self._cached(key)) is not None}
        missing = [key for key in wanted if key not in sealed]
        if missing:
            with metrics.STATE_STORE_SECONDS.labels("read").time():
                found = await self.store.read(missing)
            for key, value in found.items():
                self._keep(key, value)
            sealed |= found
        opened = ((key, self._open(key, value, wanted[key])) for key, value in sealed.items())
        return {key: record for key, record in opened if record is not None}

    async def get(self, key: str, decoder: msgspec.msgpack.Decoder[T]) -> Versioned:
        """Return the present record, not a cached one and not a replica's."""
        with metrics.STATE_STORE_SECONDS.labels("get").time():
            entry = await self.store.get(key)
        if entry is None:
            return Versioned(None, 0)
        return Versioned(self._open(key, entry.value, decoder), entry.revision)

    async def write(self, key: str, record: msgspec.Struct, ttl_seconds: int) -> None:
        """Write a record, whatever is there."""
        sealed = self._seals.seal(key, ENCODER.encode(record))
        with metrics.STATE_STORE_SECONDS.labels("write").time():
            await self.store.write(key, sealed, ttl_seconds)
        self._keep(key, sealed, ttl_seconds)

    async def swap(self, key: str, record: msgspec.Struct, expect: int, ttl_seconds: int) -> None:
        """Write a record if the key is at the revision `expect`. Raises Conflict."""
        sealed = self._seals.seal(key, ENCODER.encode(record))
        with metrics.STATE_STORE_SECONDS.labels("swap").time():
            await self.store.swap(key, sealed, expect, ttl_seconds)

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove from the store, from this replica's cache, and then from those of the others."""
        gone = list(keys)
        with metrics.STATE_STORE_SECONDS.labels("delete").time():
            await self.store.delete(gone)
        cacheable = [key for key in gone if immutable(key)]
        self._cache.evict(cacheable)
        if cacheable:
            await self._notify(cacheable)

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys under `prefix`."""
        with metrics.STATE_STORE_SECONDS.labels("keys").time():
            return await self.store.keys(prefix)

    async def count(self, prefix: str) -> int:
        """Return how many keys there are under `prefix`."""
        with metrics.STATE_STORE_SECONDS.labels("count").time():
            return await self.store.count(prefix)

    async def totals(self) -> Totals:
        """Return what the store holds."""
        with metrics.STATE_STORE_SECONDS.labels("totals").time():
            return await self.store.totals()

    def _cached(self, key: str) -> bytes | None:
        return self._cache.get(key) if immutable(key) else None

    def _keep(self, key: str, sealed: bytes, ttl_seconds: float = float("inf")) -> None:
        if immutable(key):
            self._cache.put(key, sealed, ttl_seconds)

    def _open(self, key: str, sealed: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
        value = self._seals.open(key, sealed)
        try:
            if value is not None:
                return decoder.decode(value)
            reason = "seal"
        except msgspec.DecodeError:
            reason = "shape"
        metrics.STATE_UNSEALABLE.inc()
        # After a change of the secret it may be every value there is.
        self._rarely.warning("unsealable", kind=key.split(".")[1], reason=reason)
        return None
