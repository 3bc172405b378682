"""What Parley relies on in private parts of other libraries, each claim against the real library.

Where one of these fails after an upgrade, the library has changed beneath a seam: look at the seam's list of claims,
then set its CHECKED to the new version.
"""

import ast
import asyncio
import importlib
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
import nats
import pytest
import uvicorn
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from libs.runtime.pulse import LEAST_STALL_SECONDS
from libs.runtime.seams.nats import NatsClient, Received, stream_info
from libs.runtime.seams.uvicorn import Message, Server, send_now
from services.edge.upstreams.aiohttp_seam import connector, put_back, telling
from tests.support.nats import NatsServer, running_nats
from tests.support.poll import eventually

ROOT = Path(__file__).resolve().parents[2]
SEAMS = {
    "nats-py": "libs/runtime/seams/nats.py",
    "uvicorn": "libs/runtime/seams/uvicorn.py",
    "aiohttp": "services/edge/upstreams/aiohttp_seam.py",
}


@pytest.mark.parametrize("library", SEAMS)
def test_the_installed_version_is_the_one_that_was_looked_at(library: str) -> None:
    checked = importlib.import_module(SEAMS[library].removesuffix(".py").replace("/", ".")).CHECKED
    assert version(library) == checked, f"{SEAMS[library]}: look at its claims on {library}, then change CHECKED"


def _private(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of each private attribute that the module uses and does not itself define."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    stored = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)]
    own |= {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in stored
        if isinstance(node.ctx, ast.Store)
        and (isinstance(node, ast.Name) or (isinstance(node.value, ast.Name) and node.value.id == "self"))
    }
    used = [node for node in stored if isinstance(node, ast.Attribute) and node.attr not in own]
    yield from ((node.lineno, node.attr) for node in used if node.attr.startswith("_") and node.attr[1:2] != "_")


def _foreign(path: Path) -> list[tuple[int, str]]:
    return list(_private(ast.parse(path.read_text())))


def test_private_parts_of_others_are_used_in_the_seams_alone() -> None:
    folders = ("libs", "services", "parley", "deploy/local")
    used = {
        str(path.relative_to(ROOT)): found
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (found := _foreign(path))
    }
    assert set(used) <= set(SEAMS.values()), used
    assert SEAMS["nats-py"] in used and SEAMS["aiohttp"] in used, "else nothing is found at all"


# -- nats-py ----------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with running_nats(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def stalls() -> list[float]:
    return []


@pytest.fixture
async def client(server: NatsServer, stalls: list[float]) -> AsyncIterator[NatsClient]:
    client = NatsClient(stalls.append)
    await client.connect(server.url, reconnect_time_wait=0.05, max_reconnect_attempts=-1)
    yield client
    await client.close()


@pytest.fixture
async def other(server: NatsServer) -> AsyncIterator[Client]:
    other = await nats.connect(server.url, reconnect_time_wait=0.05, max_reconnect_attempts=-1)
    yield other
    await other.close()


async def _heard(client: NatsClient, subject: str) -> "asyncio.Queue[Any]":
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def note(msg: Any) -> None:
        heard.put_nowait(msg)

    await client.subscribe(subject, cb=note)
    await client.publish(subject, b"there?")  # follows the SUB, which a flush can overtake
    assert (await asyncio.wait_for(heard.get(), 5)).data == b"there?"
    return heard


async def _restart(server: NatsServer, *clients: Client) -> None:
    server.kill()
    await eventually(lambda: _is(not any(one.is_connected for one in clients)), what="loss noticed")
    server.start()
    await eventually(lambda: _is(all(one.is_connected for one in clients)), what="reconnected")
    for one in clients:
        await one.flush()


def _slow_after_reads(client: NatsClient) -> list[float]:
    """Hold the loop for a moment after each read of the socket; return the times of the reads, as they come."""
    reader: Any = client._transport._io_reader  # type: ignore[union-attr]
    feed, times = reader.feed_data, list[float]()

    def fed(data: bytes) -> None:
        feed(data)
        times.append(time.monotonic())
        time.sleep(0.01)

    reader.feed_data = fed
    return times


async def test_nats_messages_carry_the_time_of_their_read_before_and_after_a_reconnect(
    server: NatsServer, client: NatsClient, other: Client
) -> None:
    heard = await _heard(client, "a")
    for life in range(2):
        if life:
            await _restart(server, client, other)
        read = _slow_after_reads(client)
        await other.publish("a", b"first\r\n" * 1000)
        await other.publish("a", b"second")
        await other.flush()
        for _ in range(2):
            msg = await asyncio.wait_for(heard.get(), 5)
            assert isinstance(msg, Received)
            assert read[0] - 1 < msg.read_at <= read[-1]


async def test_nats_what_is_not_written_when_the_connection_breaks_is_dropped(
    server: NatsServer, client: NatsClient, other: Client
) -> None:
    heard = await _heard(client, "a")
    await client._send_command(b"PUB a 4\r\nlate\r\n")
    assert b"".join(client._pending) == b"PUB a 4\r\nlate\r\n", "what is published waits there"
    assert client._pending_data_size > 0
    await _restart(server, client, other)
    await other.publish("a", b"after")
    assert (await asyncio.wait_for(heard.get(), 5)).data == b"after"


async def test_nats_a_pong_ends_the_time_of_what_was_sent_while_the_loop_stood_still(
    client: NatsClient, other: Client, stalls: list[float]
) -> None:
    heard = await _heard(client, "a")
    # The sender shares the loop: past its buffer, so that the loop makes no turn before it stands still.
    other._transport.write(b"PUB a 3\r\nold\r\n")  # type: ignore[union-attr]
    time.sleep(LEAST_STALL_SECONDS + 0.2)
    old = await asyncio.wait_for(heard.get(), 5)
    assert old.stalled_seconds >= LEAST_STALL_SECONDS and stalls
    fence = client._fence
    await client.flush()  # its PONG comes behind that of the fence
    assert fence is not None and fence.done()

    async def fresh() -> bool:
        await other.publish("a", b"new")
        return bool((await asyncio.wait_for(heard.get(), 5)).stalled_seconds == 0)

    await eventually(fresh, what="a message that was sent after the loop moved")


@pytest.mark.parametrize("end", ["close", "drain"])
async def test_nats_the_loop_is_watched_until_the_client_ends(server: NatsServer, end: str) -> None:
    client = NatsClient(lambda seconds: None)
    await client.connect(server.url)
    assert client._pulse._timer is not None
    await getattr(client, end)()
    assert client._pulse._timer is None


async def test_nats_a_page_of_a_streams_subjects_can_be_asked_for(client: NatsClient) -> None:
    js = client.jetstream(timeout=2)
    await js.add_stream(name="S", subjects=["s.>"])
    for name in ("s.a", "s.b", "s.c"):
        await js.publish(name, b"")
    info = await stream_info(js, "S", {"subjects_filter": "s.>", "offset": 1})
    assert (info["total"], sorted(info["state"]["subjects"])) == (3, ["s.b", "s.c"])
    with pytest.raises(NotFoundError):
        await stream_info(js, "none", {})


async def _is(value: bool) -> bool:
    return value


# -- uvicorn ----------------------------------------------------------------------------------------


@asynccontextmanager
async def _serving(app: Any) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, interface="asgi3", http="httptools", ws="none", lifespan="off", log_config=None)
    server = Server(config)
    task = asyncio.create_task(server.serve([listener]))
    await eventually(lambda: _is(server.started), what="listening")
    yield listener.getsockname()[1]
    server.should_exit = True
    await task


