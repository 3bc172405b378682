"""The life of a service process: settings, logs, signals, the loop, and one line on a failed start.

`run` is all that a worker's `__main__` needs; `Worker` is what it is handed.
"""

import asyncio
import gc
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress

import uvloop

from libs.runtime import logs, settings, tracing
from libs.runtime.bus import Bus
from libs.runtime.errors import StartError
from libs.runtime.health import HealthServer, Readiness
from libs.schemas.config import Config

PRIVATE_UMASK = 0o077
YOUNG_OBJECTS = 5000  # made and not freed, before the collector looks at them; Python's own 700 suits scripts

log = logs.Log("parley.service")


def stop_event() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def first(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waiters = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    for waiter in waiters:
        waiter.cancel()


def raise_descriptor_limit() -> None:
    """Allow this process as many open files as it may allow itself: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems call a hard limit unlimited, and then refuse it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def spare_collector() -> None:
    """Keep what start-up made out of every later garbage collection.

    Modules are 50,000 objects and more: a full collection that looks at them stops a process, and on the
    edge every stream, for some 30 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)


class Worker:
    """What a worker's set-up gets: the configuration, the bus, and where to add readiness checks.

    What it pushes on `before_drain` is closed while the bus still works, what it pushes on
    `after_drain` when the last request has been answered.
    """

    def __init__(self, config: Config, bus: Bus, readiness: Readiness) -> None:
        self.config = config
        self.bus = bus
        self.readiness = readiness
        self.before_drain = AsyncExitStack()
        self.after_drain = AsyncExitStack()


SetUp = Callable[[Worker], Awaitable[None]]


async def _work(name: str, config: Config, grace_seconds: float, set_up: SetUp) -> int:
    stop = stop_event()
    readiness = Readiness()
    health = HealthServer(config.health, readiness)
    try:
        await health.start()
    except OSError as error:
        raise StartError(f"health port {config.health.port}: {error.strerror}") from None
    bus = await Bus.connect(config.nats, name)
    readiness.add("nats", bus.alive)
    worker = Worker(config, bus, readiness)
    await set_up(worker)
    spare_collector()
    log.info("ready", health_port=health.port)
    # The supervisor reads the port from here: nothing else on standard output.
    print(f"ready {health.port}", flush=True)
    await first(stop, bus.closed)
    readiness.draining = True
    lost = bus.closed.is_set()
    log.info("stopping", reason="bus_closed" if lost else "signal")
    await worker.before_drain.aclose()
    await bus.drain(grace_seconds)
    await worker.after_drain.aclose()
    await health.stop()
    return 1 if lost else 0


def load(name: str, environ: Mapping[str, str]) -> Config:
    """Set up logs and traces, and return the configuration; exit with one line when it is wrong.

    What the process writes from now on is its user's alone to read.
    """
    os.umask(PRIVATE_UMASK)
    logs.setup(name)
    tracing.setup(name, environ)
    try:
        return settings.load(environ)
    except StartError as error:
        raise SystemExit(f"parley {name}: {error}") from None


def run(name: str, grace: Callable[[Config], float], set_up: SetUp) -> None:
    """Run a worker until SIGTERM, or until its bus is closed for good; then exit.

    `grace` gives, in seconds, how long requests in flight may take once a stop is asked for.
    """
    config = load(name, os.environ)
    try:
        status = uvloop.run(_work(name, config, grace(config), set_up))
    except StartError as error:
        raise SystemExit(f"parley {name}: {error}") from None
    sys.exit(status)
