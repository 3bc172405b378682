"""Runs the state service: `python -m services.state`."""

import os
from typing import Any

from libs.runtime import service
from libs.runtime.jetstream import ensure_bucket, prepared
from libs.runtime.sealing import Seals
from libs.runtime.secret import load_secret
from libs.schemas.subjects import CLAIM, COMMIT, DELETE, LIST, MARK, READ, RELEASE, RESOLVE, STATE, STATE_STATUS
from services.state.cache import Cache
from services.state.eviction import Evictions
from services.state.handlers import State
from services.state.stores.base import Store
from services.state.stores.jetstream import TIMEOUT_SECONDS, JetStreamStore
from services.state.stores.memory import MemoryStore
from services.state.stores.redis import RedisStore
from services.state.vault import Vault


async def open_jetstream(worker: service.Worker) -> Store:
    """Make the bucket, and again whenever the server may have lost it."""
    js = worker.bus.jetstream(TIMEOUT_SECONDS)
    settings = worker.config.nats

    async def ensure() -> None:
        await ensure_bucket(js, STATE, settings.replicas)

    await prepared(ensure, settings.connect_timeout_seconds)
    worker.bus.on_reconnect(ensure)
    return await JetStreamStore.open(worker.bus, settings.replicas)


async def open_redis(worker: service.Worker) -> Store:
    """Connect to Redis."""
    store = await RedisStore.open(worker.config.state.redis_url, worker.config.nats.connect_timeout_seconds)
    worker.after_drain.push_async_callback(store.close)
    return store


async def open_memory(worker: service.Worker) -> Store:
    """Keep all in this process."""
    return MemoryStore()


OPEN = {"jetstream": open_jetstream, "redis": open_redis, "memory": open_memory}


async def set_up(worker: service.Worker) -> None:
    """Open the store, then serve."""
    settings = worker.config.state
    cache = Cache(settings.cache_bytes)
    store = await OPEN[settings.store](worker)
    seals = Seals(load_secret(os.environ, worker.config.secret.file))
    evictions = await Evictions.join(worker.bus, cache)
    state = State(Vault(store, seals, cache, evictions.notify), settings, worker.config.retention)
    handlers: tuple[tuple[Any, Any], ...] = (
        (RESOLVE, state.resolve),
        (MARK, state.mark),
        (COMMIT, state.commit),
        (READ, state.read),
        (CLAIM, state.claim),
        (RELEASE, state.release),
        (LIST, state.list),
        (DELETE, state.delete),
        (STATE_STATUS, state.status),
    )
    for subject, handler in handlers:
        await worker.bus.serve(subject, handler, concurrency=settings.concurrency)


if __name__ == "__main__":
    service.run("state", lambda config: config.state.grace_seconds, set_up)
