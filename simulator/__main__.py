"""Runs the simulator: `python -m simulator [--host HOST] [--port PORT]`, port 0 for a free one."""

import argparse
import logging
import os
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from simulator.app import create_app

_DEFAULT_PORT = "8089"
_BACKLOG = 2048


class _Server(uvicorn.Server):
    """Says on standard output where it listens, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            print(f"simulator ready on http://{host}:{port}/v1", flush=True)


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.WARNING)
    config = uvicorn.Config(
        create_app(),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        # A scripted cut is an unfinished answer to uvicorn; the application logs its own failures.
        log_level="critical",
        server_header=False,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=0,
        backlog=_BACKLOG,
    )
    server = _Server(config)
    # uvicorn handles signals only while it serves, and raises them again after its shutdown: asked to stop at any
    # moment, the simulator exits with 0.
    _on_stop_signals(server.handle_exit)
    with socket.create_server((options.host, options.port), backlog=_BACKLOG) as listener:
        server.run(sockets=[listener])
    _on_stop_signals(signal.SIG_IGN)


def _on_stop_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulator", description="OpenAI's Responses API on the wire, scripted.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PARLEY_SIMULATOR_PORT", _DEFAULT_PORT)))
    return parser.parse_args()


if __name__ == "__main__":
    main()
