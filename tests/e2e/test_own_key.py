"""An upstream's refusal of Parley's own key: the operator reads it, a client hears only that there was one."""

import asyncio
import base64
import http.client
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.cluster import Cluster, running_cluster
from tests.support.raw_upstream import RawUpstream, chunked, raw_upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = "sk-own-9f3b7c21d8e6Zq5w"
QUOTED = "Incorrect API key provided: sk-own-9*********Zq5w. You can find your API key at https://example.com/keys."
CONFIG = """
[[upstream]]
name = "ours"
base_url = "{raw}"
auth = "key"
key_env = "OWN_KEY"
models = ["own-*"]
model_rules = [{{ match = "own-native*", bridge = "bypass" }}]

[[upstream]]
name = "theirs"
base_url = "{raw}"
auth = "client"
models = ["their-*"]
"""
JSON, SSE = {"content-type": "application/json"}, {"content-type": "text/event-stream"}


def error(message: str, code: str | None = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


REFUSED = error(QUOTED, "invalid_api_key")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def raw() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(raw: RawUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    directory: Path = tmp_path_factory.mktemp("own-key")
    config = directory / "parley.toml"
    config.write_text(CONFIG.format(raw=raw.base_url))
    starting = running_cluster(
        directory, environ={"PARLEY_CONFIG": str(config), "OWN_KEY": f" {KEY}\n"}, analytics=False
    )
    cluster = await asyncio.to_thread(starting.__enter__)
    yield cluster
    await asyncio.to_thread(starting.__exit__, None, None, None)


class Answer:
    """An answer of the edge, with every byte that a client can see of it."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        told = headers.get("x-parley-upstream-error", "")
        self.seen = repr(headers) + body.decode() + base64.urlsafe_b64decode(told).decode()

    @property
    def error(self) -> dict[str, Any]:
        """The envelope's content."""
        return dict(json.loads(self.body)["error"])


async def ask(cluster: Cluster, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    def fetch() -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", cluster["edge"].port, timeout=30)
        try:
            sent = {"authorization": "Bearer sk-of-the-client", **headers}
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, told, answer.read())
        finally:
            connection.close()

    return await asyncio.to_thread(fetch)


def chat(model: str = "own-model", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}


STREAMED = {"model": "own-model", "input": "hi", "stream": True}
CALLS: dict[str, tuple[str, str, dict[str, Any] | None, str]] = {
    "chat": ("POST", "/v1/chat/completions", chat(), "/v1/responses"),
    "chat streamed": ("POST", "/v1/chat/completions", chat(stream=True), "/v1/responses"),
    "two choices": ("POST", "/v1/chat/completions", chat(n=2), "/v1/responses"),
    "two choices streamed": ("POST", "/v1/chat/completions", chat(n=2, stream=True), "/v1/responses"),
    "native chat": ("POST", "/v1/chat/completions", chat("own-native"), "/v1/chat/completions"),
    "responses": ("POST", "/v1/responses", {"model": "own-model", "input": "hi"}, "/v1/responses"),
    "responses streamed": ("POST", "/v1/responses", STREAMED, "/v1/responses"),
    "embeddings": ("POST", "/v1/embeddings", {"model": "own-model", "input": "hi"}, "/v1/embeddings"),
    "models": ("GET", "/v1/models", None, "/v1/models"),
}


def told_of_nothing(cluster: Cluster, answer: Answer) -> None:
    for piece in (KEY, KEY[:8], KEY[-4:], "Incorrect"):
        assert piece not in answer.seen
        assert piece not in cluster["edge"].logged()


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "status, body",
    [
        (401, REFUSED),
        (401, {"detail": f"no user has the key {KEY}"}),
        (403, error(QUOTED)),
        (403, error("This API key has been restricted to other addresses.")),
        (403, error("You have insufficient permissions for this operation. Missing scopes: api.responses.write.")),
        (403, error("Forbidden", "invalid_api_key")),
        (400, error("API key not valid. Please pass a valid API key.", "API_KEY_INVALID")),
        (500, error(f"no upstream takes {KEY}", kind="server_error")),
    ],
)
async def test_refusal_of_the_own_key_is_502(
    cluster: Cluster, raw: RawUpstream, name: str, status: int, body: dict[str, Any]
) -> None:
    method, path, sent, upstream_path = CALLS[name]
    raw.answers[upstream_path] = chunked([json.dumps(body).encode()], JSON, status)
    answer = await ask(cluster, method, path, sent)
    assert (answer.status, answer.error["code"]) == (502, "upstream_key_refused")
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers
    told_of_nothing(cluster, answer)
    assert '"event":"upstream_key_refused"' in cluster["edge"].logged()


@pytest.mark.parametrize("name", [name for name in CALLS if name != "models"])
async def test_other_refusal_passes(cluster: Cluster, raw: RawUpstream, name: str) -> None:
    method, path, sent, upstream_path = CALLS[name]
    told = error("Project `proj_1` does not have access to model `own-model`.", "model_not_found")
    raw.answers[upstream_path] = chunked([json.dumps(told).encode()], JSON, 403)
    answer = await ask(cluster, method, path, sent)
    assert (answer.status, answer.error["code"]) == (403, "model_not_found")


async def test_refusal_of_the_clients_key_passes(cluster: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/responses"] = chunked([json.dumps(REFUSED).encode()], JSON, 401)
    for path, body in (
        ("/v1/chat/completions", chat("their-model")),
        ("/v1/responses", {"model": "their-model", "input": "hi"}),
    ):
        answer = await ask(cluster, "POST", path, body)
        assert (answer.status, answer.error["code"], answer.error["message"]) == (401, "invalid_api_key", QUOTED)


async def test_compressed_refusal_is_not_passed_unread(cluster: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/embeddings"] = chunked(
        [b"\x28\xb5\x2f\xfd not readable"], {**JSON, "content-encoding": "zstd"}, 403
    )
    answer = await ask(cluster, "POST", "/v1/embeddings", {"model": "own-model"}, **{"accept-encoding": "zstd, gzip"})
    assert answer.status == 502 and answer.error["code"] == "upstream_key_refused"
    assert b"accept-encoding: identity" in raw.requests[-1][0].lower()


FAILED = {"id": "resp_1", "object": "response", "status": "failed", "model": "own-model", "output": [], **REFUSED}
BEGUN = {**FAILED, "status": "in_progress", "error": None}
CREATED = {"type": "response.created", "sequence_number": 0, "response": BEGUN}
PLACE = {"item_id": "m", "output_index": 0, "content_index": 0}
DELTA = {"type": "response.output_text.delta", "sequence_number": 1, **PLACE, "delta": "an error that failed"}
ENDS = {
    "nested": {"type": "error", "sequence_number": 7, **REFUSED},
    "flat": {"type": "error", "sequence_number": 7, "message": QUOTED, "code": "invalid_api_key", "param": None},
    "only quoted": {"type": "error", "sequence_number": 7, "message": f"{KEY} is no key", "code": None, "param": None},
    "failed": {"type": "response.failed", "sequence_number": 7, "response": FAILED},
}


def frames(*events: dict[str, Any], named: bool = True) -> bytes:
    def frame(event: dict[str, Any]) -> str:
        return (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n"

    return "".join(map(frame, events)).encode()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("surface", ["chat", "two", "typed", "responses"])
async def test_event_about_the_own_key_does_not_pass(
    cluster: Cluster, raw: RawUpstream, end: str, surface: str
) -> None:
    for named in (True, False):
        stream = frames(CREATED, DELTA, ENDS[end], named=named)
        answer = await _streamed(cluster, raw, [stream], surface)
        told_of_nothing(cluster, answer)
        assert b"upstream_key_refused" in answer.body
        assert surface == "two" or b"an error that failed" in answer.body


@pytest.mark.parametrize("cut", [1, 7, 50])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
async def test_event_about_the_own_key_does_not_pass_in_pieces(
    cluster: Cluster, raw: RawUpstream, cut: int, newline: bytes
) -> None:
    before, after = frames(CREATED, DELTA), frames(DELTA)
    stream = (before + frames(ENDS["flat"]) + after).replace(b"\n", newline)
    pieces = [stream[start : start + cut] for start in range(0, len(stream), cut)]
    answer = await _streamed(cluster, raw, pieces, "responses")
    told_of_nothing(cluster, answer)
    whole = answer.body
    assert whole.startswith(before.replace(b"\n", newline)) and whole.endswith(after.replace(b"\n", newline))
    assert whole.count(b"upstream_key_refused") == 1 and b'"sequence_number":7' in whole


async def test_other_events_pass_as_they_came(cluster: Cluster, raw: RawUpstream) -> None:
    other = {"type": "error", "sequence_number": 2, "message": "The server failed.", "code": "server_error"}
    of_a_tool = {**other, "message": "MCP server refused: invalid API key", "code": "invalid_api_key", "param": "tools"}
    stream = frames(CREATED, DELTA, other, of_a_tool) + b": a comment about an error\n\ndata: unfinished error"
    for cut in (1, 13, len(stream)):
        pieces = [stream[start : start + cut] for start in range(0, len(stream), cut)]
        assert (await _streamed(cluster, raw, pieces, "responses")).body == stream


async def test_failed_response_about_the_own_key_is_502(cluster: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/responses"] = raw.answers["/v1/responses/resp_1"] = chunked([json.dumps(FAILED).encode()], JSON)
    for method, path, body, headers in (
        ("POST", "/v1/chat/completions", chat(), {}),
        ("POST", "/v1/chat/completions", chat(n=2), {}),
        ("POST", "/v1/chat/completions", chat(), {"x-parley-format": "responses"}),
        ("POST", "/v1/responses", {"model": "own-model", "input": "hi"}, {}),
    ):
        answer = await ask(cluster, method, path, body, **headers)
        assert (answer.status, answer.error["code"]) == (502, "upstream_key_refused")
        told_of_nothing(cluster, answer)


async def _streamed(cluster: Cluster, raw: RawUpstream, pieces: Sequence[bytes], surface: str) -> Answer:
    raw.answers["/v1/responses"] = chunked(pieces, SSE)
    if surface == "responses":
        return await ask(cluster, "POST", "/v1/responses", STREAMED)
    headers = {"x-parley-format": "responses"} if surface == "typed" else {}
    more: dict[str, Any] = {"n": 2} if surface == "two" else {}
    return await ask(cluster, "POST", "/v1/chat/completions", chat(stream=True, **more), **headers)
