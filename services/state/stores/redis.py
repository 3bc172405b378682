"""Keeps entries in Redis 5 or later, or a server that speaks like it.

A value begins with eight random bytes: its revision, for Redis has none. What must be listed is in
sorted sets too, by time of expiry, written in the same script: nothing scans the database. All keys of
a tenant have one hash tag, so that a Redis Cluster keeps them in one slot.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from libs.runtime.backoff import Backoff
from libs.runtime.errors import StartError
from services.state.keys import listed
from services.state.stores.base import Conflict, Entry, StoreDown, Totals

TIMEOUT_SECONDS = 1.0
MAX_CONNECTIONS = 32
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.05, 0.5  # between tries of the first connection
_REVISION_BYTES = 8
_ANY = b"any"

# KEYS: the entry, then the sets that list it. ARGV: value with revision, milliseconds to live, the
# revision expected ("any"; empty for none), the entry's name in the sets.
_WRITE = """
local present = redis.call('GETRANGE', KEYS[1], 0, 7)
if ARGV[3] ~= 'any' and present ~= ARGV[3] then return 0 end
local ttl = tonumber(ARGV[2])
local now = redis.call('TIME')
redis.call('SET', KEYS[1], ARGV[1], 'PX', ttl)
for i = 2, #KEYS do
  redis.call('ZADD', KEYS[i], now[1] * 1000 + math.floor(now[2] / 1000) + ttl, ARGV[4])
  if redis.call('PTTL', KEYS[i]) < ttl then redis.call('PEXPIRE', KEYS[i], ttl) end
end
return 1
"""

# KEYS: a set. It first loses what has expired.
_PRUNE = """
local now = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now[1] * 1000 + math.floor(now[2] / 1000))
"""
_KEYS = _PRUNE + "return redis.call('ZRANGE', KEYS[1], 0, -1)"
_COUNT = _PRUNE + "return redis.call('ZCARD', KEYS[1])"


class RedisStore:
    """One database; `close` it at the end."""

    name = "redis"
    lags = False

    def __init__(self, client: "Redis") -> None:
        self._client = client
        self._write = client.register_script(_WRITE)
        self._keys = client.register_script(_KEYS)
        self._count = client.register_script(_COUNT)

    @classmethod
    async def open(cls, url: str, timeout_seconds: float) -> "RedisStore":
        """Connect. Raises StartError when the server cannot be reached within `timeout_seconds`."""
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                max_connections=MAX_CONNECTIONS,
                timeout=TIMEOUT_SECONDS,
                # Once, for a connection that the server closed while it was idle. A swap that is sent twice
                # conflicts with itself, and who asked for it reads and compares.
                retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,)),
            )
        except ValueError as error:
            raise StartError(f"state.redis_url: {error}") from None
        client = Redis.from_pool(pool)
        try:
            await _await_server(client, timeout_seconds)
        except StartError:
            await client.aclose()
            raise
        return cls(client)

    async def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of those `keys` that have one."""
        if not keys:
            return {}
        async with _guarded():
            values: list[Any] = await self._client.mget([_entry(key) for key in keys])
        return {key: value[_REVISION_BYTES:] for key, value in zip(keys, values, strict=True) if value is not None}

    async def get(self, key: str) -> Entry | None:
        """Return the present entry."""
        async with _guarded():
            value: Any = await self._client.get(_entry(key))
        if value is None:
            return None
        return Entry(value[_REVISION_BYTES:], int.from_bytes(value[:_REVISION_BYTES], "big"))

    async def write(self, key: str, value: bytes, ttl_seconds: int) -> None:
        """Write, whatever is there."""
        await self._put(key, value, _ANY, ttl_seconds)

    async def swap(self, key: str, value: bytes, expect: int, ttl_seconds: int) -> None:
        """Write if the key is at the revision `expect`."""
        if not await self._put(key, value, expect.to_bytes(_REVISION_BYTES, "big") if expect else b"", ttl_seconds):
            raise Conflict(key)

    async def _put(self, key: str, value: bytes, expect: bytes, ttl_seconds: int) -> bool:
        names = [_entry(key), *(_index(prefix) for prefix in listed(key))]
        async with _guarded():
            done = await self._write(
                keys=names, args=[os.urandom(_REVISION_BYTES) + value, ttl_seconds * 1000, expect, key]
            )
        return bool(done)

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove."""
        if not keys:
            return
        async with _guarded(), self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.unlink(_entry(key))
                for prefix in listed(key):
                    pipeline.zrem(_index(prefix), key)
            await pipeline.execute()

    async def keys(self, prefix: str) -> list[str]:
        """Return the present keys under `prefix`."""
        async with _guarded():
            found: list[bytes] = await self._keys(keys=[_index(prefix)])
        return [key.decode() for key in found]

    async def count(self, prefix: str) -> int:
        """Count the keys under `prefix`."""
        async with _guarded():
            return int(await self._count(keys=[_index(prefix)]))

    async def totals(self) -> Totals:
        """Return the keys of the database, those of the sets included, and the server's memory."""
        async with _guarded():
            entries = await self._client.dbsize()
            memory: dict[str, Any] = await self._client.info("memory")
        return Totals(int(entries), int(memory["used_memory"]))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _entry(key: str) -> str:
    tenant, _, rest = key.partition(".")
    return f"parley:{{{tenant}}}:{rest}"


def _index(prefix: str) -> str:
    tenant, _, rest = prefix.partition(".")
    return f"parley:{{{tenant}}}:keys:{rest}"


async def _await_server(client: "Redis", timeout_seconds: float) -> None:
    last, backoff = "no answer", Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                try:
                    await client.ping()
                    return
                except (RedisError, OSError) as error:
                    last = str(error) or type(error).__name__
                    await asyncio.sleep(backoff.next())
    except TimeoutError:
        raise StartError(f"no connection to Redis (state.redis_url): {last}") from None


@asynccontextmanager
async def _guarded() -> AsyncIterator[None]:
    """Make a failure of Redis one of the store."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreDown(f"Redis: {type(error).__name__}") from None
