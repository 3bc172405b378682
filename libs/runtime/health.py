"""/healthz, /readyz and /metrics of a worker, as a small ASGI application on a port of its own.

Liveness never depends on NATS or ClickHouse; readiness fails while either is away, and on drain.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn

from libs.runtime import metrics
from libs.runtime.seams.uvicorn import Server
from libs.schemas.config import Health

Check = Callable[[], Awaitable[bool]]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Readiness:
    """Named checks, all of which must hold; none does once `draining` is set."""

    def __init__(self) -> None:
        self.draining = False
        self._checks: dict[str, Check] = {}

    def add(self, name: str, check: Check) -> None:
        """Add a check; it must return within a few seconds."""
        self._checks[name] = check

    async def report(self) -> tuple[bool, dict[str, bool]]:
        """Run the checks together; return whether all hold, and each result."""
        results = await asyncio.gather(*(check() for check in self._checks.values()))
        named = dict(zip(self._checks, results, strict=True))
        if self.draining:
            named["not_draining"] = False
        return all(named.values()), named


class HealthServer:
    """Serves one worker's health; `port` is known after `start`."""

    def __init__(self, settings: Health, readiness: Readiness) -> None:
        self._settings = settings
        self._readiness = readiness
        self._server: Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = settings.port

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        listener = socket.create_server((self._settings.host, self._settings.port))
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app, interface="asgi3", lifespan="off", log_config=None, access_log=False, proxy_headers=False
        )
        self._server = Server(config)
        self._task = asyncio.create_task(self._server.serve([listener]))

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            self._server.force_exit = True
            await self._task

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, content_type, body = 404, "text/plain", b"not found\n"
        if scope["path"] == "/healthz":
            status, body = 200, b"ok\n"
        elif scope["path"] == "/readyz":
            ready, checks = await self._readiness.report()
            status, content_type, body = (200 if ready else 503), "application/json", msgspec.json.encode(checks)
        elif scope["path"] == "/metrics":
            status, content_type, body = 200, metrics.CONTENT_TYPE, metrics.render()
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
