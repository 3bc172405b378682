"""One try of one call, with one choice and with two: what the client gets, what is recorded and what is kept."""

import asyncio
import base64
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from libs.runtime import metrics
from libs.schemas.bus.convert import Converted
from libs.schemas.bus.state import ClaimReply, ClaimRequest, CommitReply, CommitRequest, MarkReply, MarkRequest
from libs.schemas.config import Upstream
from libs.schemas.plan import ContinuedTurn, Continuity, MarkPlan, StreamPlan
from libs.schemas.records import CallRecord
from libs.schemas.subjects import CLAIM, COMMIT, CONVERT, MARK
from libs.translate.errors import TranslationError
from services.edge import failures
from services.edge.answering import polling
from services.edge.answering.attempt import _together
from services.edge.errors import UpstreamKeyRefused
from services.edge.surfaces.chat import ChatEndpoint
from tests.support.answers import Json, call, custom, message, response
from tests.unit.services.edge.fakes import COMMIT_TO, CUT, DIGEST, PAUSE, Client, Stage

CHAT = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}).encode()
USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
SEARCH: Json = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
PROGRAMS: Json = {**call("call_p"), "caller": {"type": "program"}}
QUOTA = {"code": "insufficient_quota", "message": "You have none left."}
DONE = b"data: [DONE]\n\n"

choices = pytest.mark.parametrize("choices", [1, 2])


def converted(choices: int, **plan: Any) -> Converted:
    planned = StreamPlan(**{"stream": False, "choices": choices, "commit": COMMIT_TO, **plan})
    return Converted(
        upstream="one",
        model="m",
        body=b"{}",
        plan=planned,
        continuity=Continuity(reason="first"),
        conversation="tok",
        dropped=["seed"],
    )


def whole(*output: Json, status: str = "completed", **fields: Any) -> tuple[int, bytes]:
    return 200, json.dumps(response(*output, status=status, usage=USAGE, **fields)).encode()


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


CREATED = event("response.created", response=response(status="in_progress"))
TEXT = event("response.output_item.added", output_index=0, item=message()) + event(
    "response.output_text.delta", output_index=0, content_index=0, delta="Hi"
)


def completed(*output: Json, **fields: Any) -> bytes:
    return event("response.completed", response=response(*output, status="completed", usage=USAGE, **fields))


def failed(error: Json) -> bytes:
    return event("response.failed", response=response(status="failed", usage=USAGE, error=error))


class Answered:
    """What became of one request."""

    def __init__(self, stage: Stage, client: Client) -> None:
        self.status = client.status
        self.headers = client.headers
        self.body = client.body
        self.ended = client.ended
        self.records = [record for record in stage.sink.closed if isinstance(record, CallRecord)]
        self.commits = [request for _, request in stage.bus.asked if isinstance(request, CommitRequest)]
        self.claims = [request for _, request in stage.bus.asked if isinstance(request, ClaimRequest)]
        self.marks = [request.change for _, request in stage.bus.asked if isinstance(request, MarkRequest)]
        self.asked = stage.upstreams.asked

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> list[Any]:
        lines = [line.removeprefix(b"data: ") for line in self.body.splitlines() if line.startswith(b"data: {")]
        return [json.loads(line) for line in lines]

    def recorded(self, *names: str) -> list[tuple[Any, ...]]:
        return [tuple(getattr(record, name) for name in names) for record in self.records]


async def run(
    bodies: Sequence[tuple[int, bytes]], choices: int = 1, *, reads_slowly: bool = False, **plan: Any
) -> Answered:
    return await answered(stage_of(bodies, converted(choices, **plan)), reads_slowly=reads_slowly)


def stage_of(bodies: Sequence[tuple[int, bytes]], *tries: Converted, upstreams: list[Upstream] | None = None) -> Stage:
    """Return an edge whose converter has one of `tries` for each try."""
    replies = {
        CONVERT.name: list(tries),
        COMMIT.name: CommitReply(turns=1),
        CLAIM.name: ClaimReply(),
        MARK.name: MarkReply(number=1),
    }
    return Stage(replies, bodies=list(bodies), upstreams=upstreams)


