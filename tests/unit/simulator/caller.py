"""The simulator's application called in process, without a socket: for tests of what it answers, not of its bytes."""

import asyncio
import json
from typing import Any

from starlette.types import ASGIApp, Message

from simulator.app import create_app
from simulator.endpoints.memory import Memory

RESPONSES = "/v1/responses"
HELLO = {"model": "gpt-5.5", "input": "Hello"}


class Caller:
    """Calls an ASGI application; keeps the status, the headers and the pieces of the body."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.app: ASGIApp = create_app(self.memory)

    async def __call__(
        self, method: str, path: str, body: Any = None, key: str | None = "k", **headers: str
    ) -> tuple[int, dict[str, str], list[bytes]]:
        sent: list[Message] = []
        received: list[Message] = [{"type": "http.request", "body": body if isinstance(body, bytes) else _raw(body)}]
        named = {**({"authorization": f"Bearer {key}"} if key else {}), **headers}
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
        }

        async def receive() -> Message:
            return received.pop() if received else await _never()

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start, *rest = sent
        answered = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], answered, [message["body"] for message in rest]

    async def json(self, method: str, path: str, body: Any = None, key: str | None = "k", **headers: str) -> Any:
        _, _, pieces = await self(method, path, body, key, **headers)
        return json.loads(b"".join(pieces))


async def create(call: Caller, **body: Any) -> Any:
    """Return the body that answers `HELLO` with these parameters changed."""
    return await call.json("POST", RESPONSES, {**HELLO, **body})


def _raw(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body).encode()


async def _never() -> Message:
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]
