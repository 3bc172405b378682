"""The watch over live answers, with the clock set by hand."""

import asyncio
import time
from typing import Any

import pytest

from libs.schemas.config import Edge
from services.edge.http import streams
from services.edge.http.exchange import Exchange
from services.edge.http.streams import Streams

SETTINGS = Edge(keepalive_seconds=5, idle_timeout_seconds=60, write_timeout_seconds=30, first_byte_timeout_seconds=100)


class Client:
    """The other side of an exchange: what it was sent."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def receive(self) -> Any:
        await asyncio.Event().wait()

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


class Watched:
    """One exchange, waiting in a task of its own, under watch."""

    def __init__(self, streamed: bool = True, **headers: str) -> None:
        self.client = Client()
        self.streams = Streams(SETTINGS)
        self._streamed = streamed
        self._headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        self.exchange: Exchange
        self.task = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        scope: Any = {"type": "http", "headers": self._headers}
        self.exchange = Exchange(scope, self.client.receive, self.client.send, "chat")
        self.streams.add(self.exchange, streamed=self._streamed)
        await asyncio.Event().wait()

    async def look(self, *, silent_seconds: float = 0) -> str | None:
        """Look once, as if nothing had happened for so long; return why the exchange was aborted."""
        await asyncio.sleep(0)
        await self.streams._look(self.exchange, time.monotonic() + silent_seconds, streamed=self._streamed)
        self.task.cancel()
        return self.exchange.aborted

    async def write_unread(self) -> None:
        """Have the server hold an event that the client does not read."""
        await asyncio.sleep(0)
        await self.exchange.start_stream()
        self.client.reads.clear()
        self.writing = asyncio.create_task(self.exchange.write(b"event"))
        await asyncio.sleep(0)


async def test_short_silence_is_left_alone() -> None:
    watched = Watched()
    assert await watched.look(silent_seconds=1) is None
    assert watched.client.messages == []


async def test_longer_silence_is_bridged_by_a_comment() -> None:
    watched = Watched()
    assert await watched.look(silent_seconds=6) is None
    assert watched.client.body == b": keep-alive\n\n"
    assert watched.exchange.status == 200


async def test_answer_that_is_not_streamed_gets_no_comment() -> None:
    watched = Watched(streamed=False)
    assert await watched.look(silent_seconds=90) is None
    assert watched.client.messages == []


async def test_upstream_that_falls_silent_ends_a_stream() -> None:
    assert await Watched().look(silent_seconds=61) == "upstream_idle"


async def test_answer_that_does_not_begin_is_given_up() -> None:
    assert await Watched(streamed=False).look(silent_seconds=101) == "upstream_idle"


async def test_client_that_waits_less_is_believed() -> None:
    assert await Watched(streamed=False, x_stainless_read_timeout="20").look(silent_seconds=21) == "upstream_idle"
    assert await Watched(streamed=False, x_stainless_read_timeout="20").look(silent_seconds=19) is None
    assert await Watched(streamed=False, x_stainless_read_timeout="1e9").look(silent_seconds=99) is None


async def test_reader_that_stalls_is_cut_off_and_gets_no_comment() -> None:
    stalled, patient = Watched(), Watched()
    await stalled.write_unread()
    assert await stalled.look(silent_seconds=31) == "reader_stalled"
    await patient.write_unread()
    assert await patient.look(silent_seconds=29) is None
    patient.client.reads.set()
    await patient.writing
    assert patient.client.body == b"event"
    stalled.writing.cancel()


async def test_comment_that_is_not_read_is_not_waited_for_and_the_reader_has_stalled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "TICK_SECONDS", 0.01)
    watched = Watched()
    await asyncio.sleep(0)
    await watched.exchange.start_stream()
    watched.client.reads.clear()
    assert await watched.look(silent_seconds=6) is None
    assert watched.exchange.is_unread
    assert await watched.look(silent_seconds=31) == "reader_stalled"


async def test_abort_all_ends_every_answer() -> None:
    watched = Watched()
    await asyncio.sleep(0)
    watched.streams.abort_all()
    assert watched.exchange.aborted == "shutdown"
    await asyncio.wait({watched.task})
    assert watched.task.cancelled()


async def test_watch_keeps_alive_what_is_streamed_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "TICK_SECONDS", 0.001)
    monkeypatch.setattr(f"{__name__}.SETTINGS", Edge(keepalive_seconds=0))
    watched = [Watched(streamed=True), Watched(streamed=False)]
    for one in watched:
        one.streams.start()
    async with asyncio.timeout(5):
        while not watched[0].client.body:
            await asyncio.sleep(0.001)
    assert watched[1].client.messages == []
    for one in watched:
        one.task.cancel()
        await one.streams.stop()
