"""An edge without a bus: what is asked is noted, and answered from tables; upstreams are a server on the loopback."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import msgspec

from libs.runtime.errors import NoWorkers
from libs.schemas.config import Config, Upstream
from libs.schemas.plan import CommitPlan
from libs.schemas.records import CallRecord, Record
from libs.translate.errors import TranslationError
from services.edge.edge import Edge
from services.edge.http.exchange import Exchange
from services.edge.http.streams import Streams
from services.edge.served import ServedRequest
from services.edge.tenants import Caller, Tenants
from services.edge.upstreams.client import Upstreams

PAUSE = b"<PAUSE>"  # in a body: what follows is another read
CUT = b"<CUT>"  # at the end of a body: the connection breaks there
DIGEST = "0a" * 16
COMMIT_TO = CommitPlan(
    scope=DIGEST,
    asked=DIGEST,
    start=DIGEST,
    context=DIGEST,
    conversation="tok",
    upstream="one",
    account=DIGEST,
    model="m",
    stored=True,
)
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


class LiveUpstreams(Upstreams):
    """The client that the edge has, and one server behind all upstreams.

    It answers with the next of `bodies`; without them with the status that `statuses` has for a path, else 200.
    """

    def __init__(self, statuses: dict[str, int], bodies: list[tuple[int, bytes]], tenants: Tenants) -> None:
        super().__init__(Config().edge, tenants)
        self.bodies = bodies
        self.statuses = statuses
        self.asked: list[tuple[str, str, str]] = []
        self.sent: list[bytes] = []  # the bodies, as they came
        self.headers: list[dict[str, str]] = []  # of the requests; values in lower case
        self.more_headers: dict[str, str] = {}  # of the answers; with a `content-length` they are not chunked
        self._server: asyncio.Server | None = None
        self._starting = asyncio.Lock()
        self._answers: dict[str, tuple[int, bytes]] = {}
        LIVE.append(self)

    def auth_headers(self, upstream: Upstream, caller: Caller) -> dict[str, str]:
        return {"authorization": f"Bearer {caller.bearer}"}

    def disclosed(self, upstream: Upstream, error: TranslationError) -> TranslationError:
        return error

    def own_key(self, upstream: Upstream) -> None:
        return None

    @asynccontextmanager
    async def request(
        self, upstream: Upstream, method: str, path: str, *, headers: Mapping[str, str], body: Any = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        number = str(len(self.asked))
        self.asked.append((upstream.name, method, path))
        self._answers[number] = self.bodies.pop(0) if self.bodies else (self.statuses.get(path, 200), b"")
        here = msgspec.structs.replace(upstream, base_url=f"http://127.0.0.1:{await self._port()}")
        async with super().request(here, method, path, headers={**headers, "x-number": number}, body=body) as answer:
            yield answer

    async def _port(self) -> int:
        async with self._starting:
            if self._server is None:
                self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
                await self.start()
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).lower():
                lines = head.decode().split("\r\n")[1:]
                self.headers.append(dict(line.split(": ", 1) for line in lines if line))
                length = re.search(rb"content-length: (\d+)", head)
                self.sent.append(await reader.readexactly(int(length[1]) if length else 0))
                number = re.search(rb"x-number: (\d+)", head)
                assert number is not None
                await self._answer(writer, *self._answers[number[1].decode()])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
        kind = "text/event-stream" if body.startswith((b"event:", b"data:")) else "application/json"
        chunked = "content-length" not in self.more_headers
        headers = {"content-type": kind, **({"transfer-encoding": "chunked"} if chunked else {}), **self.more_headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode())
        for piece in body.removesuffix(CUT).split(PAUSE):
            if piece:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                await writer.drain()
            await asyncio.sleep(0.01)
        if body.endswith(CUT):
            raise ConnectionError
        writer.write(b"0\r\n\r\n" if chunked else b"")

    async def close(self) -> None:
        """Stop the server as well."""
        await super().close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


LIVE: list[LiveUpstreams] = []  # to be closed by the fixture of this folder


class Sink:
    """Keeps records for a look."""

    def __init__(self) -> None:
        self.opened: list[CallRecord] = []
        self.closed: list[Any] = []  # of both sorts

    def open(self, record: CallRecord) -> None:
        self.opened.append(record)

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
        self.sink = Sink()
        self.outbox = FakeOutbox()
        config = Config(upstream=upstreams or UPSTREAMS)
        tenants = Tenants(b"s" * 32, [UPSTREAMS[0]], {})
        self.upstreams = LiveUpstreams(statuses or {}, bodies or [], tenants)
        self.edge = Edge(
            config=config,
            bus=cast(Any, self.bus),
            tenants=tenants,
            upstreams=self.upstreams,
            sink=self.sink,
            outbox=cast(Any, self.outbox),
            streams=Streams(config.edge),
        )

    def served(self, exchange: Exchange | None = None) -> ServedRequest:
        """Return a request of CALLER that this edge serves: over `exchange`, or one about which nothing is said."""
        return ServedRequest(self.edge, exchange or Client("POST", "/").exchange(), CALLER)


class Client:
    """One request of a client, and the response to it; `ended` once that is complete.

    With `reads_slowly` the server waits before it takes any bytes of a body.
    """

    def __init__(self, method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self.reads_slowly = False
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
            return
        if self.reads_slowly:
            await asyncio.sleep(0)
        assert not self.ended
        self.body += message["body"]
        self.ended = not message["more_body"]

    def exchange(self) -> Exchange:
        """Return the request as endpoints see it."""
        return Exchange(self.scope, self.receive, self.send, "test")
