"""Bytes for a client that reads go out at once; for one that does not, nothing is sent twice or lost."""

import asyncio
from typing import Any

import pytest

from libs.translate.errors import InvalidRequest
from services.edge.http.exchange import Exchange


class Server:
    """Sends like an ASGI server: waits before it writes while the client does not read."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.sent: list[bytes] = []

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        self.sent.append(message.get("body", b""))

    async def receive(self) -> Any:
        await asyncio.Event().wait()


async def test_writing_now_sends_only_to_a_client_that_reads() -> None:
    server = Server()
    exchange = Exchange({"type": "http", "headers": []}, server.receive, server.send, "chat")
    assert exchange.write_now(b"first") is False
    assert (server.sent, exchange.sent_bytes) == ([], 0)

    writing = asyncio.create_task(exchange.write(b"first"))
    await asyncio.sleep(0)
    assert exchange.sending
    server.reads.set()
    await writing
    assert exchange.write_now(b"second") is True
    assert server.sent == [b"first", b"second"]
    assert exchange.sent_bytes == len(b"firstsecond")
    assert not exchange.sending


def headed(*headers: tuple[bytes, bytes]) -> Exchange:
    server = Server()
    return Exchange({"type": "http", "headers": list(headers)}, server.receive, server.send, "chat")


@pytest.mark.parametrize(
    "name",
    [*("authorization", "content-type", "openai-organization", "openai-project"), *("x-parley-history", "x-parley-x")],
)
@pytest.mark.parametrize("second", [b"a", b"b", b""])
async def test_header_of_which_one_is_meant_is_refused_twice(name: str, second: bytes) -> None:
    headed((name.encode(), b"a")).check_headers()
    with pytest.raises(InvalidRequest) as refused:
        headed((name.encode(), b"a"), (b"x", b"y"), (name.encode(), second)).check_headers()
    assert (refused.value.status, refused.value.error.param) == (400, name)


async def test_any_other_header_given_twice_is_joined() -> None:
    exchange = headed((b"accept", b"a"), (b"x", b"y"), (b"accept", b"b"))
    exchange.check_headers()
    assert exchange.headers == {"accept": "a, b", "x": "y"}
    assert exchange.repeated == {"accept"}
