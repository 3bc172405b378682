"""Show whether each service of the local cluster is ready."""

import os
import sys
from typing import Any

import click
import msgspec

from deploy.local import probe
from deploy.local.state_dir import Running, StateDir
from parley import table
from parley.failure import Failure

_HOST = "127.0.0.1"


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One service as found; `detail` says what keeps it from being ready."""

    name: str
    ready: bool
    port: int
    pid: int
    detail: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Ask each service of the cluster in var/ (PARLEY_VAR) whether it is ready, and the edge for its status.

    Exits with 1 when one is not.
    """
    state = StateDir.of(os.environ)
    running = state.running()
    if running is None:
        raise Failure(f"No cluster runs in {state.shown}; start one with `parley up`.")
    services = [_service(running, name) for name in running.health_ports]
    edge = _edge_status(running)
    if as_json:
        click.echo(msgspec.json.encode({"cluster": running, "services": services, "edge": edge}))
    else:
        _print(running, services, edge)
    sys.exit(0 if services and all(service.ready for service in services) else 1)


def _service(running: Running, name: str) -> Service:
    port = running.health_ports[name]
    try:
        status, body = probe.get(_HOST, port, "/readyz")
    except OSError as error:
        status, detail = 0, f"no answer: {error.strerror or error}"
    else:
        detail = "" if status == 200 else f"{status} {body.decode(errors='replace').strip()[:200]}"
    return Service(name=name, ready=status == 200, port=port, pid=running.pids.get(name, 0), detail=detail)


def _edge_status(running: Running) -> Any:
    """What the edge says at /status; None when it says nothing that can be shown."""
    try:
        status, body = probe.get(_HOST, running.edge_port, "/status")
        return msgspec.json.decode(body) if status == 200 else None
    except (OSError, msgspec.DecodeError):
        return None


def _print(running: Running, services: list[Service], edge: Any) -> None:
    click.echo(
        f"base URL  {running.base_url or '(starting)'}\nupstream  {running.upstream}\nlogs      {running.logs}\n"
    )
    rows = [
        (service.name, "ready" if service.ready else "not ready", service.port, service.pid, service.detail)
        for service in services
    ]
    for line in table.lines(("service", "state", "port", "pid", "detail"), rows):
        click.echo(line)
    flat = list(_flattened("", edge)) if isinstance(edge, dict) else []
    if flat:
        click.echo()
        for line in table.lines(("status of the edge", "value"), flat):
            click.echo(line)


def _flattened(prefix: str, node: dict[str, Any]) -> list[tuple[str, object]]:
    result: list[tuple[str, object]] = []
    for key, value in node.items():
        if isinstance(value, dict):
            result += _flattened(f"{prefix}{key}.", value)
        else:
            result.append((prefix + key, msgspec.json.encode(value).decode() if isinstance(value, list) else value))
    return result
