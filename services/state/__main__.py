"""Runs the state service: `python -m services.state`."""

from libs.runtime import service
from libs.runtime.jetstream import ensure_bucket, prepared
from libs.schemas.subjects import COMMIT, FORGET, HEADS, RESOLVE, TURNS
from services.state.handlers import State
from services.state.store import JetStreamStore


async def set_up(worker: service.Worker) -> None:
    """Make the buckets, then serve."""
    js = worker.bus.jetstream(timeout_seconds=1.0)
    settings = worker.config.state

    async def ensure_buckets() -> None:
        for bucket in (TURNS, HEADS):
            await ensure_bucket(js, bucket, worker.config.nats.replicas)

    await prepared(ensure_buckets, worker.config.nats.connect_timeout_seconds)
    worker.bus.on_reconnect(ensure_buckets)
    state = State(JetStreamStore(js, settings.turn_ttl_seconds))
    await worker.bus.serve(RESOLVE, state.resolve, concurrency=settings.concurrency)
    await worker.bus.serve(COMMIT, state.commit, concurrency=settings.concurrency)
    await worker.bus.serve(FORGET, state.forget, concurrency=settings.concurrency)


if __name__ == "__main__":
    service.run("state", lambda config: config.state.grace_seconds, set_up)
