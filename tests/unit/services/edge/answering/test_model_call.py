"""One call of a model upstream: what is sent, what is read, and when the connection is closed."""

import asyncio
import base64
from typing import Any

import pytest

from libs.schemas.bus.convert import Converted
from libs.schemas.plan import Continuity, StreamPlan
from services.edge.answering.model_call import ModelCall, decode_response
from services.edge.errors import UpstreamMalformed, UpstreamRefused, UpstreamUnreachable
from services.edge.upstreams.client import UPSTREAM_ERROR
from tests.unit.services.edge.fakes import PAUSE, UPSTREAMS, Client, Stage

WHOLE = b'{"id":"resp_1","status":"completed","output":[]}'
PIECES: list[bytes | memoryview] = [b'{"model":', memoryview(b'"m"}')]


def converted(*, stream: bool = False, model_requested: str = "fast") -> Converted:
    return Converted(
        upstream="two",
        model="m",
        model_requested=model_requested,
        body=b"",
        plan=StreamPlan(stream=stream, renames={"input": "messages"}),
        continuity=Continuity(reason="first"),
        previous_response_id="resp_0",
        conversation="tok",
    )


def made(stage: Stage, *, number: int = 1, **fields: Any) -> ModelCall:
    served = stage.served(Client("POST", "/v1/chat/completions").exchange())
    return ModelCall(served, UPSTREAMS[1], converted(**fields), number, PIECES, None)


async def test_record_is_opened_with_what_is_known_before_the_call() -> None:
    stage = Stage({})
    made(stage, number=3, stream=True)
    [opened] = stage.sink.opened
    assert (opened.surface, opened.outcome, opened.upstream, opened.model_requested) == ("chat", "lost", "two", "fast")
    assert (opened.streamed, opened.request_bytes) == (True, 13)
    assert (opened.previous_response_id, opened.conversation) == ("resp_0", "tok")


async def test_each_number_has_a_record_of_its_own() -> None:
    stage = Stage({})
    served = stage.served()
    for number in (1, 2):
        ModelCall(served, UPSTREAMS[1], converted(), number, PIECES, None)
    assert len({one.event_id for one in stage.sink.opened}) == 2


async def test_converter_that_does_not_say_what_was_requested_means_the_model() -> None:
    stage = Stage({})
    made(stage, model_requested="")
    assert [opened.model_requested for opened in stage.sink.opened] == ["m"]


@pytest.mark.parametrize(("stream", "accept"), [(True, "text/event-stream"), (False, "application/json")])
async def test_request_goes_up_whole_with_its_headers(stream: bool, accept: str) -> None:
    stage = Stage({}, bodies=[(200, WHOLE)])
    call = made(stage, stream=stream)
    await call.open()
    await call.close()
    assert stage.upstreams.asked == [("two", "POST", "/responses")]
    assert stage.upstreams.sent == [b'{"model":"m"}']
    [sent] = stage.upstreams.headers
    assert (sent["accept"], sent["content-type"], sent["content-length"]) == (accept, "application/json", "13")
    assert (sent["user-agent"], sent["authorization"]) == ("parley", "bearer sk-1")
    assert sent["traceparent"] == call._exchange.traceparent


async def test_whole_answer_is_read() -> None:
    call = made(Stage({}, bodies=[(200, WHOLE[:9] + PAUSE + WHOLE[9:])]))
    await call.fetch()
    await call.close()
    assert (call.body, call.response.id, call.answer.status) == (WHOLE, "resp_1", 200)


async def test_headers_of_the_upstream_that_a_client_gets_are_reported() -> None:
    stage = Stage({}, bodies=[(200, WHOLE)])
    stage.upstreams.more_headers = {"x-ratelimit-remaining-requests": "7", "x-request-id": "req_up", "server": "x"}
    call = made(stage)
    await call.fetch()
    await call.close()
    exchange = call._exchange
    assert exchange.reported("x-ratelimit-remaining-requests") == "7"
    assert exchange.reported("x-upstream-request-id") == "req_up"
    assert exchange.reported("server") is None


@pytest.mark.parametrize(("status", "shown"), [(400, 400), (429, 429), (500, 500), (201, 502), (302, 502), (399, 502)])
async def test_any_other_status_than_200_is_an_error(status: int, shown: int) -> None:
    body = b'{"error":{"message":"Bad input.","param":"input","code":"insufficient_quota"}}'
    call = made(Stage({}, bodies=[(status, body)]))
    with pytest.raises(UpstreamRefused) as raised:
        await call.fetch()
    await call.close()
    refused = raised.value
    assert (refused.status, refused.error.code, refused.error.param) == (shown, "insufficient_quota", "messages")
    assert refused.upstream_error.param == "input"
    assert base64.urlsafe_b64decode(refused.headers[UPSTREAM_ERROR]) == body
    assert refused.headers["x-should-retry"] == "false"


async def test_connection_of_an_answer_that_is_not_whole_is_closed_once() -> None:
    stage = Stage({}, bodies=[(200, b"data: {}\n\n" + PAUSE * 500)])
    call = made(stage, stream=True)
    await call.open()
    assert not call.answer.closed
    await call.close()
    assert call.answer.closed
    await call.close()


async def test_call_that_was_never_opened_is_closed() -> None:
    await made(Stage({})).close()


async def test_call_that_reached_nobody_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage({})
    call = made(stage)

    async def port() -> int:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        number: int = server.sockets[0].getsockname()[1]
        server.close()
        await stage.upstreams.start()
        return number

    monkeypatch.setattr(stage.upstreams, "_port", port)
    with pytest.raises(UpstreamUnreachable):
        await call.fetch()
    await call.close()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"<html>"])
def test_body_without_a_response_is_malformed(body: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        decode_response(body)


def test_lone_surrogate_costs_no_answer() -> None:
    assert decode_response(b'{"id":"resp_1","model":"m\\ud800"}').id == "resp_1"
