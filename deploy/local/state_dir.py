"""The state directory of a local cluster (`var`, or `PARLEY_VAR`): who runs in it, and where things lie.

A lock on `cluster.lock` says that a cluster runs, `cluster.json` how to reach it. The file alone means
nothing: a cluster that was killed leaves it behind, but never the lock.
"""

import fcntl
import os
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

LOCK_TRIES = 5  # whoever only looks holds the lock for an instant
LOCK_RETRY_SECONDS = 0.05


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster that runs, as told in `cluster.json`; `base_url` is empty while it starts."""

    pid: int
    base_url: str = ""
    nats_url: str = ""
    edge_port: int = 0
    health_ports: dict[str, int] = {}
    pids: dict[str, int] = {}
    upstream: str = ""
    logs: str = ""


class Occupied(Exception):
    """Another cluster runs in the directory; the message says so in one sentence."""


_DECODER = msgspec.json.Decoder(Running)


class StateDir:
    """A state directory; made when it is first occupied."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[bytes] | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "StateDir":
        """Return the directory that `environ` names, `var` below the current one by default."""
        return cls(Path(environ.get("PARLEY_VAR") or "var").absolute())

    @property
    def shown(self) -> str:
        """The path as a person here would type it."""
        here = Path.cwd()
        return str(self.path.relative_to(here) if self.path.is_relative_to(here) else self.path)

    @property
    def logs(self) -> Path:
        """Where each process has its log."""
        return self.path / "logs"

    # -- the cluster itself -----------------------------------------------------------------------

    def occupy(self) -> None:
        """Take the directory for this process. Raises Occupied when another has it, OSError when it cannot be."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)
        for left in reversed(range(LOCK_TRIES)):
            self._lock = _locked(self.path / "cluster.lock")
            if self._lock is not None:
                break
            if not left:
                raise Occupied(self._occupied())
            time.sleep(LOCK_RETRY_SECONDS)
        self._close_to_others()
        self.tell(Running(pid=os.getpid()))

    def _close_to_others(self) -> None:
        """Take from group and others what an earlier release, or another umask, left them."""
        for folder, _, names in os.walk(self.path):
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                with suppress(OSError):  # it went away, or is another user's
                    mode = path.lstat().st_mode
                    if mode & 0o077 and not stat.S_ISLNK(mode):
                        path.chmod(stat.S_IMODE(mode) & ~0o077)

    def _occupied(self) -> str:
        running = self._read()
        if running is None:
            return f"Parley is already running in {self.shown}."
        if not running.base_url:
            return f"Parley is already starting in {self.shown} (process {running.pid})."
        return f"Parley is already running in {self.shown}, at {running.base_url} (process {running.pid})."

    def tell(self, running: Running) -> None:
        """Write how to reach the cluster; readers see the old file or the new one, never a part."""
        fresh = self.path / "cluster.json.new"
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(running)) + b"\n")
        fresh.replace(self.path / "cluster.json")

    def leave(self) -> None:
        """Give the directory up."""
        if self._lock is not None:
            (self.path / "cluster.json").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    # -- others -----------------------------------------------------------------------------------

    def running(self) -> Running | None:
        """Return the cluster that runs here, None when none does."""
        if not self.path.is_dir():
            return None
        lock = _locked(self.path / "cluster.lock")
        if lock is not None:
            lock.close()
            return None
        return self._read()

    def _read(self) -> Running | None:
        try:
            return _DECODER.decode((self.path / "cluster.json").read_bytes())
        except (OSError, msgspec.DecodeError):
            return None


def _locked(path: Path) -> IO[bytes] | None:
    """Return the open file with its lock, None when another holds it. Closing it lets go."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
