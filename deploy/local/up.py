"""`parley up`, from the first check to the last process stopped: the cluster on one machine, in the foreground."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping

from deploy.local import banner, probe
from deploy.local.child import Child, ChildFailed
from deploy.local.cluster import Cluster, lay_out
from deploy.local.state_dir import Occupied, Running, StateDir
from deploy.local.supervisor import Supervisor
from deploy.local.terminal import apart_from_make, say
from libs.runtime import settings
from libs.runtime.errors import StartError
from libs.runtime.service import PRIVATE_UMASK
from libs.schemas.config import Config, Edge

LayOut = Callable[[Config, Mapping[str, str], StateDir], Cluster]


class Signals:
    """What the user asks for: `stop` by SIGINT, SIGTERM or a closed terminal, `hasten` by Ctrl-C once more."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hasten = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        loop.add_signal_handler(signal.SIGTERM, self.stop.set)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as it is under nohup
            loop.add_signal_handler(signal.SIGHUP, self.stop.set)

    def _interrupted(self) -> None:
        (self.hasten if self.stop.is_set() else self.stop).set()


class LocalCluster:
    """One run of the cluster in a directory that this process occupies."""

    def __init__(self, config: Config, cluster: Cluster, state: StateDir) -> None:
        self._config = config
        self._cluster = cluster
        self._state = state
        self._began = time.monotonic()
        stages = [[Child(spec, state.logs) for spec in stage] for stage in cluster.stages]
        self._supervisor = Supervisor(stages, say, self._tell)

    async def run(self) -> int:
        """Run until the user asks to stop. Return the exit status."""
        signals = Signals()
        starting = asyncio.create_task(self._supervisor.start())
        stopping = asyncio.create_task(signals.stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                self._greet()
            await stopping
            say("\nStopping: the edge finishes its streams first. Ctrl-C once more hastens.")
            return 0
        except (ChildFailed, OSError) as error:
            _lament(error)
            return 1
        finally:
            for task in (starting, stopping):
                task.cancel()
            await asyncio.gather(starting, stopping, return_exceptions=True)
            await self._supervisor.stop(signals.hasten)
            say("Parley has stopped.")

    def _greet(self) -> None:
        self._tell()
        facts = banner.Facts(
            base_url=self._running().base_url,
            upstream=self._cluster.upstream,
            simulated=self._cluster.simulated,
            needs_key=banner.needs_key(self._config),
            model=banner.example_model(self._config),
            seconds=time.monotonic() - self._began,
            state=self._state.shown,
        )
        say(banner.text(facts))

    def _tell(self) -> None:
        try:
            self._state.tell(self._running())
        except OSError as error:  # a full disk; what runs must keep running
            say(f"cluster.json cannot be written: {error.strerror}")

    def _running(self) -> Running:
        ports = {child.name: child.port for child in self._supervisor.children}
        services = [spec.name for stage in self._cluster.stages[1:] for spec in stage]
        return Running(
            pid=os.getpid(),
            base_url=f"http://{_in_url(probe.reachable(self._config.edge.host))}:{ports['edge']}/v1",
            nats_url=self._cluster.nats_url,
            edge_port=ports["edge"],
            health_ports={name: ports[name] for name in services},
            pids={child.name: child.pid for child in self._supervisor.children},
            upstream="simulator" if self._cluster.simulated else self._cluster.upstream,
            logs=str(self._state.logs),
        )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _lament(error: ChildFailed | OSError) -> None:
    if not isinstance(error, ChildFailed):
        say(f"\nThe system refuses to start a process: {error}")
        return
    say(f"\n{error}. The last lines of {error.log}:" if error.tail else f"\n{error}, and logged nothing.")
    for line in error.tail:
        say(f"  {line}")


def _check_port(edge: Edge) -> None:
    fault = probe.listening_fault(edge.host, edge.port)
    if fault is not None:
        raise StartError(
            f"Parley cannot listen on port {edge.port} of {edge.host} ({os.strerror(fault.errno or 0)}): "
            "free it, or choose another with PARLEY_PORT (0 takes any free one)."
        )


def run(environ: Mapping[str, str], lay_out: LayOut = lay_out) -> int:
    """Run the cluster that `lay_out` plans until SIGINT or SIGTERM. Return the exit status.

    Raises StartError with one sentence when it cannot start at all, and then has changed nothing.
    """
    os.umask(PRIVATE_UMASK)  # for this process and its children
    config = settings.load(environ)
    state = StateDir.of(environ)
    try:
        state.occupy()
    except Occupied as error:
        raise StartError(str(error)) from None
    except OSError as error:
        raise StartError(f"The state directory {state.shown} cannot be used: {error.strerror}") from None
    try:
        _check_port(config.edge)
        cluster = lay_out(config, environ, state)
        say(f"Parley is starting; its state is in {state.shown}/")
        with apart_from_make(environ):
            return asyncio.run(LocalCluster(config, cluster, state).run())
    finally:
        state.leave()