async def answered(stage: Stage, client: Client | None = None, *, reads_slowly: bool = False) -> Answered:
    client = client or Client("POST", "/v1/chat/completions", body=CHAT)
    client.reads_slowly = reads_slowly
    await failures.answer(client.exchange(), ChatEndpoint(stage.edge))
    while stage.edge.background:
        await asyncio.gather(*stage.edge.background)
    return Answered(stage, client)


async def stream(body: bytes, choices: int = 1, **options: Any) -> Answered:
    return await run([(200, body)] * choices, choices, stream=True, **options)


def told(encoded: str) -> bytes:
    return base64.urlsafe_b64decode(encoded)


# -- whole answers ----------------------------------------------------------------------------------


@choices
async def test_answer_that_the_upstream_still_works_on_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, choices: int
) -> None:
    monkeypatch.setattr(polling, "FIRST_POLL_SECONDS", 0.001)
    queued = [whole(status="queued")] * choices
    polls = [whole(status="in_progress"), (503, b"")] * choices + [whole(message("Yes"))] * choices
    got = await run([*queued, *polls], choices)
    assert (got.status, [one["message"]["content"] for one in got.json["choices"]]) == (200, ["Yes"] * choices)
    assert got.recorded("outcome", "output_tokens", "finish_reason") == [("ok", 2, "stop")] * choices


async def test_upstream_that_cannot_be_asked_again_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "FIRST_POLL_SECONDS", 0.001)
    got = await run([whole(status="queued"), *[(503, b"")] * 9])
    assert (got.status, got.json["error"]["code"]) == (502, "upstream_unreachable")
    assert len(got.asked) == 1 + polling.MAX_FAILURES
    assert got.recorded("outcome", "response_id") == [("unreachable", "resp_1")]


@choices
async def test_what_a_chat_answer_has_no_place_for_is_named(choices: int) -> None:
    got = await run([whole(message("Yes"), SEARCH)] * choices, choices)
    names = ["output[1].web_search_call"]
    names = names if choices == 1 else [f"choices[{choice}].{names[0]}" for choice in range(choices)]
    assert got.headers["x-parley-dropped"] == ",".join(["seed", *names])


