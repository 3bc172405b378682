"""Requests to the state service that did not get through: kept on disk, sealed, and tried until they are in.

Each is one file in the process's folder (`folders.py`), so that the next process goes on with what this one
leaves. The name of a file says all that must be known without opening it:
`<tenant>.<digest of the conversation>.<expires>.<random>.sealed`; it is authenticated with the content.
"""

import asyncio
import errno
import heapq
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import msgspec

from libs.runtime import metrics
from libs.runtime.backoff import Backoff
from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.runtime.errors import BusError, MessageTooLarge, RequestInvalid, WorkerFailed
from libs.runtime.logs import Log, RareLog
from libs.runtime.sealing import Seals
from libs.schemas.subjects import SUBJECTS, Subject
from services.edge.disk.folders import Folder, Folders

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.25, 5.0
MAX_IN_FLIGHT = 16
SWEEP_SECONDS = 1.0  # between looks for what has expired
FORGOTTEN_SECONDS = 60.0  # how long a deletion is remembered: longer than any request to the state service lasts
SHARE = 0.5  # of the spool's limit: commits may hold much, and must leave room for records
_SUFFIX, _DRAFT = ".sealed", ".part"
_NAME = re.compile(r"[^./]+\.[0-9a-f]{32}\.[0-9]{1,12}\.[0-9a-f]{32}")
_SUBJECTS: Mapping[str, Subject[Any, Any]] = {subject.name: subject for subject in SUBJECTS}

log = Log("parley.edge.outbox")


