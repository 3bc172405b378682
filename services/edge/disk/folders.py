"""Where one edge process keeps what must outlive it: a folder of its own, and those of dead processes.

A folder is held by a lock; one whose lock is free belongs to a dead process and is adopted with all that is
in it. What is in all of them counts against one limit, in bytes.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from libs.runtime import metrics
from libs.runtime.logs import Log
from services.edge.disk.descriptors import Descriptors

_LOCK = "lock"
_NAME = re.compile(r"[0-9a-f]{32}")

log = Log("parley.edge.spool")


class Folder:
    """The directory of one process, and the lock on it."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def empty(self) -> bool:
        """Whether nothing but the lock is in it. Raises OSError."""
        return os.listdir(self.path) == [_LOCK]

    def release(self) -> None:
        """Remove the directory if nothing is left in it, and give up the lock: the rest is for the next process."""
        try:
            if self.empty():
                (self.path / _LOCK).unlink()
                self.path.rmdir()
        except OSError as error:
            log.warning("spool_folder_kept", error=str(error))
        os.close(self._lock)


class Folders:
    """This process's folder under `root`, and those it adopted. `max_bytes` bounds what is in all of them."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        """Adopt what is abandoned and make a folder of its own. Raises OSError."""
        self.max_bytes = max_bytes
        self.bytes = 0
        self.descriptors = Descriptors()
        root.mkdir(parents=True, exist_ok=True)
        self.adopted = [Folder(path, lock) for path, lock in _abandoned(root)]
        self.own = _new_folder(root)

    def room(self, size: int) -> bool:
        """Whether `size` bytes more may be written."""
        return self.bytes + size <= self.max_bytes

    def count(self, size: int) -> None:
        """`size` bytes were written, or found, or with a minus are gone."""
        self.bytes += size
        metrics.SPOOL_BYTES.set(self.bytes)

    def finished(self, folder: Folder) -> None:
        """Something of a folder is gone: a dead process's is removed once nothing is left in it."""
        try:
            if folder in self.adopted and folder.empty():
                self.adopted.remove(folder)
                folder.release()
        except OSError as error:
            log.warning("spool_folder_kept", error=str(error))  # looked at again when this process ends

    def release(self) -> None:
        """Give up all locks; what is left is for the next process."""
        self.descriptors.release()
        for folder in (*self.adopted, self.own):
            folder.release()
        self.adopted = []


def _new_folder(root: Path) -> Folder:
    # Locked under a name that nobody adopts, then given its own: no moment without a lock.
    name = uuid4().hex
    hidden = root / f".{name}"
    hidden.mkdir()
    lock = os.open(hidden / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    hidden.rename(root / name)
    return Folder(root / name, lock)


def _abandoned(root: Path) -> Iterator[tuple[Path, int]]:
    """Yield each directory whose lock is free, and the lock, now held.

    One without a lock is what a process left that could not remove all of it.
    """
    for path in sorted(root.iterdir()):
        if not _NAME.fullmatch(path.name):
            continue
        try:
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except (FileNotFoundError, NotADirectoryError):  # it is gone by now, or none of ours
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        if (path / _LOCK).exists():
            yield path, lock
        else:  # another process adopted it, finished it and removed it in this very moment
            os.close(lock)
