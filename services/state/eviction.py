"""Tells all replicas what was erased: what one of them caches must not come back from another."""

from collections.abc import Sequence

import msgspec
from nats.aio.msg import Msg

from libs.runtime.bus import Bus
from libs.runtime.logs import Log
from libs.schemas.subjects import STATE_EVICT
from services.state.cache import Cache

_KEYS_AT_ONCE = 10_000  # of some 70 bytes each

log = Log("parley.state")

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[str])


class Evictions:
    """This replica's cache and those of the others. Made by `join`."""

    def __init__(self, bus: Bus, cache: Cache) -> None:
        self._bus = bus
        self._cache = cache

    @classmethod
    async def join(cls, bus: Bus, cache: Cache) -> "Evictions":
        """Evict from `cache` what any replica erases."""
        made = cls(bus, cache)
        await bus.listen(STATE_EVICT, made._on_message)
        # What is said while the connection is away is not heard, and reads may end meanwhile.
        bus.on_lost(cache.clear)
        bus.on_reconnect(made._on_reconnected)
        return made

    async def notify(self, keys: Sequence[str]) -> None:
        """Have every replica evict `keys`. Raises BusDown."""
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            await self._bus.publish(STATE_EVICT, _ENCODER.encode(keys[start : start + _KEYS_AT_ONCE]))

    async def _on_reconnected(self) -> None:
        self._cache.clear()

    async def _on_message(self, msg: Msg) -> None:
        try:
            self._cache.evict(_DECODER.decode(msg.data))
        except msgspec.DecodeError as error:
            log.error("eviction_unreadable", error=str(error))
            self._cache.clear()
