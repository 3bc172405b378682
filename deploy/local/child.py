"""One process of the local cluster: started, found ready, its output kept in a log, stopped.

Who is started when, and again after a death, is the supervisor's business.
"""

import asyncio
import os
import re
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import tether

POLL_SECONDS = 0.05
HASTE_SECONDS = 1.0  # what is left of any grace once the user is in a hurry
_OUTPUT_WINDOW_BYTES = 64 * 1024
_TAIL_BYTES = 64 * 1024

Probe = Callable[[int], Awaitable[bool]]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """How to run a child.

    `probe` is asked, with the child's port, whether it is ready. `announcement` matches what the child
    prints on stdout once it listens, its first group being the port; without one `port` is known before.
    `port_variable` names the environment variable that makes a restarted child take the same port again.
    """

    name: str
    command: Sequence[str]
    probe: Probe
    environ: Mapping[str, str] = field(default_factory=dict)
    announcement: re.Pattern[bytes] | None = None
    port: int = 0
    port_variable: str = ""
    start_seconds: float = 60.0
    grace_seconds: float = 10.0


class ChildFailed(Exception):
    """A child did not become ready; `tail` holds the last lines it logged in this life."""

    def __init__(self, name: str, reason: str, log: Path, tail: list[str]) -> None:
        super().__init__(f"{name} {reason}")
        self.log = log
        self.tail = tail


class Child:
    """A process and its log. `port` is 0 until it is known."""

    def __init__(self, spec: Spec, logs: Path) -> None:
        self.name = spec.name
        self.log = logs / f"{spec.name}.log"
        self.port = spec.port
        self._spec = spec
        self._process: Process | None = None
        self._started = 0.0
        self._ready: float | None = None
        self._log_start = 0
        self._announced = False
        self._copying: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process id of the present life; 0 before the first."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the process is there, ready or not."""
        return self._process is not None and self._process.returncode is None

    @property
    def age_seconds(self) -> float:
        """Seconds since the last start."""
        return time.monotonic() - self._started

    @property
    def well_seconds(self) -> float:
        """Seconds since the child became ready in its last life; 0 when it never did."""
        return 0.0 if self._ready is None else time.monotonic() - self._ready

    async def start(self) -> None:
        """Start the process. Raises OSError when the system refuses."""
        environ = dict(self._spec.environ)
        if self._spec.port_variable and self.port:
            environ[self._spec.port_variable] = str(self.port)
        self._started = time.monotonic()
        self._ready = None
        self._announced = self._spec.announcement is None
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *tether.command(self._spec.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environ,
                start_new_session=True,  # the terminal's Ctrl-C is for the supervisor alone
            )
        assert self._process.stdout is not None
        self._copying = asyncio.create_task(self._copy_output(self._process.stdout))

    async def _copy_output(self, stdout: asyncio.StreamReader) -> None:
        window = b""
        while data := await stdout.read(_OUTPUT_WINDOW_BYTES):
            self._append(data)
            if not self._announced:
                window = (window + data)[-_OUTPUT_WINDOW_BYTES:]
                self._look_for_announcement(window)

    def _append(self, data: bytes) -> None:
        try:
            with self.log.open("ab") as log:
                log.write(data)
        except OSError:  # a full disk must not block the child at its pipe
            return

    def _look_for_announcement(self, output: bytes) -> None:
        match = self._spec.announcement.search(output) if self._spec.announcement else None
        if match:
            self.port = int(match[1])
            self._announced = True

    async def wait_ready(self) -> None:
        """Return when the child is ready. Raises ChildFailed when it dies before, or takes too long."""
        try:
            async with asyncio.timeout(self._spec.start_seconds):
                while not (self._announced and await self._spec.probe(self.port)):
                    if not self.running:
                        raise await self._failure(self.end())
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise await self._failure(f"was not ready within {self._spec.start_seconds:g} s") from None
        self._ready = time.monotonic()

    async def _failure(self, reason: str) -> ChildFailed:
        if not self.running and self._copying is not None:
            await asyncio.wait({self._copying}, timeout=HASTE_SECONDS)
        return ChildFailed(self.name, reason, self.log, self.tail())

    def tail(self, lines: int = 15) -> list[str]:
        """Return the last lines of the log that were written since the last start."""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - _TAIL_BYTES))
            return log.read().decode(errors="replace").splitlines()[-lines:]

    def end(self) -> str:
        """Return how the process ended, as the rest of a sentence that starts with its name."""
        code = self._process.returncode if self._process else None
        if code is None:
            return "has not ended"
        if code >= 0:
            return f"exited with status {code}"
        return f"was killed by {signal.Signals(-code).name}"

    async def wait(self) -> None:
        """Return when the process has ended."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self, hastened: asyncio.Event) -> bool:
        """Ask the process to end, insist after its grace; `hastened` cuts the grace. Return whether it obeyed."""
        if not self.running:
            return True
        self._send(signal.SIGTERM)
        obeyed = await self._ends_within(self._spec.grace_seconds, hastened)
        if not obeyed:
            await self.kill()
        return obeyed

    async def kill(self) -> None:
        """End the process without asking."""
        self._send(signal.SIGKILL)
        await self.wait()

    async def _ends_within(self, seconds: float, hastened: asyncio.Event) -> bool:
        ended = asyncio.create_task(self.wait())
        hurry = asyncio.create_task(hastened.wait())
        await asyncio.wait({ended, hurry}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if hastened.is_set():
            await asyncio.wait({ended}, timeout=min(seconds, HASTE_SECONDS))
        for waiter in (ended, hurry):
            waiter.cancel()
        return not self.running

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(number)
