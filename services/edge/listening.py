"""The front door: where the edge listens, and whom Parley's own keys serve there.

With `auth = "key"`, and no keys of Parley's own, whoever reaches the edge uses the upstream's key. So it keeps
to this machine, unless the configuration says otherwise.

See API_REFERENCE.md#with-parleys-own-key.
"""

import ipaddress
import socket
from typing import Any, Literal

from libs.runtime.errors import StartError
from libs.runtime.logs import Log
from libs.schemas.config import Config
from services.edge.ownership.owners import guarded

BACKLOG = 2048

log = Log("parley.edge")


def mode(config: Config) -> Literal["pass-through", "open"]:
    """Return `open` where any upstream is called with Parley's own key."""
    return "open" if any(map(guarded, config.upstream)) else "pass-through"


def listen(config: Config) -> socket.socket:
    """Return the listening socket. Raises StartError, also where `edge.open` is missing."""
    host, port = config.edge.host, config.edge.port
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # What it is bound to, whatever the name of it: before anyone can connect.
        if mode(config) == "open" and not config.edge.open and not _is_loopback(listener.getsockname()[0]):
            raise StartError(
                f"edge.host: {host!r} can be reached from other machines, and whoever reaches it would use Parley's "
                f"own key of {_names(config)}: set edge.open = true if that is meant, else listen on 127.0.0.1"
            )
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    except StartError:
        listener.close()
        raise
    return listener


def report(config: Config) -> dict[str, Any]:
    """Return what `/status` reports of where the edge listens."""
    shown: dict[str, Any] = {"mode": mode(config), "open": config.edge.open}
    return {**shown, "warning": _warning(config)} if _is_open(config) else shown


def warn(config: Config) -> None:
    """Log an error where anyone may use Parley's own keys."""
    if _is_open(config):
        log.error("door_open", warning=_warning(config), host=config.edge.host)


def _is_open(config: Config) -> bool:
    return config.edge.open and mode(config) == "open"


def _warning(config: Config) -> str:
    return f"edge.open is set: whoever reaches this edge uses Parley's own key of {_names(config)}, with any bearer"


def _names(config: Config) -> str:
    return ", ".join(upstream.name for upstream in config.upstream if guarded(upstream))


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