@choices
@pytest.mark.parametrize(
    ("item", "reason", "calls"),
    [(call(), "tool_calls", 1), (custom(), "tool_calls", 1), (PROGRAMS, "stop", 0), (message("Hi"), "stop", 0)],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_client_and_record_agree_on_the_end(
    choices: int, item: Json, reason: str, calls: int, *, streamed: bool
) -> None:
    got = await (stream(CREATED + completed(item), choices) if streamed else run([whole(item)] * choices, choices))
    ends = [choice for frame in (got.frames if streamed else [got.json]) for choice in frame["choices"]]
    assert [choice["finish_reason"] for choice in ends if choice["finish_reason"]] == [reason] * choices
    assert got.recorded("finish_reason", "tool_calls", "outcome") == [(reason, calls, "ok")] * choices


@choices
async def test_failure_within_a_whole_answer_says_what_the_upstream_said(choices: int) -> None:
    got = await run([whole(status="failed", error=QUOTA)] * choices, choices)
    assert (got.status, got.json["error"]["code"]) == (429, "insufficient_quota")
    assert got.headers["x-should-retry"] == "false"
    assert b"You have none left." in told(got.headers["x-parley-upstream-error"])
    assert got.recorded("outcome", "http_status", "error_code") == [("failed", 200, "insufficient_quota")] * choices
    assert got.records[0].output_tokens == 2


async def test_status_cancelled_is_a_failure() -> None:
    for got in (
        await run([whole(status="cancelled")]),
        await stream(CREATED + event("response.failed", response=response(status="cancelled"))),
    ):
        assert (got.status, got.recorded("outcome")) == (500, [("failed",)])
    typed = await run([whole(status="cancelled")], format="responses")
    assert (typed.status, typed.recorded("outcome")) == (200, [("failed",)])


@choices
@pytest.mark.parametrize("body", [b"<html>", b"{", b"[" * 100_000, b"", b"\xff", b'{"id": "resp_1"' + CUT])
async def test_body_that_cannot_be_read_is_malformed(choices: int, body: bytes) -> None:
    got = await run([(200, body)] * choices, choices)
    assert (got.status, got.json["error"]["code"]) == (502, "upstream_malformed")
    assert got.recorded("outcome", "error_code") == [("failed", "upstream_malformed")] * choices


@choices
async def test_body_over_the_limit_is_never_cut(monkeypatch: pytest.MonkeyPatch, choices: int) -> None:
    monkeypatch.setattr("services.edge.answering.model_call.MAX_RESPONSE_BYTES", 100)
    got = await run([whole(message("Yes"))] * choices, choices)
    assert (got.status, got.json["error"]["code"]) == (502, "upstream_too_large")


async def test_error_status_counts_whatever_its_body() -> None:
    for body in (b"<html>" * 200_000, b'{"error": {' + CUT):
        got = await run([(429, body)])
        assert (got.status, got.json["error"]["type"]) == (429, "rate_limit_error")


async def test_plan_that_names_an_unknown_upstream_is_our_fault() -> None:
    stage = Stage({CONVERT.name: [msgspec.structs.replace(converted(1), upstream="gone")]})
    client = Client("POST", "/v1/chat/completions", body=CHAT)
    await failures.answer(client.exchange(), ChatEndpoint(stage.edge))
    assert (client.status, json.loads(client.body)["error"]["code"]) == (503, "upstream_unknown")
    assert client.headers["retry-after"]
    assert not any(isinstance(record, CallRecord) for record in stage.sink.closed)


async def test_request_that_was_aborted_while_it_was_converted_is_sent_nowhere() -> None:
    """The client of the bus may swallow the cancellation, which comes but once."""
    replies = {CONVERT.name: [converted(1)], COMMIT.name: CommitReply(turns=1)}
    stage, client = Stage(replies, bodies=[whole(message("Yes"))]), Client("POST", "/v1/chat/completions", body=CHAT)
    exchange, reply = client.exchange(), stage.bus.call

    async def swallows(subject: Any, request: Any, call: Any) -> Any:
        exchange.abort("client_gone")
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return await reply(subject, request, call)

    stage.bus.call = swallows  # type: ignore[method-assign]
    await failures.answer(exchange, ChatEndpoint(stage.edge))
    assert (stage.upstreams.asked, stage.sink.opened, client.status) == ([], [], 0)


# -- streams ----------------------------------------------------------------------------------------


@choices
@pytest.mark.parametrize("pause", [b"", PAUSE])
async def test_stream_that_fails_before_output_is_a_status(choices: int, pause: bytes) -> None:
    got = await stream(CREATED + pause + failed(QUOTA), choices)
    assert (got.status, got.json["error"]["code"]) == (429, "insufficient_quota")
    assert got.headers["x-should-retry"] == "false"
    assert b"You have none left." in told(got.headers["x-parley-upstream-error"])
    assert got.recorded("outcome", "response_id", "model")[0] == ("failed", "resp_1", "m-2026")
    assert got.recorded("outcome") == [("failed",)] * choices


@choices
async def test_stream_that_fails_within_says_so_in_its_last_frame(choices: int) -> None:
    got = await stream(CREATED + TEXT + PAUSE + failed(QUOTA), choices)
    last = got.frames[-1]
    assert (got.status, last["error"]["code"]) == (200, "insufficient_quota")
    assert b"You have none left." in told(last["x-parley-upstream-error"])
    assert DONE not in got.body
    assert got.recorded("outcome", "response_id", "model") == [("failed", "resp_1", "m-2026")] * choices
    assert got.records[0].output_tokens == 2
    assert got.commits == []


@choices
@pytest.mark.parametrize("pause", [b"", PAUSE])
@pytest.mark.parametrize(
    "after",
    [
        completed(message("Hi")) * 250,
        completed(call()),
        failed(QUOTA),
        event("error", code="server_error", message="Late."),
        TEXT,
        b"data: {\n\n",
    ],
    ids=["ends", "call", "failure", "error", "text", "garbage"],
)
async def test_what_follows_the_end_is_nothing(choices: int, pause: bytes, after: bytes) -> None:
    plain = await stream(CREATED + TEXT + completed(message("Hi")), choices)
    got = await stream(CREATED + TEXT + completed(message("Hi")) + pause + after, choices)
    assert (got.status, got.body) == (200, plain.body)
    assert got.body.endswith(DONE)
    assert len(got.commits) == len(plain.commits) == choices
    assert got.recorded("outcome", "tool_calls") == [("ok", 0)] * choices


@pytest.mark.parametrize("format_", ["chat", "responses"])
async def test_what_follows_a_failure_is_nothing(format_: str) -> None:
    got = await stream(CREATED + TEXT + failed(QUOTA) + completed(message("Hi")) + TEXT, format=format_)
    assert got.recorded("outcome", "error_code") == [("failed", "insufficient_quota")]
    assert got.commits == []


async def test_error_event_ends_a_typed_stream() -> None:
    error = event("error", code="server_error", message="No.")
    got = await stream(CREATED + TEXT + error, format="responses")
    assert got.body == CREATED + TEXT + error
    assert got.recorded("outcome", "error_code", "response_id") == [("failed", "server_error", "resp_1")]
    follows = failed({"code": "server_error", "message": "No."})
    got = await stream(CREATED + TEXT + error + PAUSE + follows, format="responses")
    assert got.body == CREATED + TEXT + error + follows
    assert got.recorded("outcome", "error_code", "output_tokens") == [("failed", "server_error", 2)]


@choices
async def test_stream_that_breaks_off_is_truncated(choices: int) -> None:
    for end in (b"", CUT):
        got = await stream(CREATED + TEXT + PAUSE + end, choices)
        assert got.frames[-1]["error"]["code"] == "upstream_stream_truncated"
        assert got.recorded("outcome", "response_id") == [("truncated", "resp_1")] * choices


@choices
async def test_event_beyond_the_limit_is_too_large(monkeypatch: pytest.MonkeyPatch, choices: int) -> None:
    monkeypatch.setattr("libs.translate.sse.MAX_FRAME_BYTES", 1000)
    got = await stream(CREATED + TEXT + PAUSE + b"data: " + b"x" * 5000, choices)
    assert got.frames[-1]["error"]["code"] == "upstream_too_large"
    assert got.recorded("outcome") == [("failed",)] * choices


async def test_choice_that_fails_ends_the_others() -> None:
    good, bad = CREATED + TEXT + PAUSE * 3 + completed(message("Hi")), CREATED + TEXT + PAUSE + failed(QUOTA)
    got = await run([(200, good), (200, bad)], 2, stream=True)
    assert got.frames[-1]["error"]["code"] == "insufficient_quota"
    assert {outcome for (outcome,) in got.recorded("outcome")} == {"failed"}
    assert sorted(record.output_tokens for record in got.records) == [0, 2]


async def test_choice_that_ended_before_another_failed_was_answered() -> None:
    good, bad = CREATED + TEXT + completed(message("Hi")), CREATED + TEXT + PAUSE * 5 + failed(QUOTA)
    got = await run([(200, good), (200, bad)], 2, stream=True)
    assert sorted(got.recorded("outcome", "finish_reason")) == [("failed", ""), ("ok", "stop")]


@choices
@pytest.mark.parametrize("usage", [False, True])
async def test_stop_sequence_ends_a_choice_and_its_usage_still_comes(choices: int, *, usage: bool) -> None:
    parts = [
        event("response.output_text.delta", output_index=0, content_index=0, delta=f" {word}")
        for word in ("a", "END", "b")
    ]
    body = CREATED + TEXT + PAUSE + PAUSE.join(parts) + PAUSE + completed(message("Hi a END b"))
    got = await stream(body, choices, stop=["END"], include_usage=usage)
    texts = [""] * choices
    for frame in got.frames:
        for choice in frame["choices"]:
            texts[choice["index"]] += choice["delta"].get("content") or ""
    assert texts == ["Hi a "] * choices
    assert any(frame.get("usage") for frame in got.frames) is usage
    assert got.body.endswith(DONE)
    assert got.recorded("outcome", "finish_reason", "output_tokens") == [("ok", "stop", 2 if usage else 0)] * choices


async def test_stopped_choices_whose_usage_never_comes_end_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.edge.answering.attempt.DRAIN_SECONDS", 0.05)
    stopped = CREATED + TEXT + event("response.output_text.delta", output_index=0, content_index=0, delta=" END")
    for choices in (1, 2):
        got = await stream(
            stopped + PAUSE * 200 + completed(message("Hi END")), choices, stop=["END"], include_usage=True
        )
        assert got.body.endswith(DONE) and not any(frame.get("usage") for frame in got.frames)
        assert got.recorded("outcome", "finish_reason") == [("ok", "stop")] * choices


async def test_choice_that_goes_on_is_not_ended_with_one_that_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.edge.answering.attempt.DRAIN_SECONDS", 0.02)
    stops = CREATED + TEXT + event("response.output_text.delta", output_index=0, content_index=0, delta=" END")
    goes_on = CREATED + TEXT + PAUSE * 20 + completed(message("Hi"))
    for usage in (True, False):
        bodies = [(200, stops + PAUSE * 60 + completed(message("Hi END"))), (200, goes_on)]
        got = await run(bodies, 2, stream=True, stop=["END"], include_usage=usage)
        assert got.body.endswith(DONE)
        assert got.recorded("outcome", "finish_reason") == [("ok", "stop")] * 2
        assert sorted(record.output_tokens for record in got.records) == [0, 2]  # the usage that came


@choices
@pytest.mark.parametrize("format_", ["chat", "responses"])
async def test_client_that_reads_slowly_gets_the_same_bytes(choices: int, format_: str) -> None:
    words = (event("response.output_text.delta", output_index=0, content_index=0, delta=f" {n}") for n in range(5))
    body = CREATED + TEXT + PAUSE + PAUSE.join(words) + PAUSE + completed(message("Hi 0 1 2 3 4"))
    choices = choices if format_ == "chat" else 1
    slow, fast = [await stream(body, choices, format=format_, reads_slowly=slowly) for slowly in (True, False)]
    assert sorted(slow.body.splitlines()) == sorted(fast.body.splitlines())
    assert choices > 1 or slow.body == fast.body
    assert slow.ended and fast.ended and b" 4" in slow.body


# -- what goes on beside the answer -----------------------------------------------------------------

GUARDED = [Upstream(name="one", base_url="http://1", key_env="K", shared_ids=["*"])]
MARKED = MarkPlan(scope=DIGEST, conversation="tok")
CONTINUED = [ContinuedTurn(turn_key="e1", ids=["rs_1"])]
GONE = {"code": "server_error", "message": "Item with id 'rs_1' not found."}


def claimed(got: Answered) -> list[list[str]]:
    return [[claim.upstream_id, *claim.more] for claim in got.claims]


def stored(choices: int = 1, **plan: Any) -> Converted:
    return msgspec.structs.replace(converted(choices, **plan), stored=True)


@choices
async def test_number_of_choices_is_reported_where_there_are_several(choices: int) -> None:
    got = await run([whole(message("Yes"))] * choices, choices)
    assert got.headers.get("x-parley-fanout") == (None if choices == 1 else "2")
    assert got.headers.get("x-parley-dropped") == "seed"


async def test_response_that_is_stored_with_parleys_key_is_claimed_for_the_caller() -> None:
    streamed = CREATED + TEXT + completed(message("Hi"))
    cases: list[tuple[Json, bytes, list[list[str]]]] = [
        ({}, whole(message("Yes"))[1], [["resp_1"]]),
        ({"format": "responses"}, whole(message("Yes"))[1], [["resp_1", "item:msg_1"]]),
        ({"stream": True}, streamed, [["resp_1"]]),
        ({"stream": True, "format": "responses"}, streamed, [["resp_1"], ["item:msg_1"]]),
    ]
    for plan, body, ids in cases:
        got = await answered(stage_of([(200, body)], stored(**plan), upstreams=GUARDED))
        assert (got.status, claimed(got)) == (200, ids)


async def test_response_is_claimed_only_where_it_is_stored_with_parleys_key() -> None:
    own = [Upstream(name="one", base_url="http://1", auth="client")]
    for try_, upstreams in ((converted(1), GUARDED), (stored(), own)):
        got = await answered(stage_of([whole(message("Yes"))], try_, upstreams=upstreams))
        assert (got.status, got.claims) == (200, [])


@choices
async def test_response_that_is_never_whole_was_claimed_when_it_began(choices: int) -> None:
    body = CREATED + TEXT + PAUSE + CUT
    got = await answered(stage_of([(200, body)] * choices, stored(choices, stream=True), upstreams=GUARDED))
    assert got.frames[-1]["error"]["code"] == "upstream_stream_truncated"
    assert claimed(got) == [["resp_1"]]


@pytest.mark.parametrize("slow", [CLAIM.name, COMMIT.name])
@pytest.mark.parametrize("streamed", [False, True])
async def test_answer_ends_when_its_turn_is_kept_and_its_ids_are_claimed(slow: str, *, streamed: bool) -> None:
    body = CREATED + TEXT + completed(message("Hi")) if streamed else whole(message("Hi"))[1]
    stage = stage_of([(200, body)], stored(stream=streamed), upstreams=GUARDED)
    client, reply = Client("POST", "/v1/chat/completions", body=CHAT), stage.bus.call
    ended: list[bool] = []

    async def is_slow(subject: Any, request: Any, call: Any) -> Any:
        if subject.name == slow:
            await asyncio.sleep(0.05)
            ended.append(client.ended)
        return await reply(subject, request, call)

    stage.bus.call = is_slow  # type: ignore[method-assign]
    got = await answered(stage, client)
    assert (got.ended, ended) == (True, [False])


@pytest.mark.parametrize("format_", ["chat", "responses"])
@pytest.mark.parametrize(
    ("body", "change"),
    [
        (CREATED + TEXT + PAUSE + failed(QUOTA), "spoil"),
        (CREATED + TEXT + failed(QUOTA), "spoil"),
        (CREATED + TEXT + PAUSE + CUT, "spoil"),
        (b": \n\n" + CUT, "close"),
    ],
)
async def test_mark_is_unusable_where_the_client_may_have_seen_some(format_: str, body: bytes, change: str) -> None:
    got = await stream(body, format=format_, mark=MARKED)
    assert got.marks == ["open", change]


async def test_mark_is_taken_off_where_the_client_got_a_status() -> None:
    for got in (
        await stream(CREATED + failed(QUOTA), mark=MARKED),
        await run([whole(status="failed", error=QUOTA)], mark=MARKED),
        await run([(429, b"{}")], mark=MARKED),
    ):
        assert (got.status, got.marks) == (429, ["open", "close"])


async def test_commit_carries_the_mark_and_takes_it_off() -> None:
    for got in (
        await run([whole(message("Hi"))], mark=MARKED),
        await stream(CREATED + TEXT + completed(message("Hi")), mark=MARKED),
    ):
        assert got.marks == ["open"]
        assert [(commit.mark != "", commit.number) for commit in got.commits] == [(True, 1)]


@pytest.mark.parametrize(
    ("choices", "format_", "streamed"),
    [(1, "chat", False), (2, "chat", False), (1, "chat", True), (2, "chat", True), (1, "responses", True)],
)
async def test_continuation_that_is_gone_is_refused_and_the_whole_is_sent(
    choices: int, format_: str, *, streamed: bool
) -> None:
    first = CREATED + failed(GONE) if streamed else whole(status="failed", error=GONE)[1]
    second = CREATED + TEXT + completed(message("Hi")) if streamed else whole(message("Hi"))[1]
    plan = {"stream": streamed, "format": format_}
    tries = converted(choices, continued=CONTINUED, **plan), converted(choices, **plan)
    got = await answered(stage_of([(200, body) for body in (first, second) for _ in range(choices)], *tries))
    assert (got.status, len(got.asked)) == (200, 2 * choices)
    assert got.recorded("outcome") == [("refused",)] * choices + [("ok",)] * choices
    assert "x-parley-upstream-error" not in got.headers


@pytest.mark.parametrize("format_", ["chat", "responses"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_answer_that_ignored_its_parent_is_recorded_as_paid_and_requested_again(
    format_: str, *, streamed: bool
) -> None:
    fields: Json = {"previous_response_id": None}
    begun = event("response.created", response=response(status="in_progress", **fields))
    first = completed(message("Hi"), **fields) if streamed else whole(message("Hi"), **fields)[1]
    second = begun + TEXT + completed(message("Hi")) if streamed else whole(message("Hi"))[1]
    plan = {"stream": streamed, "format": format_}
    tries = converted(1, continued=CONTINUED, parent="resp_p", **plan), converted(1, **plan)
    got = await answered(stage_of([(200, first), (200, second)], *tries))
    assert (got.status, len(got.asked)) == (200, 2)
    assert got.recorded("outcome", "output_tokens", "response_id") == [("refused", 2, "resp_1"), ("ok", 2, "resp_1")]


@pytest.mark.parametrize(
    ("format_", "streamed", "status"),
    [("chat", False, 502), ("chat", True, 502), ("responses", False, 502), ("responses", True, 200)],
)
async def test_failure_within_an_answer_says_nothing_about_parleys_key(
    format_: str, *, streamed: bool, status: int
) -> None:
    error = {"code": "invalid_api_key", "message": "Incorrect API key provided: sk-own."}
    body = CREATED + failed(error) if streamed else whole(status="failed", error=error)[1]
    stage = stage_of([(200, body)], converted(1, stream=streamed, format=format_))

    def disclosed(_: Upstream, failure: TranslationError) -> TranslationError:
        return UpstreamKeyRefused() if failure.error.code == "invalid_api_key" else failure

    stage.upstreams.disclosed = disclosed  # type: ignore[method-assign,assignment]
    got = await answered(stage)
    assert got.status == status
    assert b'"upstream_key_refused"' in got.body and b"sk-own" not in got.body
    assert "x-parley-upstream-error" not in got.headers
    assert got.recorded("outcome", "error_code") == [("failed", "upstream_key_refused")]


async def test_one_choice_of_two_that_cannot_be_had_ends_the_other() -> None:
    got = await run([(429, b"{}"), (200, PAUSE * 50 + whole(message("Hi"))[1])], 2)
    assert (got.status, got.ended, len(got.asked)) == (429, True, 2)
    assert got.recorded("outcome", "http_status") == [("refused", 429)] * 2


async def test_one_call_that_fails_ends_the_others_before_it_is_told() -> None:
    ended: list[str] = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise UpstreamKeyRefused

    async def goes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            ended.append("ended")

    with pytest.raises(UpstreamKeyRefused):
        await _together([goes_on(), fails(), goes_on()])
    assert ended == ["ended"] * 2


@choices
async def test_losses_are_counted_by_what_they_are(choices: int) -> None:
    counters = {what: metrics.ANSWER_LOSSES.labels(what)._value for what in ("web_search_call", "other")}
    before = {what: counter.get() for what, counter in counters.items()}
    await run([whole(message("Yes"), SEARCH, {"type": "hologram", "id": "h_1"})] * choices, choices)
    counted = {what: counter.get() - before[what] for what, counter in counters.items()}
    assert counted == {"web_search_call": choices, "other": choices}


async def test_turn_is_kept_by_what_the_client_got_of_the_stream() -> None:
    keys = []
    for final in ("Hi", "Bye"):
        [commit] = (await stream(CREATED + TEXT + PAUSE + completed(message(final)))).commits
        keys.append((commit.turn.key, commit.turn.prefix))
    assert keys[0] == keys[1]


async def test_refusal_of_the_upstream_says_what_it_said() -> None:
    body = json.dumps({"error": {**QUOTA, "param": "input"}}).encode()
    got = await run([(429, body)])
    assert (got.status, got.json["error"]["code"]) == (429, "insufficient_quota")
    assert told(got.headers["x-parley-upstream-error"]) == body
    assert got.headers["x-should-retry"] == "false"
    assert got.recorded("outcome", "http_status") == [("refused", 429)]


@pytest.mark.parametrize("status", [400, 404, 500])
@pytest.mark.parametrize("streamed", [False, True])
async def test_status_that_says_that_a_continuation_is_gone_is_not_shown(status: int, *, streamed: bool) -> None:
    refusal = json.dumps({"error": {"code": "previous_response_not_found", "message": "Gone."}}).encode()
    second = CREATED + TEXT + completed(message("Hi")) if streamed else whole(message("Hi"))[1]
    tries = converted(1, continued=CONTINUED, stream=streamed), converted(1, stream=streamed)
    got = await answered(stage_of([(status, refusal), (200, second)], *tries))
    assert (got.status, got.recorded("outcome", "http_status")) == (200, [("refused", status), ("ok", 200)])
    assert "x-parley-upstream-error" not in got.headers


class Watched:
    """A request of which the watch over live answers sends a comment as soon as it is due, which is at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *bodies: bytes, **plan: Any) -> None:
        monkeypatch.setattr("services.edge.http.streams.TICK_SECONDS", 0.01)
        choices = plan.pop("choices", 1)
        self.stage = stage_of([(200, body) for body in bodies], converted(choices, **plan))
        streams: Any = self.stage.edge.streams
        streams._settings = msgspec.structs.replace(streams._settings, keepalive_seconds=0)

    async def run(self) -> Answered:
        self.stage.edge.streams.start()
        try:
            return await answered(self.stage)
        finally:
            await self.stage.edge.streams.stop()


@choices
async def test_stream_that_is_silent_is_kept_alive_and_its_output_noted(
    monkeypatch: pytest.MonkeyPatch, choices: int
) -> None:
    body = PAUSE * 10 + CREATED + TEXT + PAUSE * 2 + completed(message("Hi"))
    got = await Watched(monkeypatch, *[body] * choices, stream=True, choices=choices).run()
    assert got.body.startswith(b": keep-alive\n\n") and got.body.endswith(DONE)
    assert [record.ttft_ms is not None for record in got.records] == [True] * choices
    assert got.recorded("outcome") == [("ok",)] * choices


async def test_comment_is_no_output_so_that_nothing_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for body, change in ((PAUSE * 10 + CREATED, "close"), (PAUSE * 10 + CREATED + TEXT + PAUSE, "spoil")):
        got = await Watched(monkeypatch, body + failed(QUOTA), stream=True, mark=MARKED).run()
        assert got.body.startswith(b": keep-alive\n\n")
        assert got.frames[-1]["error"]["code"] == "insufficient_quota"
        assert got.marks == ["open", change]


async def test_whole_answer_is_not_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    got = await Watched(monkeypatch, PAUSE * 10 + whole(message("Hi"))[1]).run()
    assert got.json["choices"][0]["message"]["content"] == "Hi"


@choices
@pytest.mark.parametrize("streamed", [False, True])
async def test_request_that_is_aborted_ends_its_calls_and_their_records(choices: int, *, streamed: bool) -> None:
    start = CREATED + TEXT if streamed else b" "
    stage = stage_of([(200, start + PAUSE * 500)] * choices, converted(choices, stream=streamed))
    client = Client("POST", "/v1/chat/completions", body=CHAT)

    async def leaves() -> None:
        while len(stage.upstreams.sent) < choices or (streamed and b"Hi" not in client.body):
            await asyncio.sleep(0.005)
        stage.edge.streams.abort_all()

    leaving = asyncio.create_task(leaves())
    got = await answered(stage, client)
    await leaving
    assert got.recorded("outcome", "http_status") == [("cancelled", 0)] * choices
    assert len(stage.edge.streams) == 0
    assert got.commits == []
