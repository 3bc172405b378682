"""A real nats-server for tests, on a free port, which a test may kill, freeze and start again."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import nats_server


class NatsServer:
    """One server process; `url` stays the same over restarts.

    With `login`, "user:password", it lets in nobody else. `more` is added to its configuration.
    """

    def __init__(self, store: Path, login: str = "", more: str = "") -> None:
        self._store = store
        self._more = more
        if login:
            user, _, password = login.partition(":")
            self._more += f'authorization {{ user: "{user}", password: "{password}" }}\n'
        self.port = nats_server.free_port()
        self.url = f"nats://{login + '@' if login else ''}127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process of the present life."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and wait until it listens."""
        command = nats_server.command(self.port, self._store)
        with Path(command[-1]).open("a") as configuration:
            configuration.write(self._more)
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert wait_listening(self.port), "nats-server did not start"

    def kill(self) -> None:
        """Kill without warning."""
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)

    def send(self, number: int) -> None:
        """Send a signal to the process."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def wipe(self) -> None:
        """Lose all that is stored; the server must not run."""
        shutil.rmtree(self._store / "jetstream")

    def stop(self) -> None:
        """Stop if it runs."""
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            self._process.wait(10)


@contextmanager
def running_nats(store: Path, login: str = "") -> Iterator[NatsServer]:
    """Run a server while the block runs."""
    server = NatsServer(store, login)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def wait_listening(port: int, timeout_seconds: float = 10.0) -> bool:
    """Return whether something accepts connections on `port` before the time is over."""
    ends = time.monotonic() + timeout_seconds
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False
