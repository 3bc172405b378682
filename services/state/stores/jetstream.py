"""Keeps entries in a JetStream key-value bucket: the default."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from libs.runtime.bus import Bus
from libs.runtime.errors import BusDown
from libs.runtime.jetstream import BatchReader, KeyValue, ReadUnfinished, RevisionConflict
from libs.schemas.subjects import STATE
from services.state.stores.base import Conflict, Entry, StoreDown, Totals

T = TypeVar("T")

TIMEOUT_SECONDS = 1.0
_PARALLEL_ERASURES = 64


class JetStreamStore:
    """The bucket STATE. Reads of many keys are direct; with `replicas` they may lag behind a write."""

    name = "jetstream"

    def __init__(self, kv: KeyValue, reader: BatchReader, replicas: int) -> None:
        self.lags = replicas > 1
        self._kv = kv
        self._reader = reader

    @classmethod
    async def open(cls, bus: Bus, replicas: int) -> "JetStreamStore":
        """Use the bucket, which must be there, over `bus`."""
        reader = await BatchReader.open(bus, STATE, TIMEOUT_SECONDS)
        return cls(KeyValue(bus.jetstream(TIMEOUT_SECONDS), STATE), reader, replicas)

    async def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of those `keys` that have one."""
        return await _guarded(self._reader.read(keys))

    async def get(self, key: str) -> Entry | None:
        """Return the entry as the bucket's leader knows it."""
        found = await _guarded(self._kv.get(key, leader=True))
        return None if found is None else Entry(*found)

    async def write(self, key: str, value: bytes, ttl_seconds: int) -> None:
        """Write, whatever is there."""
        await _guarded(self._kv.put(key, value, ttl_seconds=ttl_seconds))

    async def swap(self, key: str, value: bytes, expect: int, ttl_seconds: int) -> None:
        """Write if the key is at the revision `expect`."""
        try:
            await _guarded(self._kv.put(key, value, expect=expect, ttl_seconds=ttl_seconds))
        except RevisionConflict:
            raise Conflict(key) from None

    async def delete(self, keys: Sequence[str]) -> None:
        """Erase: a marker would go on counting as a turn, and hold a revision."""
        for start in range(0, len(keys), _PARALLEL_ERASURES):
            part = keys[start : start + _PARALLEL_ERASURES]
            await _guarded(asyncio.gather(*(self._kv.erase(key) for key in part)))

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys under `prefix`."""
        return await _guarded(self._kv.keys(prefix))

    async def count(self, prefix: str) -> int:
        """Count the keys under `prefix`."""
        return await _guarded(self._kv.count(prefix))

    async def totals(self) -> Totals:
        """Return what the bucket holds."""
        return Totals(*await _guarded(self._kv.totals()))


async def _guarded(operation: Awaitable[T]) -> T:
    """Await a JetStream operation; its failures, and those of the way to it, are the store's."""
    try:
        return await operation
    except (BusDown, ReadUnfinished, NatsError, JetStreamError, OSError, TimeoutError) as error:
        raise StoreDown(f"JetStream: {type(error).__name__}") from None
