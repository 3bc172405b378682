"""What the local cluster consists of: each process, its command line, its environment, its place in the order.

How processes are run is in `child.py` and `supervisor.py`.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from deploy.local import nats_server, probe
from deploy.local.child import Spec
from deploy.local.state_dir import StateDir
from libs.runtime.engines import check_clickhouse
from libs.runtime.masking import masked
from libs.runtime.settings import AUTH_VARIABLE, upstream_key
from libs.schemas.config import Analytics, Config, Edge, Secret

_SERVICES = ("converter", "state", "analytics", "edge")
# What any process may need: where programs and libraries are, language, time zone, memory.
_BASE = frozenset({"PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"})
_BASE |= {"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT"}
_BASE_PREFIXES = ("LC_", "PYTHON", "COVERAGE_", "MALLOC_")
# What a service may need besides: settings, traces, the way to a database or a collector.
_SERVICE_PREFIXES = ("PARLEY_", "OTEL_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE")
# Variables that hold a secret, or may, and whose they are.
_SECRETS = {
    "PARLEY_SECRET": ("edge", "state"),
    "PARLEY_STATE_REDIS_URL": ("state",),
    "PARLEY_ANALYTICS_CLICKHOUSE_URL": ("analytics",),
}
_OPENAI_KEY = "OPENAI_API_KEY"
_LOOPBACK = "127.0.0.1"
# `-P`: the user may start the cluster where a `services` or `libs` of their own lies, which Python would find first.
_MODULE = (sys.executable, "-P", "-m")
READY_LINE = re.compile(rb"^ready (\d+)\n", re.MULTILINE)
_SIMULATOR_LINE = re.compile(rb"^simulator ready on http://127\.0\.0\.1:(\d+)/v1\n", re.MULTILINE)
# What a service may need beyond its grace: aborted streams, late commits, the last records, the drain.
_CLOSING_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The processes in stages, first to start first, and where they meet; `upstream` is for people to read."""

    stages: tuple[tuple[Spec, ...], ...]
    nats_url: str
    upstream: str
    simulated: bool


def lay_out(config: Config, environ: Mapping[str, str], state: StateDir) -> Cluster:
    """Return the cluster that runs with this configuration and environment, its state in `state`.

    Raises StartError when a key of an upstream or an engine is missing.
    """
    for upstream in config.upstream:
        upstream_key(upstream, environ)
    check_clickhouse(config.analytics)
    simulated = not config.upstream
    nats_port, simulator_port = nats_server.free_port(), int(environ.get("PARLEY_SIMULATOR_PORT") or 0)
    nats_url = f"nats://{_LOOPBACK}:{nats_port}"
    simulator = _simulator(simulator_port or nats_server.free_port(), config, environ)
    simulator_url = f"http://{_LOOPBACK}:{simulator.port}/v1"
    service_environ = _service_environ(config, environ, state, nats_url)
    if simulated:
        service_environ.pop(_OPENAI_KEY, None)
        service_environ["OPENAI_BASE_URL"] = simulator_url
    servers = (_nats(nats_port, config, environ, state), *([simulator] if simulated else []))
    return Cluster(
        stages=(servers, _workers(config, service_environ), (_edge(config, service_environ),)),
        nats_url=nats_url,
        upstream=simulator_url if simulated else _described(config),
        simulated=simulated,
    )


def _service_environ(config: Config, environ: Mapping[str, str], state: StateDir, nats_url: str) -> dict[str, str]:
    """The user's own environment, and what makes the services meet; paths that the user chose stay."""
    result = {**environ, "PARLEY_NATS_URL": nats_url, "PARLEY_HEALTH_PORT": "0"}
    paths = (
        ("PARLEY_SECRET_FILE", "secret", config.secret.file, Secret().file),
        ("PARLEY_SPOOL_DIR", "spool", config.edge.spool_dir, Edge().spool_dir),
        ("PARLEY_ANALYTICS_CHDB_PATH", "clickhouse", config.analytics.chdb_path, Analytics().chdb_path),
    )
    for variable, place, chosen, default in paths:
        if chosen == default:
            result[variable] = str(state.path / place)
    return result


def _described(config: Config) -> str:
    return ", ".join(f"{upstream.name} ({masked(upstream.base_url)})" for upstream in config.upstream)


def _needed(environ: Mapping[str, str], config: Config, name: str) -> dict[str, str]:
    """Return what of the user's environment the process `name` needs: of secrets only its own."""
    service = name in _SERVICES
    result = {
        variable: value
        for variable, value in environ.items()
        if variable in _BASE
        or variable.startswith(_BASE_PREFIXES)
        or (service and variable.upper().startswith(_SERVICE_PREFIXES))
    }
    for variable, owners in _SECRETS.items():
        if name not in owners:
            result.pop(variable, None)
    if name in ("edge", "converter"):
        result |= {variable: environ[variable] for variable in ("OPENAI_BASE_URL",) if variable in environ}
    keys = {_OPENAI_KEY, *(upstream.key_env for upstream in config.upstream if upstream.key_env)}
    if name == "edge":
        result |= {variable: environ[variable] for variable in keys if variable in environ}
    else:
        result = {variable: value for variable, value in result.items() if variable not in keys}
        if name == "converter" and environ.get(_OPENAI_KEY, "").strip():
            result.setdefault(AUTH_VARIABLE, "key")  # its routes are those of the edge, which has the key
    return result


def _nats(port: int, config: Config, environ: Mapping[str, str], state: StateDir) -> Spec:
    return Spec(
        name="nats-server",
        command=nats_server.command(port, state.path / "nats"),
        environ=_needed(environ, config, "nats-server"),
        probe=partial(probe.nats_greets, _LOOPBACK),
        port=port,
    )


def _simulator(port: int, config: Config, environ: Mapping[str, str]) -> Spec:
    return Spec(
        name="simulator",
        command=[*_MODULE, "simulator", "--port", str(port)],
        environ=_needed(environ, config, "simulator"),
        probe=partial(probe.listens, _LOOPBACK),
        announcement=_SIMULATOR_LINE,
        port=port,
        grace_seconds=5.0,
    )


def _workers(config: Config, environ: Mapping[str, str]) -> tuple[Spec, ...]:
    graces = {
        "converter": config.converter.grace_seconds,
        "state": config.state.grace_seconds,
        "analytics": config.analytics.grace_seconds,
    }
    return tuple(
        Spec(
            name=name,
            command=[*_MODULE, f"services.{name}"],
            environ=_needed(environ, config, name),
            probe=partial(probe.readyz, probe.reachable(config.health.host)),
            announcement=READY_LINE,
            grace_seconds=grace_seconds + _CLOSING_SECONDS,
        )
        for name, grace_seconds in graces.items()
    )


def _edge(config: Config, environ: Mapping[str, str]) -> Spec:
    return Spec(
        name="edge",
        command=[*_MODULE, "services.edge"],
        environ=_needed(environ, config, "edge"),
        probe=partial(probe.readyz, probe.reachable(config.edge.host)),
        announcement=READY_LINE,
        port=config.edge.port,
        port_variable="PARLEY_PORT",
        grace_seconds=config.edge.grace_seconds + _CLOSING_SECONDS,
    )
