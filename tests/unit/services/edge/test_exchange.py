"""Bytes for a client that reads go out at once; for one that does not, nothing is sent twice or lost."""

import asyncio
from typing import Any

from services.edge.exchange import Exchange


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
