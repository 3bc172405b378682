"""Reads of an upstream's answer go to a function at once, in order, and wait where it cannot keep up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from services.edge.upstreams.aiohttp_seam import connector
from services.edge.upstreams.push import Pushed

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Server:
    """Answers each request with the head, and what the test then writes."""

    def __init__(self) -> None:
        self.connections = 0
        self.writer: asyncio.StreamWriter

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writer = writer
        while True:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, OSError):
                writer.close()
                return
            writer.write(HEAD)


@asynccontextmanager
async def answering(made: aiohttp.TCPConnector) -> AsyncIterator[tuple[Server, aiohttp.ClientSession, str]]:
    server = Server()
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    async with aiohttp.ClientSession(connector=made) as session:
        yield server, session, url
    listening.close()
    await listening.wait_closed()


@pytest.fixture
async def site() -> AsyncIterator[tuple[Server, aiohttp.ClientSession, str]]:
    async with answering(connector()) as parts:
        yield parts


async def test_every_read_is_taken_in_order_and_the_connection_used_again(
    site: tuple[Server, aiohttp.ClientSession, str],
) -> None:
    server, session, url = site
    for _ in range(2):
        taken: list[bytes] = []

        def take(data: bytes, taken: list[bytes] = taken) -> bool:
            taken.append(data)
            return True

        answer = await session.get(url)
        ended = asyncio.create_task(Pushed((answer, take)).left())
        for number in range(20):
            server.writer.write(chunk(b"%d," % number))
            await asyncio.sleep(0)
        server.writer.write(END)
        assert await ended is False
        assert b"".join(taken) == b"".join(b"%d," % number for number in range(20))
    assert server.connections == 1


async def test_nothing_is_taken_while_something_is_left(site: tuple[Server, aiohttp.ClientSession, str]) -> None:
    server, session, url = site
    whole = [b"%06d" % number * 5000 for number in range(200)]
    taken: list[bytes] = []

    def take(data: bytes) -> bool:
        taken.append(data)
        return False

    answer = await session.get(url)
    for data in whole:
        server.writer.write(chunk(data))
    server.writer.write(END)
    pushed = Pushed((answer, take))
    while await pushed.left():
        before = len(taken)
        await asyncio.sleep(0.002)
        assert len(taken) == before
        assert len(taken[-1]) < len(whole) * 30_000 / 2, "the connection was not held meanwhile"
    assert b"".join(taken) == b"".join(whole)


async def test_answer_that_breaks_off_raises(site: tuple[Server, aiohttp.ClientSession, str]) -> None:
    server, session, url = site
    answer = await session.get(url)
    server.writer.write(chunk(b"a"))
    server.writer.close()
    with pytest.raises(aiohttp.ClientPayloadError):
        await Pushed((answer, lambda data: True)).left()
    answer.close()


async def test_failure_of_the_taker_reaches_who_waits(site: tuple[Server, aiohttp.ClientSession, str]) -> None:
    server, session, url = site

    def take(data: bytes) -> bool:
        raise ValueError(data)

    answer = await session.get(url)
    waiting = asyncio.create_task(Pushed((answer, take)).left())
    await asyncio.sleep(0.01)
    server.writer.write(chunk(b"a"))
    with pytest.raises(ValueError, match="b'a'"):
        await waiting
    answer.close()


async def test_task_that_is_cancelled_takes_no_more(site: tuple[Server, aiohttp.ClientSession, str]) -> None:
    server, session, url = site
    taken: list[bytes] = []

    def take(data: bytes) -> bool:
        taken.append(data)
        return True

    answer = await session.get(url)
    waiting = asyncio.create_task(Pushed((answer, take)).left())
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.wait({waiting})
    server.writer.write(chunk(b"a"))
    await asyncio.sleep(0.01)
    assert waiting.cancelled()
    assert taken == []
    answer.close()


async def test_reads_are_taken_without_a_turn_of_the_loop() -> None:
    """What the whole is for: nobody is woken for a read that can be dealt with at once."""
    async with answering(connector()) as (server, session, url):
        inside: list[str] = []

        def take(data: bytes) -> bool:
            task = asyncio.current_task()
            inside.append("" if task is None else task.get_name())
            return True

        answer = await session.get(url)
        waiting = asyncio.create_task(Pushed((answer, take)).left(), name="waiting")
        await asyncio.sleep(0.01)
        server.writer.write(chunk(b"a"))
        await asyncio.sleep(0.01)
        server.writer.write(END)
        assert await waiting is False
        assert inside == [""]


async def test_answers_that_are_read_together_each_reach_their_taker(
    site: tuple[Server, aiohttp.ClientSession, str],
) -> None:
    server, session, url = site
    taken: list[tuple[int, bytes]] = []
    answers, writers = [], []
    for _ in range(2):
        answers.append(await session.get(url))
        writers.append(server.writer)

    def taker(number: int) -> Callable[[bytes], bool]:
        def take(data: bytes) -> bool:
            taken.append((number, data))
            return data != b"stop"

        return take

    pushed = Pushed(*((answer, taker(number)) for number, answer in enumerate(answers)))
    waiting = asyncio.create_task(pushed.left())
    for number, data in ((1, b"b"), (0, b"a"), (1, b"stop")):
        writers[number].write(chunk(data))
        await asyncio.sleep(0.01)
    assert await waiting is True
    writers[0].write(chunk(b"held"))
    await asyncio.sleep(0.01)
    assert taken == [(1, b"b"), (0, b"a"), (1, b"stop")]
    writers[1].write(END)
    assert await pushed.left() is False  # the end of one
    pushed.drop(answers[1])
    writers[0].write(END)
    assert await pushed.left() is False
    assert taken[3:] == [(0, b"held")]


async def test_answer_that_has_always_something_does_not_starve_another(
    site: tuple[Server, aiohttp.ClientSession, str],
) -> None:
    server, session, url = site
    taken: list[int] = []
    answers, writers = [], []
    for _ in range(2):
        answers.append(await session.get(url))
        writers.append(server.writer)

    def taker(number: int) -> Callable[[bytes], bool]:
        def take(data: bytes) -> bool:
            taken.append(number)
            return False

        return take

    for writer in writers:
        for _ in range(50):
            writer.write(chunk(b"x" * 20_000))
    await asyncio.sleep(0.05)
    pushed = Pushed(*((answer, taker(number)) for number, answer in enumerate(answers)))
    for _ in range(6):
        assert await pushed.left()
    assert set(taken[:2]) == {0, 1} and min(taken.count(0), taken.count(1)) >= 2
    for answer in answers:
        answer.close()
