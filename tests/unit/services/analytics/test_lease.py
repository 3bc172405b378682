"""The lease over a bucket in memory that behaves like JetStream's, time-outs included."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from libs.runtime.jetstream import KeyValue, RevisionConflict
from services.analytics import lease as module
from services.analytics.lease import Cursor, Lease, LeaseLost


class Bucket(KeyValue):
    """One key. `before` and `after` run around the next put, and may raise."""

    def __init__(self) -> None:
        self.value: bytes | None = None
        self.revision = 0
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    async def get(self, key: str, *, leader: bool = False) -> tuple[bytes, int] | None:
        assert leader, "the cursor is never read from a replica that may be behind"
        return None if self.value is None else (self.value, self.revision)

    async def put(self, key: str, value: bytes, *, expect: int | None = None, ttl_seconds: int | None = None) -> int:
        self._once("before")
        if expect != (self.revision if self.value is not None else 0):
            raise RevisionConflict(key)
        self.value, self.revision = value, self.revision + 1
        self._once("after")
        return self.revision

    def _once(self, name: str) -> None:
        hook = getattr(self, name)
        setattr(self, name, lambda: None)
        hook()

    def cursor(self) -> Cursor:
        assert self.value is not None
        return msgspec.json.decode(self.value, type=Cursor)


def time_out() -> None:
    raise TimeoutError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def held(bucket: Bucket, owner: str = "a", **settings: Any) -> Lease:
    lease = Lease(bucket, owner, 0.05, **settings)
    await lease.acquire()
    return lease


async def test_the_first_instance_takes_the_lease_at_once() -> None:
    bucket = Bucket()
    lease = await held(bucket)
    assert bucket.cursor().holder == "a"
    assert lease.cursor.next_seq == 1


async def test_a_second_instance_waits_while_the_first_renews() -> None:
    bucket = Bucket()
    lease = await held(bucket)
    keeper = asyncio.create_task(lease.keep())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Lease(bucket, "b", 0.5).acquire(), 1.0)
    keeper.cancel()
    assert bucket.cursor().holder == "a"


async def test_a_second_instance_takes_over_what_no_longer_moves() -> None:
    bucket = Bucket()
    first = await held(bucket)
    await first.move(Cursor(epoch="e", next_seq=8, pending=(3, 7)))
    second = await held(bucket, "b")
    assert (second.cursor.epoch, second.cursor.pending) == ("e", (3, 7))
    with pytest.raises(LeaseLost):
        await first.move(Cursor(epoch="e", next_seq=9))
    with pytest.raises(LeaseLost):
        first.check()
    assert bucket.cursor().pending == (3, 7)


async def test_a_released_lease_is_taken_without_waiting() -> None:
    bucket, clock = Bucket(), Clock()
    lease = await held(bucket)
    await lease.move(Cursor(epoch="e", next_seq=8))
    await lease.release()
    second = await asyncio.wait_for(held(bucket, "b", clock=clock), 1.0)
    assert second.cursor.next_seq == 8


async def test_a_write_that_timed_out_and_did_not_happen_is_repeated() -> None:
    bucket = Bucket()
    lease = await held(bucket)
    bucket.before = time_out
    await lease.move(Cursor(epoch="e", next_seq=5))
    assert bucket.cursor().next_seq == 5


async def test_a_write_that_timed_out_and_did_happen_is_not_taken_for_anothers() -> None:
    bucket = Bucket()
    lease = await held(bucket)
    bucket.after = time_out
    await lease.move(Cursor(epoch="e", next_seq=5))
    await lease.move(Cursor(epoch="e", next_seq=6))
    assert (bucket.cursor().next_seq, bucket.cursor().holder) == (6, "a")


async def test_a_bucket_that_takes_nothing_is_told_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.01)
    bucket = Bucket()
    lease = await held(bucket)
    seen = []

    def fails() -> None:
        seen.append(lease.well)
        if len(seen) < 5:
            bucket.before = fails
        time_out()

    bucket.before = fails
    await lease.move(Cursor(epoch="e", next_seq=5))
    assert (seen, lease.well) == ([True, False, False, False, False], True)


async def test_a_cursor_that_vanished_ends_the_lease() -> None:
    bucket = Bucket()
    lease = await held(bucket)
    bucket.value = None
    with pytest.raises(LeaseLost, match="gone"):
        await lease.move(Cursor(epoch="e"))


async def test_confirm_asks_only_when_the_lease_may_have_ended() -> None:
    bucket, clock = Bucket(), Clock()
    lease = await held(bucket, clock=clock)
    bucket.value = msgspec.json.encode(Cursor(holder="b"))
    bucket.revision += 1
    clock.now = 0.01
    await lease.confirm()
    clock.now = 1.0
    with pytest.raises(LeaseLost):
        await lease.confirm()


async def test_lease_is_given_back_though_a_renewal_that_was_cut_off_had_been_written() -> None:
    bucket = Bucket()
    lease = await held(bucket)
    await bucket.put(module.KEY, msgspec.json.encode(lease.cursor), expect=bucket.revision)
    await lease.release()
    assert bucket.cursor().holder == ""


async def test_lease_that_another_took_is_not_given_back() -> None:
    bucket = Bucket()
    lease = await held(bucket)
    taken = msgspec.structs.replace(lease.cursor, holder="b")
    await bucket.put(module.KEY, msgspec.json.encode(taken), expect=bucket.revision)
    with pytest.raises(LeaseLost):
        await lease.release()
    assert bucket.cursor().holder == "b"
