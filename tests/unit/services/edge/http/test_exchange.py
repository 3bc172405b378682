"""Bytes for a client that reads go out at once; for one that does not, nothing is sent twice or lost."""

import asyncio
from functools import partial
from typing import Any

import pytest

from libs.schemas.wire.errors import ErrorBody
from libs.translate.errors import InvalidRequest
from services.edge.http.exchange import Exchange, chat_error_frame, error_body


class Server:
    """Sends like an ASGI server: waits before it writes while the client does not read."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.sent: list[Any] = []

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        self.sent.append(message)

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent if "body" in message]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    async def receive(self) -> Any:
        await asyncio.Event().wait()


async def test_writing_now_sends_only_to_a_client_that_reads() -> None:
    server = Server()
    exchange = Exchange({"type": "http", "headers": []}, server.receive, server.send, "chat")
    server.reads.set()
    await exchange.start_stream()
    server.reads.clear()
    assert exchange.write_now(b"first") is False
    assert (server.bodies, exchange.sent_bytes, exchange.is_unread) == ([], 0, False)

    writing = asyncio.create_task(exchange.write(b"first"))
    await asyncio.sleep(0)
    assert exchange.is_unread and exchange.is_streaming
    server.reads.set()
    await writing
    assert not exchange.is_unread
    assert exchange.write_now(b"second") is True
    assert server.bodies == [b"first", b"second"]
    assert exchange.sent_bytes == len(b"firstsecond")
    assert exchange.is_streaming and not exchange.is_unread


async def test_bytes_that_were_taken_after_others_waited_are_read() -> None:
    """A write that waits may be given up; what is written later tells that the client reads again."""
    for start, streams in ((Exchange.start_stream, True), (partial(Exchange.start, status=200, headers={}), False)):
        server = Server()
        server.reads.set()
        exchange = Exchange({"type": "http", "headers": []}, server.receive, server.send, "chat")
        await start(exchange)
        server.reads.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await exchange.write(b"first")
        assert (exchange.is_unread, exchange.is_streaming) == (True, streams)
        server.reads.set()
        assert exchange.write_now(b"second")
        assert (exchange.is_unread, exchange.is_streaming) == (False, streams)
        assert server.bodies == [b"second"]


ERROR = ErrorBody(message="No.", code="c")


async def test_failure_is_a_status_a_frame_or_a_cut_connection_whichever_is_still_open() -> None:
    unsent, begun, other = Server(), Server(), Server()
    exchanges = [
        Exchange({"type": "http", "headers": []}, one.receive, one.send, "c") for one in (unsent, begun, other)
    ]
    for server in (unsent, begun, other):
        server.reads.set()
    assert all(exchange.is_unsent for exchange in exchanges)
    await exchanges[1].start_stream()
    await exchanges[2].start(200, {})
    assert not any(exchange.is_unsent for exchange in exchanges[1:])
    for exchange in exchanges:
        await exchange.end_with_error(503, ERROR)
    assert (unsent.sent[0]["status"], unsent.bodies) == (503, [error_body(ERROR)])
    assert (begun.sent[0]["status"], begun.bodies) == (200, [chat_error_frame(ERROR)])
    assert begun.sent[-1]["more_body"] is False
    assert (other.sent[0]["status"], other.bodies) == (200, [])


async def test_failure_is_framed_as_the_stream_wants_it() -> None:
    server = Server()
    server.reads.set()
    exchange = Exchange({"type": "http", "headers": []}, server.receive, server.send, "chat")
    exchange.frame_errors(lambda error: b"event: " + str(error.code).encode())
    await exchange.start_stream()
    await exchange.end_with_error(503, ERROR)
    assert server.bodies == [b"event: c"]


async def test_what_was_reported_goes_with_whatever_response_comes() -> None:
    for start in (Exchange.start_stream, partial(Exchange.start, status=404, headers={"b": "own"})):
        server = Server()
        server.reads.set()
        exchange = Exchange({"type": "http", "headers": []}, server.receive, server.send, "chat")
        exchange.report({"a": "1", "b": "2"})
        exchange.report({"a": "3"})
        assert (exchange.reported("a"), exchange.reported("c")) == ("3", None)
        await start(exchange)
        assert (server.headers[b"a"], server.headers[b"x-request-id"]) == (b"3", exchange.request_id.encode())
        assert server.headers[b"b"] == (b"2" if start is Exchange.start_stream else b"own")


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
