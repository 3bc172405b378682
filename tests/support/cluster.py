"""The real processes of a cluster, each of which a test may kill, freeze, stop and start again."""

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from deploy.local.nats_server import free_port
from tests.support.nats import NatsServer, running_nats
from tests.support.simulator import Simulator, started_simulator
from tests.support.wait import until

START_SECONDS = 30.0
_READY = re.compile(r"^ready (\d+)$")


class Service:
    """One `python -m services.<name>`; `port` is that of its health, or of its HTTP side for the edge.

    `wrapper` are arguments of the interpreter that come first, such as those of a profiler.
    """

    def __init__(self, name: str, environ: Mapping[str, str], log: Path, wrapper: Sequence[str] = ()) -> None:
        self.name = name
        self.log = log
        self.port = 0
        self._wrapper = wrapper
        self._environ = dict(environ)
        self._process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> "subprocess.Popen[str]":
        """The process of the present life."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process

    def start(self) -> None:
        """Start, and wait until it says that it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._wrapper, "-m", f"services.{self.name}"],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self._environ},
                text=True,
            )
        announced, told = threading.Event(), threading.Event()
        threading.Thread(target=self._read, args=(self._process, announced, told), daemon=True).start()
        assert told.wait(START_SECONDS) and announced.is_set(), f"{self.name} did not start:\n{self.logged()}"

    def _read(self, process: "subprocess.Popen[str]", announced: threading.Event, told: threading.Event) -> None:
        """Read until the process ends; `told` once it is ready, or will never be."""
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                ready = _READY.match(line)
                if ready:
                    self.port = int(ready[1])
                    announced.set()
                    told.set()
        told.set()

    def send(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill without warning."""
        self.send(signal.SIGKILL)
        self.process.wait(10)

    def stop(self, seconds: float = 60.0) -> int:
        """Stop as an operator does, and return the exit status."""
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
        return self.process.wait(seconds)

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def wait_ready(self) -> None:
        """Return once /readyz says so."""
        until(self.is_ready, seconds=START_SECONDS, what=f"{self.name} ready")

    def logged(self) -> str:
        """What it wrote to its log, over all its lives."""
        return self.log.read_text(errors="replace")


class Cluster:
    """A running cluster; `services` by name, one of each."""

    def __init__(
        self, nats: NatsServer, simulator: Simulator, services: dict[str, Service], start: Callable[..., Service]
    ) -> None:
        self.nats = nats
        self.simulator = simulator
        self.services = services
        self._make = start

    def __getitem__(self, name: str) -> Service:
        return self.services[name]

    def another(
        self, name: str, environ: Mapping[str, str] | None = None, wrapper: Sequence[str] | None = None
    ) -> Service:
        """Return one more replica of a service, not started; it is stopped with the cluster at the latest."""
        return self._make(name, environ or {}, wrapper)

    @property
    def url(self) -> str:
        """Where the edge listens, without a path."""
        return f"http://127.0.0.1:{self.services['edge'].port}"

    @property
    def base_url(self) -> str:
        """What a client is pointed at."""
        return f"{self.url}/v1"


@contextmanager
def running_cluster(
    directory: Path,
    *,
    environ: Mapping[str, str] | None = None,
    analytics: bool = True,
    wrapped: Mapping[str, Sequence[str]] | None = None,
    own: Mapping[str, Mapping[str, str]] | None = None,
    nats_login: str = "",
    prepare: Callable[[str], None] | None = None,
) -> Iterator[Cluster]:
    """Run nats-server, the simulator and the services while the block runs; stop all of them after it.

    `wrapped` gives, by name, what a service's interpreter is told to run it under, `own` variables that only one
    service gets. With `nats_login`, "user:password", the server lets in nobody else.
    `prepare` is told the simulator's base URL before a service starts.
    """
    with ExitStack() as stack:
        nats = stack.enter_context(running_nats(directory / "nats", nats_login))
        simulator = stack.enter_context(started_simulator())
        if prepare is not None:
            prepare(simulator.base_url)
        settings = {
            "PARLEY_NATS_URL": nats.url,
            "OPENAI_BASE_URL": simulator.base_url,
            "PARLEY_SECRET_FILE": str(directory / "secret"),
            "PARLEY_SPOOL_DIR": str(directory / "spool"),
            "PARLEY_ANALYTICS_CHDB_PATH": str(directory / "clickhouse"),
            "PARLEY_PORT": str(free_port()),
            **(environ or {}),
        }
        logs = count(1)

        def make(name: str, more: Mapping[str, str], wrapper: Sequence[str] | None = None) -> Service:
            log = directory / f"{name}-{next(logs)}.log"
            around = wrapper if wrapper is not None else (wrapped or {}).get(name, ())
            service = Service(name, {**settings, **(own or {}).get(name, {}), **more}, log, around)
            stack.callback(_stop, service)
            return service

        names = ["converter", "state", *(["analytics"] if analytics else []), "edge"]
        services = {name: make(name, {}) for name in names}
        for service in services.values():
            service.start()
        for service in services.values():
            service.wait_ready()
        yield Cluster(nats, simulator, services, make)


def _stop(service: Service) -> None:
    if service._process is not None:
        try:
            service.stop()
        except subprocess.TimeoutExpired:
            service.kill()
            raise AssertionError(f"{service.name} did not stop on SIGTERM:\n{service.logged()}") from None
