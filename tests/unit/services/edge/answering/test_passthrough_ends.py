"""Bytes pass as they came, to their end; where that does not come, the client must see it."""

import asyncio
from typing import Any

import pytest

from libs.schemas.bus.state import ClaimReply
from libs.schemas.subjects import CLAIM
from services.edge import failures
from services.edge.answering.passthrough import pass_through
from services.edge.http.exchange import Exchange
from services.edge.ownership.claiming import made
from services.edge.records import calls
from services.edge.upstreams.own_key import OwnKey
from tests.unit.services.edge.fakes import CUT, PAUSE, UPSTREAMS, Client, Stage

TAIL = b"data: tail"  # of a frame that is not complete, so that it cannot be judged
STREAM = b"data: a\n\n" + PAUSE + b"data: b" + PAUSE + b"\n\n" + TAIL
BODY = b'{"a":' + PAUSE + b" [1, 2]" + PAUSE + b"}"


class Reader:
    """A tap: what it was given, and how often it was finished."""

    def __init__(self) -> None:
        self.read = b""
        self.finished = 0

    def feed(self, data: bytes) -> None:
        self.read += data

    def finish(self) -> None:
        self.finished += 1


class Passed:
    """What became of one answer that passed; with `claimed` its ids are, with `own_key` it is looked at before."""

    def __init__(self, body: bytes, *, claimed: bool, own_key: bool = False, reads_slowly: bool = False) -> None:
        self.stage = Stage({CLAIM.name: ClaimReply()}, bodies=[(200, body)])
        self.client = Client("POST", "/v1/x")
        self.client.reads_slowly = reads_slowly
        self.reader = Reader()
        self._upstream = UPSTREAMS[1] if claimed else UPSTREAMS[0]
        if own_key:
            upstreams: Any = self.stage.upstreams
            upstreams.own_key = lambda upstream: OwnKey(upstream, "sk-own")

    async def run(self) -> "Passed":
        await failures.answer(self.client.exchange(), self._endpoint)
        await asyncio.gather(*self.stage.edge.background)
        return self

    @property
    def outcomes(self) -> list[str]:
        return [record.outcome for record in self.stage.sink.closed]

    async def _endpoint(self, exchange: Exchange) -> None:
        served, upstream = self.stage.served(exchange), self._upstream
        record = calls.begin(
            served,
            surface="responses",
            attempt=1,
            model_requested="m",
            upstream=upstream.name,
            streamed=True,
            request_bytes=0,
        )
        await pass_through(
            served,
            upstream,
            path="/x",
            headers={},
            body=None,
            record=record,
            tap=lambda is_stream: self.reader,
            made=made(served, upstream),
        )


every_way = pytest.mark.parametrize("reads_slowly", [False, True])
every_body = pytest.mark.parametrize(
    ("body", "claimed", "own_key"),
    [
        (STREAM, False, False),
        (STREAM, True, False),
        (STREAM, False, True),
        (BODY, False, False),
        (BODY, True, False),
        (BODY, False, True),
    ],
)


@every_way
@every_body
async def test_answer_passes_whole_and_is_read_to_its_end(
    body: bytes, *, claimed: bool, own_key: bool, reads_slowly: bool
) -> None:
    passed = await Passed(body, claimed=claimed, own_key=own_key, reads_slowly=reads_slowly).run()
    expected = body.replace(PAUSE, b"")
    assert (passed.client.status, passed.client.body, passed.client.ended) == (200, expected, True)
    assert (passed.reader.read, passed.reader.finished) == (expected, 1)


@every_way
@every_body
async def test_answer_that_breaks_off_is_cut_for_the_client_too(
    body: bytes, *, claimed: bool, own_key: bool, reads_slowly: bool
) -> None:
    passed = await Passed(body + PAUSE + CUT, claimed=claimed, own_key=own_key, reads_slowly=reads_slowly).run()
    assert passed.reader.finished == 0
    if body == BODY and own_key:  # which was read before a status was sent
        assert (passed.client.status, passed.client.ended, passed.outcomes) == (502, True, ["failed"])
        return
    assert (passed.client.status, passed.client.ended, passed.outcomes) == (200, False, ["truncated"])
    withheld = body.replace(PAUSE, b"") if body == BODY and claimed else TAIL if own_key else b""
    assert passed.client.body == passed.reader.read.removesuffix(withheld)


async def test_request_that_the_upstream_refuses_is_recorded_with_its_code() -> None:
    passed = Passed(b'{"error": {"code": "no_quota"}}', claimed=False)
    passed.stage.upstreams.bodies[:] = [(429, b'{"error": {"code": "no_quota"}}')]
    await passed.run()
    assert (passed.client.status, passed.client.body, passed.client.ended) == (
        429,
        b'{"error": {"code": "no_quota"}}',
        True,
    )
    [record] = passed.stage.sink.closed
    assert (record.outcome, record.http_status, record.error_code) == ("refused", 429, "no_quota")
    assert passed.reader.finished == 0
