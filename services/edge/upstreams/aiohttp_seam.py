"""All that relies on private parts of aiohttp: connections that notify of each read, and a body that is read again.

What is relied on, each tested against the real library in tests/contract/test_seams.py:

- a connector makes the protocol of every connection with its `_factory`;
- an answer's `content` holds what a read brought by the time `data_received` of the protocol returns, and is at its end
  by the time `connection_lost` does;
- the parser asks `resume_reading` after every read, paused or not, and then parses nothing once more;
- an answer reads its body from `content` alone, which may be another reader.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler

CHECKED = "3.14.5"  # the version of aiohttp for which all this was last looked at


class TellingProtocol(ResponseHandler):
    """aiohttp's own protocol, which calls `listener` after each read."""

    listener: Callable[[], None] | None = None
    _held = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.listener is not None:
            self.listener()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self.listener is not None:
            self.listener()

    def pause_reading(self) -> None:
        self._held = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # Asked for after every read: without a pause there is nothing to resume, and a parse would be lost time.
        if self._held:
            self._held = False
            super().resume_reading(resume_parser)


def connector() -> aiohttp.TCPConnector:
    """Return a connector whose connections have a `TellingProtocol`."""
    made = aiohttp.TCPConnector(limit=0, ttl_dns_cache=60)
    made._factory = partial(_make, loop=asyncio.get_running_loop())
    return made


def _make(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return TellingProtocol(loop)


def telling(answer: aiohttp.ClientResponse) -> TellingProtocol | None:
    """Return what notifies of each read of an answer; None where it came whole, and its connection serves others."""
    if answer.connection is None:
        return None
    protocol = answer.connection.protocol
    assert isinstance(protocol, TellingProtocol)  # of any other a read would be waited for without end
    return protocol


def put_back(answer: aiohttp.ClientResponse, body: bytes) -> None:
    """Have the whole body of an answer, which was read, be read again."""
    loop = asyncio.get_running_loop()
    content = aiohttp.StreamReader(BaseProtocol(loop), 2 * len(body) + 1, loop=loop)
    content.feed_data(body)
    content.feed_eof()
    answer.content = content
