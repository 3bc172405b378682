"""Makes the registered streams and buckets, and hides the traps of nats-py's key-value client.

`put` with a TTL and compare-and-set in one step does not exist there: an `update` loses the TTL of
the key, so entries are published directly. Nor are batched reads there.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import nats
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from libs.runtime.backoff import Backoff
from libs.runtime.bus import Bus
from libs.runtime.errors import BusDown, BusError, StartError
from libs.runtime.seams.nats import stream_info
from libs.schemas.subjects import Bucket, JsStream

_WRONG_LAST_SEQUENCE = (10071, 10164)
_EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.1, 1.0

BATCH_KEYS = 1000  # the server refuses more than 1024 subjects with 413
_END_OF_BATCH = "204"
_NOTHING_FOUND = "404"
_BEYOND = 2**53  # an offset behind every key: the server then tells their number alone


class ReadUnfinished(BusError):
    """JetStream did not end a batched read, or ended it with an error."""


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
    ends, backoff = time.monotonic() + timeout_seconds, Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
    while True:
        try:
            return await prepare()
        except (nats.errors.Error, APIError, OSError, TimeoutError) as error:
            if time.monotonic() > ends:
                raise StartError(f"JetStream is not available: {error or type(error).__name__}") from None
            await asyncio.sleep(backoff.next())


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

    async def erase(self, key: str) -> None:
        """Remove the key without a marker, so that it neither counts nor has a revision any more."""
        await self._js.purge_stream(self._stream, subject=self._prefix + key)

    async def count(self, prefix: str) -> int:
        """Return how many keys begin with `prefix`, which ends with a dot."""
        total, _ = await self._subjects(prefix, offset=_BEYOND)
        return total

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`, which ends with a dot; as the leader knows them."""
        found: list[str] = []
        while True:
            total, page = await self._subjects(prefix, offset=len(found))
            found += [subject.removeprefix(self._prefix) for subject in page]
            if not page or len(found) >= total:
                return found

    async def _subjects(self, prefix: str, offset: int) -> tuple[int, list[str]]:
        """Return (how many there are, those of one page)."""
        info = await stream_info(
            self._js, self._stream, {"subjects_filter": f"{self._prefix}{prefix}>", "offset": offset}
        )
        return info.get("total", 0), list(info["state"].get("subjects") or ())

    async def totals(self) -> tuple[int, int]:
        """Return (entries, bytes) of the whole bucket."""
        state = (await self._js.stream_info(self._stream)).state
        return state.messages, state.bytes


class _Batch:
    """One batched read under way: what has come, and when it ends."""

    def __init__(self) -> None:
        self.found: list[Msg] = []
        self.end: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()


class BatchReader:
    """Reads many keys of a bucket in one request; the answers of all reads come to one subscription.

    Reads are direct, and so may be stale. Made by `open`.
    """

    def __init__(self, bus: Bus, bucket: Bucket, timeout_seconds: float) -> None:
        self._bus = bus
        self._timeout = timeout_seconds
        self._prefix = f"$KV.{bucket.name}."
        self._subject = f"$JS.API.DIRECT.GET.KV_{bucket.name}"
        self._inbox = f"_INBOX.{bucket.name}.{os.urandom(12).hex()}"
        self._batches: dict[str, _Batch] = {}
        self._counter = 0

    @classmethod
    async def open(cls, bus: Bus, bucket: Bucket, timeout_seconds: float) -> "BatchReader":
        """Subscribe to the inbox. Each request may take `timeout_seconds`."""
        reader = cls(bus, bucket, timeout_seconds)
        await bus.listen(f"{reader._inbox}.*", reader._on_message)
        bus.on_lost(reader._fail_all)
        return reader

    async def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of those `keys` that have one. Raises BusDown, ReadUnfinished."""
        parts = [keys[start : start + BATCH_KEYS] for start in range(0, len(keys), BATCH_KEYS)]
        found: dict[str, bytes] = {}
        for part in await asyncio.gather(*(self._read_part(part) for part in parts)):
            found |= part
        return found

    async def _read_part(self, keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        last_sequence = 0
        while True:
            batch = await self._request({"multi_last": [self._prefix + key for key in keys], "seq": last_sequence + 1})
            found |= dict(value for value in map(self._value, batch.found) if value is not None)
            headers = batch.end.result().headers or {}
            # The server ends a batch early rather than overflow the connection's buffer.
            if not batch.found or headers.get("Nats-Num-Pending", "0") == "0":
                return found
            last_sequence = int(headers["Nats-Last-Sequence"])

    def _value(self, msg: Msg) -> tuple[str, bytes] | None:
        headers = msg.headers or {}
        if "KV-Operation" in headers or "Nats-Marker-Reason" in headers or not msg.data:
            return None
        return headers["Nats-Subject"].removeprefix(self._prefix), msg.data

    async def _request(self, query: dict[str, Any]) -> _Batch:
        self._counter += 1
        token, batch = str(self._counter), _Batch()
        self._batches[token] = batch
        try:
            await self._bus.publish(self._subject, msgspec.json.encode(query), reply=f"{self._inbox}.{token}")
            async with asyncio.timeout(self._timeout):
                end = await batch.end
        except TimeoutError:
            raise ReadUnfinished("no end came") from None
        finally:
            del self._batches[token]
        status = (end.headers or {}).get("Status", "")
        if status not in (_END_OF_BATCH, _NOTHING_FOUND):
            raise ReadUnfinished(f"it ended with {status}")
        return batch

    async def _on_message(self, msg: Msg) -> None:
        batch = self._batches.get(msg.subject.rpartition(".")[2])
        if batch is None:
            return
        if "Status" not in (msg.headers or {}):
            batch.found.append(msg)
        elif not batch.end.done():
            batch.end.set_result(msg)

    def _fail_all(self) -> None:
        for batch in self._batches.values():
            if not batch.end.done():
                batch.end.set_exception(BusDown("the connection to NATS broke"))