class _SavedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds, sealed. `request` are the MessagePack bytes that go out, as they were."""

    subject: str
    tenant: str
    request_id: str = ""
    traceparent: str = ""
    request: bytes


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_SavedRequest)


class _SavedFile:
    """One file, and when it is tried next; times of `due` are monotonic."""

    def __init__(self, folder: Folder, name: str, size: int) -> None:
        """Raises ValueError for a name that is none."""
        if not _NAME.fullmatch(name):
            raise ValueError("not the name of a kept request")
        tenant, conversation, expires, _ = name.split(".")
        self.folder = folder
        self.name = name
        self.size = size
        self.whose = (tenant, conversation)
        self.expires = int(expires)
        self.due = 0.0
        self.backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        self.over = False

    def __lt__(self, other: "_SavedFile") -> bool:
        return self.due < other.due

    @property
    def path(self) -> Path:
        return self.folder.path / (self.name + _SUFFIX)


class Outbox:
    """The requests of this process, and those it found of dead ones. Nothing here raises, or makes a request wait."""

    def __init__(self, folders: Folders, secret: bytes, bus: Bus) -> None:
        """Find what dead processes left in the folders; `start` begins to send it."""
        self._folders = folders
        self._seals = Seals(secret)
        self._secret = secret
        self._bus = bus
        self._entries: dict[str, _SavedFile] = {}
        self._heap: list[_SavedFile] = []
        self._forgotten: dict[tuple[str, str], float] = {}
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._bytes = 0
        self._away = False  # the state service, as the newest tries have it
        self._swept = 0.0
        self._rarely = RareLog("parley.edge.outbox")
        for folder in list(folders.adopted):
            self._adopt(folder)
        if self._entries:
            log.warning("outbox_recovered", requests=len(self._entries))

    # -- what the edge calls ------------------------------------------------------------------------

    def keep(
        self,
        subject: Subject[Any, Any],
        request: Any,
        context: BusContext,
        *,
        conversation: str | None,
        expires: int,
        begun: float | None = None,
        sending: asyncio.Task[Any] | None = None,
    ) -> bool:
        """Keep a request that did not get through, until it is in or `expires`, in Unix seconds, has come.

        `sending` is the first try of it, at the monotonic time `begun`; while it lasts there is no other.
        Return whether the request is kept: not where the spool is full or broken, nor where the conversation
        was deleted meanwhile.
        """
        whose = (context.tenant, self._digest(context.tenant, conversation))
        if begun is not None and self._forgotten.get(whose, begun) > begun:
            _count("forgotten")
            return False
        name = f"{context.tenant}.{whose[1]}.{expires}.{uuid4().hex}"
        kept = _SavedRequest(
            subject=subject.name,
            tenant=context.tenant,
            request_id=context.request_id,
            traceparent=context.traceparent,
            request=subject.encoder.encode(request),
        )
        sealed = self._seals.seal(name, _ENCODER.encode(kept))
        size = self._bytes + len(sealed)
        if size > self._folders.max_bytes * SHARE or not self._folders.room(len(sealed)):
            _count("full")
            self._rarely.error("outbox_full", bytes=self._bytes, spool_bytes=self._folders.bytes)
            return False
        try:
            saved = _SavedFile(self._folders.own, name, len(sealed))
            self._write(saved.path, sealed)
        except (OSError, ValueError) as error:  # ValueError: a tenant that cannot stand in a name
            _count("broken")
            self._rarely.error("outbox_broken", error=str(error))
            return False
        _count("kept")
        self._add(saved)
        if sending is None or sending.done():
            self._put(saved, time.monotonic() + saved.backoff.next())
        else:
            sending.add_done_callback(lambda task: self._first_try_ended(saved, task))
        return True

    def forget(self, tenant: str, conversation: str) -> int:
        """Drop what is kept of a conversation that was deleted, and return how much that was.

        What is on its way at this moment is not kept again.
        """
        now, whose = time.monotonic(), (tenant, self._digest(tenant, conversation))
        for old in [key for key, marked in self._forgotten.items() if now - marked > FORGOTTEN_SECONDS]:
            del self._forgotten[old]
        self._forgotten[whose] = now
        found = [saved for saved in self._entries.values() if saved.whose == whose]
        for saved in found:
            self._end(saved, "forgotten")
        return len(found)

    async def start(self) -> None:
        """Begin to send, first what dead processes left."""
        self._bus.on_reconnect(self._reconnected)
        self._loop = asyncio.create_task(self._run())

    async def stop(self, grace_seconds: float) -> None:
        """Send what can be sent within `grace_seconds`; the rest stays on disk for the next process."""
        ends = time.monotonic() + grace_seconds
        while self._entries and self._bus.connected and time.monotonic() < ends:
            await asyncio.sleep(0.01)
        if self._entries:
            log.warning("outbox_left", requests=len(self._entries))
        tasks = [task for task in (self._loop, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- sending ------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._slots.acquire()
            task = asyncio.create_task(self._try(await self._next()))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()

    async def _next(self) -> _SavedFile:
        """Wait for the next entry that may be tried; what has expired meanwhile is removed."""
        while True:
            now = time.monotonic()
            self._sweep()
            while self._heap and self._heap[0].over:
                heapq.heappop(self._heap)
            if self._heap and self._heap[0].due <= now and self._bus.connected:
                return heapq.heappop(self._heap)
            wait = self._heap[0].due - now if self._heap and self._bus.connected else SWEEP_SECONDS
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait, SWEEP_SECONDS) if self._entries else None):
                    await self._wake.wait()

    def _sweep(self) -> None:
        """Remove what has expired, but for what is on its way."""
        if time.monotonic() < self._swept + SWEEP_SECONDS:
            return
        now, self._swept = time.time(), time.monotonic()
        for saved in [saved for saved in self._heap if saved.expires <= now and not saved.over]:
            log.warning("outbox_expired", tenant=saved.whose[0])
            self._end(saved, "expired")

    async def _try(self, saved: _SavedFile) -> None:
        try:
            kept = self._read(saved)
            if kept is not None:
                await self._send(saved, kept)
        except Exception as error:  # whatever it is, it must not end the sending of the others
            if not isinstance(error, BusError):
                self._rarely.error("outbox_failed", error=type(error).__name__)
            self._away = self._away or not isinstance(error, WorkerFailed)
        if saved.name in self._entries:
            self._put(saved, time.monotonic() + saved.backoff.next())

    async def _send(self, saved: _SavedFile, kept: _SavedRequest) -> None:
        """Send once; return with the entry ended, or because nothing knows its subject. Raises BusError."""
        subject = _SUBJECTS.get(kept.subject)
        if subject is None:  # a newer release's: this one waits for it with the file
            self._rarely.error("outbox_subject_unknown", subject=kept.subject)
            return
        context = BusContext(tenant=kept.tenant, request_id=kept.request_id, traceparent=kept.traceparent)
        try:
            # As the bytes they are: what a newer release wrote into them must not be lost.
            reply = await self._bus.call(subject, cast(Any, msgspec.Raw(kept.request)), context)
        except (RequestInvalid, MessageTooLarge) as error:
            log.error("outbox_refused", request_id=kept.request_id, subject=kept.subject, reason=type(error).__name__)
            return self._end(saved, "refused")
        self._answered(saved, reply, kept.request_id)

    def _first_try_ended(self, saved: _SavedFile, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._put(saved, time.monotonic() + saved.backoff.next())
        else:
            self._answered(saved, task.result())

    def _answered(self, saved: _SavedFile, reply: Any, request_id: str = "") -> None:
        refused = getattr(reply, "refused", None)
        if refused is not None:
            log.warning("outbox_refused", request_id=request_id, tenant=saved.whose[0], reason=refused)
        self._end(saved, "sent" if refused is None else "refused")
        if self._away:
            self._away = False
            self._all_due()

    async def _reconnected(self) -> None:
        self._all_due()

    def _all_due(self) -> None:
        now = time.monotonic()
        for saved in self._heap:
            saved.due = now
            saved.backoff.reset()
        self._wake.set()

    # -- what is where ------------------------------------------------------------------------------

    def _adopt(self, folder: Folder) -> None:
        """Take over what a dead process left. What it was still writing is worth nothing."""
        for path in sorted(folder.path.iterdir()):
            try:
                if path.name.endswith(_DRAFT):
                    path.unlink()
                elif path.name.endswith(_SUFFIX):
                    saved = _SavedFile(folder, path.name.removesuffix(_SUFFIX), path.stat().st_size)
                    self._add(saved)
                    self._put(saved, 0.0)
            except (OSError, ValueError) as error:  # left where it is, and the folder with it
                log.error("outbox_file_left", error=str(error))
        self._folders.finished(folder)

    def _read(self, saved: _SavedFile) -> _SavedRequest | None:
        """Return what a file holds; None where that was ended for good. Raises OSError where it may be read later."""
        try:
            descriptor = self._folders.descriptors.open(saved.path, os.O_RDONLY)
        except FileNotFoundError:
            sealed = b""
        else:
            try:
                sealed = os.pread(descriptor, saved.size, 0)
            finally:
                self._folders.descriptors.close(descriptor)
        data = self._seals.open(saved.name, sealed)
        try:
            return _DECODER.decode(data or b"")
        except msgspec.MsgspecError:  # another secret, or damage
            log.error("outbox_unreadable", tenant=saved.whose[0])
            self._end(saved, "unreadable")
            return None

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file whole or not at all: what a dead process was still writing has another name. Raises OSError."""
        draft = path.with_suffix(_DRAFT)
        descriptor = self._folders.descriptors.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            if os.write(descriptor, content) < len(content):
                raise OSError(errno.ENOSPC, "short write")
            draft.rename(path)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            raise
        finally:
            self._folders.descriptors.close(descriptor)

    def _add(self, saved: _SavedFile) -> None:
        self._entries[saved.name] = saved
        self._bytes += saved.size
        self._folders.count(saved.size)
        metrics.OUTBOX_WAITING.set(len(self._entries))

    def _put(self, saved: _SavedFile, due: float) -> None:
        saved.due = due
        heapq.heappush(self._heap, saved)
        self._wake.set()

    def _end(self, saved: _SavedFile, result: str) -> None:
        """Remove an entry for good, whether it waits or is on its way."""
        if self._entries.pop(saved.name, None) is None:
            return
        saved.over = True
        _count(result)
        metrics.OUTBOX_WAITING.set(len(self._entries))
        self._bytes -= saved.size
        self._folders.count(-saved.size)
        try:
            saved.path.unlink(missing_ok=True)
        except OSError as error:
            self._rarely.error("outbox_broken", error=str(error))
        self._folders.finished(saved.folder)

    def _digest(self, tenant: str, conversation: str | None) -> str:
        names = f"{tenant}\0{conversation or ''}".encode()
        return blake2b(names, key=self._secret, digest_size=16, person=b"parley-outbox").hexdigest()


def _count(result: str) -> None:
    metrics.OUTBOX.labels(result).inc()
