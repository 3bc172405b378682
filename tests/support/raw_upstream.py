"""An upstream of fixed bytes: it answers each path with what a test laid down, piece by piece."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

CRLF = b"\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def chunked(pieces: Sequence[bytes], headers: Mapping[str, str], status: int = 200) -> list[bytes]:
    """Return a whole HTTP answer whose body is sent in these pieces, each a chunk of its own."""
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
    head = CRLF.join(line.encode() for line in [*lines, "Transfer-Encoding: chunked", "", ""])
    return [head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece), LAST_CHUNK]


class RawUpstream:
    """`answers` maps a path to the pieces written; `requests` keeps (head, body) of what came."""

    def __init__(self) -> None:
        self.answers: dict[str, list[bytes]] = {}
        self.requests: list[tuple[bytes, bytes]] = []
        self.port = 0
        self.on_connection = self.handle  # a test may take connections itself

    @property
    def base_url(self) -> str:
        """What an upstream is configured with."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection."""
        await self.on_connection(reader, writer)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each request of a connection with what its path has."""
        try:
            while head := await _head(reader):
                self.requests.append((head, await _body(head, reader)))
                path = head.split(b" ", 2)[1].decode()
                pieces = self.answers[path]
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                if not pieces or not pieces[-1].endswith(LAST_CHUNK):
                    return  # hung up: the answer is not whole
        finally:
            writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(CRLF + CRLF)
    except asyncio.IncompleteReadError:
        return b""


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    for line in head.lower().split(CRLF):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line.partition(b":")[2]))
    return b""


@asynccontextmanager
async def raw_upstream() -> AsyncIterator[RawUpstream]:
    """Serve while the block runs."""
    upstream = RawUpstream()
    server = await asyncio.start_server(upstream.connected, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    async with server:
        yield upstream
