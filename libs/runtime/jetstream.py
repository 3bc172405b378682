"""Makes the registered streams and buckets, and hides the traps of nats-py's key-value client.

`put` with a TTL and compare-and-set in one step does not exist there: an `update` loses the TTL of
the key, so entries are published directly (infrastructure reference 2.1).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import nats
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from libs.runtime.errors import StartError
from libs.schemas.subjects import Bucket, JsStream

_WRONG_LAST_SEQUENCE = (10071, 10164)
_EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
RETRY_SECONDS = 0.5


class RevisionConflict(Exception):
    """Another writer moved the key first."""


async def ensure_stream(js: JetStreamContext, stream: JsStream, replicas: int) -> None:
    """Create the stream, or bring an existing one to its registered limits."""
    config = StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=nats.js.api.DiscardPolicy.NEW,
        max_age=stream.max_age_seconds,
        max_bytes=stream.max_bytes,
        duplicate_window=stream.duplicate_window_seconds,
        num_replicas=replicas,
        allow_direct=True,
    )
    await _ensure(js, config)


async def ensure_bucket(js: JetStreamContext, bucket: Bucket, replicas: int) -> None:
    """Create the bucket's stream, or bring an existing one to its registered limits.

    History is 1: with more, an expired revision brings the one before it back.
    """
    config = StreamConfig(
        name=f"KV_{bucket.name}",
        subjects=[f"$KV.{bucket.name}.>"],
        storage=StorageType.FILE,
        discard=nats.js.api.DiscardPolicy.NEW,
        max_msgs_per_subject=1,
        max_age=bucket.ttl_seconds or None,
        duplicate_window=120,
        num_replicas=replicas,
        allow_direct=True,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_msg_ttl=True,
    )
    await _ensure(js, config)


async def _ensure(js: JetStreamContext, config: StreamConfig) -> None:
    try:
        await js.update_stream(config)
    except NotFoundError:
        # Not first: to add a stream that is there already reserves its `max_bytes` twice over.
        await js.add_stream(config)


async def prepared(prepare: Callable[[], Awaitable[None]], timeout_seconds: float) -> None:
    """Run `prepare` until it succeeds: a cluster that has just started elects its leaders first.

    Raises StartError when it still fails after `timeout_seconds`.
    """
    ends = time.monotonic() + timeout_seconds
    while True:
        try:
            return await prepare()
        except (nats.errors.Error, APIError, OSError, TimeoutError) as error:
            if time.monotonic() > ends:
                raise StartError(f"JetStream is not available: {error or type(error).__name__}") from None
            await asyncio.sleep(RETRY_SECONDS)


class KeyValue:
    """One bucket: reads that may lag, reads from the leader, and writes that check the revision."""

    def __init__(self, js: JetStreamContext, bucket: Bucket) -> None:
        self._js = js
        self._stream = f"KV_{bucket.name}"
        self._prefix = f"$KV.{bucket.name}."

    async def get(self, key: str, *, leader: bool = False) -> tuple[bytes, int] | None:
        """Return (value, revision), or None where there is no value. A read not from the leader may be stale."""
        try:
            msg = await self._js.get_last_msg(self._stream, self._prefix + key, direct=not leader)
        except NotFoundError:
            return None
        operation = (msg.headers or {}).get("KV-Operation")
        marker = (msg.headers or {}).get("Nats-Marker-Reason")
        if operation or marker or not msg.data:
            return None
        return msg.data, msg.seq or 0

    async def put(self, key: str, value: bytes, *, expect: int | None = None, ttl_seconds: int | None = None) -> int:
        """Write `value` and return its revision.

        With `expect` the key must be at that revision, 0 meaning that it has no value: else
        RevisionConflict. A time-out leaves it unknown whether the write happened.
        """
        headers = {} if expect is None else {_EXPECTED_SEQUENCE: str(expect)}
        try:
            ack = await self._js.publish(self._prefix + key, value, headers=headers or None, msg_ttl=ttl_seconds)
        except APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                raise RevisionConflict(key) from None
            raise
        return ack.seq

    async def delete(self, key: str) -> None:
        """Remove the key; it is no error when it has no value."""
        await self._js.publish(self._prefix + key, b"", headers={"KV-Operation": "PURGE", "Nats-Rollup": "sub"})
