import asyncio
import json
from typing import Any

import msgspec
import pytest

from libs.schemas.bus.state import ClaimReply
from libs.schemas.config import Upstream
from libs.schemas.records import CallRecord
from libs.schemas.subjects import CLAIM
from services.edge import failures
from services.edge.answering.passthrough import MakeTap, forwarded_headers, pass_through
from services.edge.http.exchange import Exchange
from services.edge.ownership.claiming import id_claims
from services.edge.records.calls import Call, begin
from services.edge.upstreams.own_key import OwnKey
from tests.unit.services.edge.fakes import CUT, PAUSE, UPSTREAMS, Client, Stage

STREAM = b"event: a\ndata: {}\n\n"
TAIL = b"data: tail"  # of a frame that is not complete, so that it cannot be judged
FRAMES = STREAM + PAUSE + b"data: b" + PAUSE + b"\n\n" + TAIL
BODY = b'{"a":' + PAUSE + b" [1, 2]" + PAUSE + b"}"


class Reading:
    """A tap that notes what it reads."""

    def __init__(self) -> None:
        self.streamed: bool | None = None
        self.read = b""
        self.finished = False

    def make(self, streamed: bool) -> "Reading":
        self.streamed = streamed
        return self

    def feed(self, data: bytes) -> None:
        assert not self.finished
        self.read += data

    def finish(self) -> None:
        self.finished = True


class Passed:
    """One request that passes: `client` has what came of it.

    With `claimed` its ids are the caller's from then on; with `own_key` all that may tell of Parley's key is looked at.
    """

    def __init__(
        self, *bodies: tuple[int, bytes], claimed: bool = False, own_key: bool = False, reads_slowly: bool = False
    ) -> None:
        self.stage = Stage({CLAIM.name: ClaimReply()}, bodies=list(bodies))
        self.client = Client("POST", "/v1/responses")
        self.client.reads_slowly = reads_slowly
        self.served = self.stage.served(self.client.exchange())
        self.upstream = UPSTREAMS[1]
        self.path = "/responses"
        self.made = id_claims(self.served, UPSTREAMS[1]) if claimed else None
        if own_key:
            upstreams: Any = self.stage.upstreams
            upstreams.own_key = lambda upstream: OwnKey(upstream, "sk-own")

    def record(self) -> Call:
        return begin(
            self.served,
            surface="responses",
            attempt=1,
            model_requested="m",
            upstream="two",
            streamed=False,
            request_bytes=2,
        )

    async def run(self, tap: MakeTap | None = None, record: Call | None = None, *, streamed: bool = False) -> None:
        async def endpoint(_: Exchange) -> None:
            await pass_through(
                self.served,
                self.upstream,
                path=self.path,
                headers={"x-a": "1"},
                body=[b"{}"],
                tap=tap,
                record=record,
                made=self.made,
                streamed=streamed,
            )

        await failures.answer(self.served.exchange, endpoint)
        await asyncio.gather(*self.stage.edge.background)

    def recorded(self) -> tuple[str, int, str]:
        (record,) = self.stage.sink.closed
        assert isinstance(record, CallRecord)
        return record.outcome, record.http_status, record.error_code


async def test_an_answer_passes_byte_for_byte_and_is_read_along() -> None:
    passed, tap = Passed((201, b'{"a":1}' + PAUSE + b" ")), Reading()
    await passed.run(tap.make)
    assert (passed.client.status, passed.client.body) == (201, b'{"a":1} ')
    assert (tap.streamed, tap.read, tap.finished) == (False, b'{"a":1} ', True)
    assert passed.client.headers["content-type"] == "application/json"
    assert passed.stage.upstreams.asked == [("two", "POST", "/responses")]
    assert passed.stage.upstreams.sent == [b"{}"]


@pytest.mark.parametrize(
    ("body", "asked", "streamed"), [(STREAM, False, True), (STREAM, True, True), (b"{}", True, False)]
)
async def test_what_the_answer_says_decides_whether_it_is_a_stream(body: bytes, asked: bool, streamed: bool) -> None:
    passed, tap = Passed((200, body)), Reading()
    await passed.run(tap.make, streamed=asked)
    assert tap.streamed == streamed
    assert passed.client.body == body


every_reader = pytest.mark.parametrize("reads_slowly", [False, True])
every_way = pytest.mark.parametrize(
    ("body", "claimed", "own_key"),
    [(body, *way) for body in (FRAMES, BODY) for way in ((False, False), (True, False), (False, True))],
)


