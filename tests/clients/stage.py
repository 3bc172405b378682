"""The upstream of the clients' suite: the simulator, which here calls again after a tool round.

One `[[then: name {...}]]` in the user's text is one more round.
"""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulator import app as simulator
from simulator.scripts import directives
from simulator.scripts.decision import SCRIPT_HEADER
from tests.support.simulator import Json, Simulator

_OUTPUT = "function_call_output"


def create_app() -> ASGIApp:
    """Return the application."""
    inner = simulator.create_app()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if (scope["method"], scope["path"]) != ("POST", "/v1/responses"):
            await inner(scope, receive, send)
            return
        body = await _body(receive)
        call = next_call(json.loads(body)["input"])
        if call:
            header = (SCRIPT_HEADER.encode(), f"[[call: {call}]]".encode())
            scope = {**scope, "headers": [*scope["headers"], header]}
        await inner(scope, _replayed(body, receive), send)

    return app


def next_call(items: list[Json]) -> str:
    """Return the call that this tool round is answered with, "" for none."""
    position = max((index for index, item in enumerate(items) if item.get("role") == "user"), default=-1)
    if position < 0 or items[-1].get("type") != _OUTPUT:
        return ""
    content = items[position]["content"]
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    wanted, _ = directives.parse(text, {"then"})
    rounds = sum(1 for kind, _ in groupby(items[position + 1 :], lambda item: item.get("type")) if kind == _OUTPUT)
    return wanted[rounds - 1].value if rounds <= len(wanted) else ""


async def _body(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


def _replayed(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


@contextmanager
def running_stage() -> Iterator[Simulator]:
    """Serve while the block runs, on a thread: it is asked little."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(), lifespan="off", ws="none", log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Simulator(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", os.getpid())
        finally:
            server.should_exit = True
            thread.join()
