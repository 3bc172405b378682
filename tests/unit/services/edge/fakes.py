"""An edge without a bus and without upstreams: what is asked is noted, and answered from tables."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from libs.runtime.errors import NoWorkers
from libs.schemas.config import Config, Upstream
from libs.schemas.records import CallRecord, Record
from libs.translate.errors import TranslationError
from services.edge.edge import Edge
from services.edge.exchange import Exchange
from services.edge.streams import Streams
from services.edge.tenants import Caller, Tenants

PAUSE = b"<PAUSE>"  # in a body: what follows is another read
CALLER = Caller("t" * 32, "sk-1", {})
UPSTREAMS = [Upstream(name="one", base_url="http://1", auth="client"), Upstream(name="two", base_url="http://2")]


class FakeBus:
    """Answers a subject with what `replies` has under its name; a list is
    used up. With nothing there nobody serves it."""

    def __init__(self, replies: dict[str, Any]) -> None:
        self.replies = replies
        self.asked: list[tuple[str, Any]] = []

    connected = True

    async def alive(self) -> bool:
        return True

    async def call(self, subject: Any, request: Any, call: Any) -> Any:
        self.asked.append((subject.name, request))
        if subject.name not in self.replies:
            raise NoWorkers(subject.name)
        reply = self.replies[subject.name]
        return reply.pop(0) if isinstance(reply, list) else reply


class FakeUpstreams:
    """Answers with the next of `bodies`; without them with the status that `statuses` has for a path, else 200."""

    def __init__(self, statuses: dict[str, int], bodies: list[tuple[int, bytes]]) -> None:
        self.bodies = bodies
        self.statuses = statuses
        self.asked: list[tuple[str, str, str]] = []

    def auth_headers(self, upstream: Upstream, caller: Caller) -> dict[str, str]:
        return {"authorization": f"Bearer {caller.bearer}"}

    def disclosed(self, upstream: Upstream, error: TranslationError) -> TranslationError:
        return error

    def own_key(self, upstream: Upstream) -> None:
        return None

    @asynccontextmanager
    async def request(self, upstream: Upstream, method: str, path: str, **_: Any) -> AsyncIterator[Any]:
        self.asked.append((upstream.name, method, path))
        status, body = self.bodies.pop(0) if self.bodies else (self.statuses.get(path, 200), b"")
        yield SimpleNamespace(status=status, headers={}, content=_Content(body), connection=None)


class _Content:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def iter_any(self) -> AsyncIterator[bytes]:
        for read in self._body.split(PAUSE):
            yield read


class Sink:
    """Keeps records for a look."""

    def __init__(self) -> None:
        self.closed: list[Record] = []

    def open(self, record: CallRecord) -> None:
        """Nothing is lost here."""

    def close(self, record: Record) -> None:
        self.closed.append(record)


class FakeOutbox:
    """Notes what is to be kept, and of which conversations nothing is."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, Any]] = []
        self.forgotten: list[str] = []
        self.waiting = 0  # of any conversation

    def keep(self, subject: Any, request: Any, call: Any, **_: Any) -> bool:
        self.kept.append((subject.name, request))
        return True

    def forget(self, tenant: str, conversation: str) -> int:
        self.forgotten.append(conversation)
        return self.waiting


class Stage:
    """One edge and what it asked."""

    def __init__(
        self,
        replies: dict[str, Any],
        *,
        statuses: dict[str, int] | None = None,
        bodies: list[tuple[int, bytes]] | None = None,
        upstreams: list[Upstream] | None = None,
    ) -> None:
        self.bus = FakeBus(replies)
        self.upstreams = FakeUpstreams(statuses or {}, bodies or [])
        self.sink = Sink()
        self.outbox = FakeOutbox()
        config = Config(upstream=upstreams or UPSTREAMS)
        tenants = Tenants(b"s" * 32, [UPSTREAMS[0]], {})
        self.edge = Edge(
            config=config,
            bus=cast(Any, self.bus),
            tenants=tenants,
            upstreams=cast(Any, self.upstreams),
            sink=self.sink,
            outbox=cast(Any, self.outbox),
            streams=Streams(config.edge),
        )


class Client:
    """One request of a client, and what it is answered."""

    def __init__(self, method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self._messages = [{"type": "http.request", "body": body, "more_body": False}]
        given = {"authorization": "Bearer sk-1", **{name.replace("_", "-"): value for name, value in headers.items()}}
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }

    async def receive(self) -> Any:
        return self._messages.pop() if self._messages else await asyncio.Event().wait()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {key.decode(): value.decode() for key, value in message["headers"]}
        else:
            self.body += message["body"]

    def exchange(self) -> Exchange:
        """Return the request as endpoints see it."""
        return Exchange(self.scope, self.receive, self.send, "test")