@every_reader
@every_way
async def test_an_answer_passes_to_its_end(body: bytes, *, claimed: bool, own_key: bool, reads_slowly: bool) -> None:
    passed, tap = Passed((200, body), claimed=claimed, own_key=own_key, reads_slowly=reads_slowly), Reading()
    await passed.run(tap.make)
    assert passed.client.body == tap.read == body.replace(PAUSE, b"")
    assert tap.finished and passed.client.ended


@every_reader
@every_way
async def test_an_answer_that_breaks_off_is_cut_for_the_client_too(
    body: bytes, *, claimed: bool, own_key: bool, reads_slowly: bool
) -> None:
    passed = Passed((200, body + PAUSE + CUT), claimed=claimed, own_key=own_key, reads_slowly=reads_slowly)
    tap = Reading()
    await passed.run(tap.make, passed.record())
    assert not tap.finished
    if body == BODY and own_key:  # which was read before a status was sent
        assert (passed.client.status, passed.client.ended) == (502, True)
        assert passed.recorded() == ("failed", 502, "upstream_malformed")
        return
    assert (passed.client.status, passed.client.ended) == (200, False)  # so that the server cuts its connection
    assert passed.recorded() == ("truncated", 502, "upstream_stream_truncated")
    withheld = body.replace(PAUSE, b"") if body == BODY and claimed else TAIL if own_key else b""
    assert passed.client.body == tap.read.removesuffix(withheld)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (400, b'{"error":{"code":"bad","message":"No."}}', "refused", "bad"),
        (429, b'{"error":{"code":1301,"message":"No."}}', "refused", "1301"),
        (499, b"what?", "refused", ""),
        (500, b'{"error":{"code":"bad","message":"No."}}', "failed", "bad"),
    ],
)
async def test_an_error_passes_and_is_recorded(status: int, body: bytes, outcome: str, code: str) -> None:
    passed, tap = Passed((status, body)), Reading()
    await passed.run(tap.make, passed.record())
    assert (passed.client.status, passed.client.body, passed.client.ended) == (status, body, True)
    assert passed.recorded() == (outcome, status, code)
    assert tap.streamed is None


async def test_an_error_without_a_record_passes() -> None:
    passed = Passed((404, b"{}"))
    await passed.run()
    assert (passed.client.status, passed.client.body, passed.client.ended) == (404, b"{}", True)


async def test_the_answer_is_watched_only_while_it_passes() -> None:
    passed = Passed((200, b"{}"))
    live: list[int] = []

    class Looking(Reading):
        def feed(self, data: bytes) -> None:
            live.append(len(passed.stage.edge.streams))

    await passed.run(Looking().make)
    assert set(live) == {1}
    assert len(passed.stage.edge.streams) == 0


async def test_request_that_is_aborted_while_its_answer_passes_is_recorded_as_cancelled() -> None:
    passed = Passed((200, STREAM + PAUSE + STREAM))

    class Leaving(Reading):
        def feed(self, data: bytes) -> None:
            super().feed(data)
            passed.served.exchange.abort("client_gone")

    tap = Leaving()
    await passed.run(tap.make, passed.record())
    assert not tap.finished and not passed.client.ended
    assert passed.recorded() == ("cancelled", 0, "")
    assert len(passed.stage.edge.streams) == 0


async def test_very_large_body_passes_in_parts_while_its_ids_are_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.edge.answering.passthrough.MAX_HELD_BYTES", 10)
    parts = [b"[1,", b"2,", b"3,4,5,6,", b"7,8,9,", b"10,", b"11]"]
    passed, tap = Passed((200, PAUSE.join(parts)), claimed=True), Reading()
    held: list[int] = []
    write = passed.served.exchange.write

    async def noted(data: bytes, *, more: bool = True) -> None:
        held.append(len(data))
        await write(data, more=more)

    passed.served.exchange.write = noted  # type: ignore[method-assign]
    await passed.run(tap.make)
    assert passed.client.body == tap.read == b"".join(parts)
    assert len(held) > 1 and sum(held) == len(passed.client.body)


async def test_answers_with_an_error_status_make_nothing_that_is_claimed() -> None:
    for status, calls in ((200, 1), (300, 0), (404, 0)):
        passed = Passed((status, b'{"id":"resp_1"}'), claimed=True)
        assert passed.made is not None
        waited: list[int] = []

        async def claimed(waited: list[int] = waited) -> None:
            waited.append(1)

        passed.made.claimed = claimed  # type: ignore[method-assign]
        await passed.run()
        assert len(waited) == calls


