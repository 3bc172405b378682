"""An upstream of canned bytes, as a process of its own: `python -m tests.bench.upstream`.

Raw asyncio protocols and timers, so that it is not what is measured. It prints `ready PORT`.
"""

import asyncio
import random
import re
from functools import cache
from itertools import count
from typing import cast

import uvloop

from tests.bench import answers, requests

_MODEL = re.compile(rb'"model":"(bench-([a-z]+)-(\d+)-(\d+))"')
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_BODY_HEAD_BYTES = 1024  # the model stands near the beginning
_LAST_CHUNK = b"0\r\n\r\n"
_NUMBERS = count()  # of the answers of agents
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nX-Request-Id: req_bench\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


class Connection(asyncio.Protocol):
    """One keep-alive connection: reads a request, answers it as its model's name says."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._head = b""
        self._left = 0  # bytes of the body that are to come
        self._deltas = 0
        self._pace = self._due = 0.0
        self._model = ""
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own, and no subclass

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._left -= len(data)
            if len(self._head) < _BODY_HEAD_BYTES:
                self._head += data[:_BODY_HEAD_BYTES]
        else:
            self._head += data
            end = self._head.find(_HEAD_END)
            if end < 0:
                return
            length = _LENGTH.search(self._head)
            assert length is not None, "a request without content-length"
            self._left = int(length[1]) - (len(self._head) - end - len(_HEAD_END))
        if self._left <= 0:
            self._left = 0
            self._answer(self._head)
            self._head = b""

    def _answer(self, request: bytes) -> None:
        found = _MODEL.search(request)
        assert found is not None, request
        self._model, kind = found[1].decode(), found[2].decode()
        self._deltas, self._pace = int(found[3]), int(found[4]) / 1000
        if kind == requests.JSON:
            self._transport.write(json_answer(self._model))
            return
        if kind == requests.AGENT:
            self._transport.write(agent_answer(self._model, next(_NUMBERS)))
            return
        self._transport.write(stream_begin(self._model))
        self._deltas -= 1
        if kind == requests.STALL:
            return
        if not self._pace:
            self._transport.write(DELTA * self._deltas + stream_end(self._model, self._deltas + 1))
            return
        self._total = self._deltas + 1
        self._due = self._loop.time() + self._pace * random.uniform(0.5, 1.5)  # streams out of step
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        if self._deltas <= 0:
            self._transport.write(stream_end(self._model, self._total))
            return
        self._transport.write(DELTA)
        self._deltas -= 1
        self._due += self._pace
        self._timer = self._loop.call_at(self._due, self._tick)


def _chunked(pieces: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


DELTA = _chunked([answers.stream_delta()])


@cache
def stream_begin(model: str) -> bytes:
    """Return the head of the answer and all events up to the first delta, with it."""
    return _STREAM_HEAD + _chunked(answers.stream_begin(model)) + DELTA


@cache
def stream_end(model: str, deltas: int) -> bytes:
    """Return the last events and the end of the answer."""
    return _chunked(answers.stream_end(model, deltas)) + _LAST_CHUNK


def agent_answer(model: str, number: int) -> bytes:
    """Return a whole streamed answer of an agent."""
    return answers.numbered(_agent_template(model, number % 3), number)


@cache
def _agent_template(model: str, number: int) -> bytes:
    return _STREAM_HEAD + _chunked(answers.agent_template(model, number)) + _LAST_CHUNK


@cache
def json_answer(model: str) -> bytes:
    """Return a whole answer that is not streamed."""
    body = answers.json_body(model)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req_bench\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=2048)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
