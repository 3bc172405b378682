"""How far the records have come, and whose turn it is: one key, moved by compare-and-set alone.

A write that finds another's is the fence: whoever loses it stops. The lease needs no common clock: who
stands by watches whether the key still moves.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from libs.runtime.backoff import Backoff
from libs.runtime.jetstream import KeyValue, RevisionConflict
from libs.runtime.logs import Log
from services.analytics.source import NATS_ERRORS

KEY = "records"
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.1, 1.0  # a lease is short: it must be written soon
_ENCODER = msgspec.json.Encoder()  # an operator may want to read it

log = Log("parley.analytics.lease")


class Cursor(msgspec.Struct, frozen=True, kw_only=True, rename={"holder": "owner"}):
    """The key's value.

    `pending` is the range whose insert may not have happened, None once it has, `next_seq` what comes after
    it; both belong to the stream that `epoch` names. Records up to `lookup_until` may be in the table already.
    `held` are the sequences of dead records that could not be put aside yet, and so must stay in the stream.
    `holder` is empty when the lease was given back.
    """

    epoch: str = ""
    next_seq: int = 1
    pending: tuple[int, int] | None = None
    lookup_until: int = 0
    held: tuple[int, ...] = ()
    holder: str = ""


_DECODER = msgspec.json.Decoder(Cursor)


class LeaseLost(Exception):
    """Another instance moved the cursor, or it is gone: nothing may be inserted any more."""


class Lease:
    """The right of one instance to insert. `acquire` first; `keep` must run while it is used."""

    def __init__(
        self, kv: KeyValue, holder: str, lease_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.cursor = Cursor()
        self.waiting = False  # another instance has it
        self.well = True  # False while the bucket does not take what is written
        self._kv = kv
        self._holder = holder
        self._seconds = lease_seconds
        self._clock = clock
        self._revision = 0
        self._written = 0.0
        self._lost: LeaseLost | None = None
        self._lock = asyncio.Lock()

    async def acquire(self) -> None:
        """Wait until the lease is free, and take it. Raises NATS_ERRORS."""
        seen, since = -1, 0.0
        while True:
            cursor, revision = await self._read()
            if revision != seen:
                seen, since = revision, self._clock()
            free = cursor.holder in ("", self._holder) or self._clock() - since >= self._seconds
            if free and await self._take(cursor, revision):
                self.waiting = False
                return
            self.waiting = True
            await asyncio.sleep(min(1.0, self._seconds / 5))

    async def _read(self) -> tuple[Cursor, int]:
        entry = await self._kv.get(KEY, leader=True)
        return (Cursor(), 0) if entry is None else (_DECODER.decode(entry[0]), entry[1])

    async def _take(self, cursor: Cursor, revision: int) -> bool:
        mine = msgspec.structs.replace(cursor, holder=self._holder)
        try:
            self._revision = await self._kv.put(KEY, _ENCODER.encode(mine), expect=revision)
        except RevisionConflict:
            return False
        self.cursor, self._written, self._lost = mine, self._clock(), None
        return True

    async def move(self, cursor: Cursor) -> None:
        """Write `cursor`, waiting while NATS is away. Raises LeaseLost."""
        async with self._lock:
            await self._write(msgspec.structs.replace(cursor, holder=self._holder))

    async def _write(self, cursor: Cursor) -> None:
        """Write until it is known to have happened: a write without an answer is read back."""
        value, backoff = _ENCODER.encode(cursor), Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while True:
            self.check()
            try:
                self._revision = await self._kv.put(KEY, value, expect=self._revision)
                break
            except RevisionConflict:
                pass
            except NATS_ERRORS as error:
                self.well = False
                log.warning("cursor_write_failed", error=str(error) or type(error).__name__)
                await asyncio.sleep(backoff.next())
            if await self._happened(cursor):
                break
        self.cursor, self._written, self.well = cursor, self._clock(), True

    async def _happened(self, cursor: Cursor) -> bool:
        try:
            found, revision = await self._read()
        except NATS_ERRORS:
            return False
        if found.holder != self._holder:
            self._lost = LeaseLost("the cursor is gone" if revision == 0 else "another instance has taken over")
            raise self._lost
        self._revision = revision
        return found == cursor

    async def keep(self) -> None:
        """Renew until the lease is lost; `check` tells."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                async with self._lock:
                    await self._write(self.cursor)
            except LeaseLost:
                return

    def check(self) -> None:
        """Raise LeaseLost once it is known."""
        if self._lost is not None:
            raise self._lost

    async def confirm(self) -> None:
        """Make sure, before an insert, that the lease did not end while this process stood still."""
        self.check()
        if self._clock() - self._written >= self._seconds:
            async with self._lock:
                await self._write(self.cursor)

    async def release(self) -> None:
        """Give the lease back, so that another need not wait for its end. Raises LeaseLost, NATS_ERRORS."""
        async with self._lock:
            self.check()
            try:
                await self._give_back(self.cursor, self._revision)
            except RevisionConflict:  # a renewal that the stop cut off had been written
                found, revision = await self._read()
                if found.holder != self._holder:
                    raise LeaseLost("another instance has taken over") from None
                await self._give_back(found, revision)

    async def _give_back(self, cursor: Cursor, revision: int) -> None:
        await self._kv.put(KEY, _ENCODER.encode(msgspec.structs.replace(cursor, holder="")), expect=revision)
