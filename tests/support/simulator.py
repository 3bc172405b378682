"""The simulator as a real process on a free port, and what it received: for every test that needs an upstream.

`running_simulator` in async code, `started_simulator` elsewhere; both stop it by pid and expect a clean exit.
"""

import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]

_ROOT = Path(__file__).resolve().parents[2]
_READY = "simulator ready on "
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class HttpAnswer:
    """A whole answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[Json]:
        """The `data:` objects of an event stream, in order, without `[DONE]`."""
        lines = self.body.decode().splitlines()
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return [json.loads(value) for value in data if value != "[DONE]"]


@dataclass(frozen=True)
class Simulator:
    """A started simulator. `base_url` ends in /v1, as an OpenAI client wants it."""

    base_url: str
    pid: int

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.base_url)
        return parts.hostname or "", parts.port or 0

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = "test-key",
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """One blocking HTTP call; `path` is the whole path, a `body` that is not bytes is sent as JSON."""
        sent = {"authorization": f"Bearer {key}"} if key is not None else {}
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, raw, {**sent, **(headers or {})})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return HttpAnswer(answer.status, named, answer.read())
        finally:
            connection.close()

    def respond(self, body: Json, *, key: str = "test-key", headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """`POST /v1/responses`."""
        return self.call("POST", "/v1/responses", body, key=key, headers=headers)

    def ledger(self, limit: int = 100) -> list[Json]:
        """The latest requests the simulator received, oldest first (shape: `simulator.http.ledger.Entry`)."""
        answer = self.call("GET", f"/_simulator/ledger?limit={limit}")
        return list(answer.json()["requests"])

    def clear_ledger(self) -> None:
        self.call("DELETE", "/_simulator/ledger")

    def expire(self, *response_ids: str) -> int:
        """Make the simulator forget these responses, all of them without any; how many it forgot."""
        body = {"response_ids": list(response_ids)} if response_ids else {}
        return int(self.call("POST", "/_simulator/expire", body).json()["expired"])

    def wait_for_request(self, matches: Callable[[Json], bool], timeout_seconds: float = 10.0) -> Json:
        """The newest ledger entry that matches, waited for; raises `TimeoutError` when none comes."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            found = next((entry for entry in reversed(self.ledger()) if matches(entry)), None)
            if found is not None:
                return found
            time.sleep(_POLL_SECONDS)
        raise TimeoutError("no request in the simulator's ledger matched")


@contextmanager
def started_simulator(*arguments: str) -> Iterator[Simulator]:
    """A simulator for the length of the block; extra arguments go to its command line."""
    command = [sys.executable, "-m", "simulator", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Simulator(_ready_url(process), process.pid)
        finally:
            returncode = _stop(process)
    assert returncode == 0, f"the simulator exited with {returncode}"


@asynccontextmanager
async def running_simulator(*arguments: str) -> AsyncIterator[Simulator]:
    """`started_simulator` for async code: starting and stopping do not block the loop."""
    manager = started_simulator(*arguments)
    simulator = await asyncio.to_thread(manager.__enter__)
    try:
        yield simulator
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


def _ready_url(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith(_READY):
        raise RuntimeError(f"the simulator did not start: {line!r}")
    return line.removeprefix(_READY).strip()


def _stop(process: "subprocess.Popen[str]") -> int:
    process.terminate()
    try:
        return process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