@pytest.mark.parametrize("path", ["/responses", "/chat/completions"])
async def test_what_a_stream_says_of_parleys_key_is_replaced_by_an_event_of_its_kind(path: str) -> None:
    error = b'{"type":"error","code":"invalid_api_key","message":"Incorrect API key provided: sk-own."}'
    passed = Passed((200, STREAM + PAUSE + b"event: error\ndata: " + error + b"\n\n"), own_key=True)
    passed.path = path
    await passed.run()
    name, _, data = passed.client.body.removeprefix(STREAM).strip().rpartition(b"data: ")
    told = json.loads(data)
    if path == "/responses":
        assert (name, told["type"], told["code"]) == (b"event: error\n", "error", "upstream_key_refused")
        assert isinstance(told["sequence_number"], int)
    else:
        assert (name, told["error"]["code"]) == (b"", "upstream_key_refused")
    assert b"sk-own" not in passed.client.body


# -- headers of the answer --------------------------------------------------------------------------


@pytest.mark.parametrize("own_key", [False, True])
async def test_length_of_an_answer_is_told_where_no_event_of_it_may_be_replaced(*, own_key: bool) -> None:
    for body in (b"{}", STREAM):
        passed = Passed((200, body), own_key=own_key)
        passed.stage.upstreams.more_headers = {"content-length": str(len(body))}
        await passed.run()
        told = passed.client.headers.get("content-length")
        assert told == (None if own_key and body == STREAM else str(len(body)))
        assert passed.client.body == body


async def test_answer_whose_length_is_not_known_is_told_without() -> None:
    passed = Passed((200, b"{}"))
    await passed.run()
    assert "content-length" not in passed.client.headers


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/responses/resp_1", "/v1/responses/resp_1"),
        ("resp_1", "/v1/resp_1"),
        ("https://else.example/a", "https://else.example/a"),
        ("http://[", None),
    ],
)
async def test_redirection_leads_below_parleys_own_paths(location: str, shown: str | None) -> None:
    passed = Passed((307, b""))
    upstreams = passed.stage.upstreams
    upstreams.more_headers = {"location": location}
    passed.upstream = msgspec.structs.replace(UPSTREAMS[1], base_url=f"http://127.0.0.1:{await upstreams._port()}")
    await passed.run()
    assert (passed.client.status, passed.client.headers.get("location")) == (307, shown)


@pytest.mark.parametrize(("given", "streamed"), [("Text/Event-Stream; charset=utf-8", True), ("text/plain", False)])
async def test_type_of_an_answer_is_read_without_its_parameters(given: str, streamed: bool) -> None:
    passed, tap = Passed((200, b"{}")), Reading()
    passed.stage.upstreams.more_headers = {"content-type": given}
    await passed.run(tap.make)
    assert tap.streamed is streamed
    passed, tap = Passed((200, b"{}")), Reading()
    passed.stage.upstreams.more_headers = {"content-type": given}
    await passed.run(tap.make, streamed=True)
    assert tap.streamed is True


# -- what goes up -----------------------------------------------------------------------------------


async def _forwarded(upstream: Upstream, **headers: str) -> dict[str, str]:
    client = Client("POST", "/v1/responses", "", b"", **headers)
    return forwarded_headers(Stage({}).served(client.exchange()), upstream)


async def test_a_clients_headers_go_up_with_the_credentials_for_there() -> None:
    told = await _forwarded(UPSTREAMS[0], x_custom="1", accept="text/event-stream", accept_encoding="gzip")
    assert (told["x-custom"], told["accept"], told["accept-encoding"]) == ("1", "text/event-stream", "gzip")
    assert told["authorization"] == "Bearer sk-1"
    assert told["traceparent"].count("-") == 3


@pytest.mark.parametrize(
    "name",
    [
        "connection",
        "host",
        "content-length",
        "transfer-encoding",
        "cookie",
        "openai-organization",
        "openai-project",
        "forwarded",
        "x-rewrite-url",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-parley-conversation",
        "x-forwarded-for",
        "x-original-url",
    ],
)
async def test_what_is_none_of_the_upstreams_business_stays_here(name: str) -> None:
    assert name not in await _forwarded(UPSTREAMS[0], **{name.replace("-", "_"): "1"})


async def test_an_answer_to_parleys_own_key_comes_unpacked() -> None:
    own = msgspec.structs.replace(UPSTREAMS[1], auth="key")
    assert (await _forwarded(own, accept_encoding="gzip"))["accept-encoding"] == "identity"