async def test_uvicorn_leaves_the_signals_to_the_service() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("nothing is asked")

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    async with _serving(app):
        assert [signal.getsignal(number) for number in numbers] == before


async def test_uvicorn_sends_now_all_or_nothing() -> None:
    """To a client that does not read for a while: each piece arrives once and whole, sent now or waited for."""
    pieces = [b"%08d" % number * 4096 for number in range(400)]
    refused: list[int] = []
    stuck = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number, piece in enumerate(pieces):
            message: Message = {"type": "http.response.body", "body": piece, "more_body": True}
            if not send_now(send, message):
                refused.append(number)
                stuck.set()
                await send(message)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with _serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        await asyncio.wait_for(stuck.wait(), 10)
        answer = await reader.read()
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    size = b"%x\r\n" % len(pieces[0])
    assert body == b"".join(size + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    assert refused and refused[0] > 0, "some went out at once, some did not"


# -- aiohttp ----------------------------------------------------------------------------------------


@asynccontextmanager
async def _upstream() -> AsyncIterator[tuple[aiohttp.ClientResponse, asyncio.StreamWriter]]:
    """An answer of which the head has come, and where its server writes the body, of ten bytes."""
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
        writers.append(writer)

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    async with aiohttp.ClientSession(connector=connector()) as session, session.get(url) as found:
        yield found, writers[0]
        writers[0].close()
    listening.close()
    await listening.wait_closed()


async def test_aiohttp_content_has_what_a_read_brought_when_it_is_told() -> None:
    async with _upstream() as (answer, writer):
        protocol = telling(answer)
        assert protocol is not None
        told: list[tuple[bytes, bool]] = []
        protocol.listener = lambda: told.append((answer.content.read_nowait(), answer.content.at_eof()))
        writer.write(b"hello")
        await eventually(lambda: _is(len(told) == 1), what="the first read told")
        writer.write(b"world")
        await eventually(lambda: _is(len(told) == 2), what="the second read told")
        assert told == [(b"hello", False), (b"world", True)]


async def test_aiohttp_content_fails_when_the_lost_connection_is_told() -> None:
    async with _upstream() as (answer, writer):
        protocol = telling(answer)
        assert protocol is not None
        told: list[BaseException | None] = []
        protocol.listener = lambda: told.append(answer.content.exception())
        writer.close()
        await eventually(lambda: _is(bool(told)), what="the loss told")
        assert isinstance(told[-1], aiohttp.ClientPayloadError)


async def test_aiohttp_asks_to_resume_what_was_never_paused() -> None:
    """Else the seam's own `resume_reading` saves nothing and can go."""
    asked: list[bool] = []
    async with _upstream() as (answer, writer):
        protocol = telling(answer)
        assert protocol is not None
        resume = protocol.resume_reading

        def noted(resume_parser: bool = True) -> None:
            asked.append(protocol._held)
            resume(resume_parser)

        protocol.resume_reading = noted  # type: ignore[method-assign]
        writer.write(b"hello")
        assert await answer.content.readany() == b"hello"
        writer.write(b"world")
        assert await answer.content.readany() == b"world"
    assert asked and not any(asked)


async def test_aiohttp_a_body_that_was_put_back_is_read_again() -> None:
    async with _upstream() as (answer, writer):
        writer.write(b"helloworld")
        body = b"".join([chunk async for chunk in answer.content.iter_any()])
        put_back(answer, body)
        assert await answer.read() == b"helloworld" and answer.content.at_eof()
