"""What passes through Parley comes out as it went in."""

import asyncio
import hashlib
import http.client
import json
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
import pytest_asyncio

from tests.support.cluster import Cluster, running_cluster
from tests.support.raw_upstream import RawUpstream, chunked, raw_upstream
from tests.support.samples import MODEL, user

KEY = {"Authorization": "Bearer sk-relay"}
# The raw upstream lives in the loop of the module.
on_module_loop = pytest.mark.asyncio(loop_scope="module")
CONFIG = """
[[upstream]]
name = "raw"
base_url = "{raw}"
auth = "client"
models = ["raw-*"]
aliases = {{ "pet-name" = "raw-model" }}
model_rules = [{{ match = "raw-native*", bridge = "bypass" }}]

[[upstream]]
name = "simulator"
base_url = "{raw}/nowhere"
auth = "key"
key_env = "SECOND_KEY"
models = ["second-*"]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def raw() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relaying(raw: RawUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A cluster whose default upstream is the raw one."""
    directory: Path = tmp_path_factory.mktemp("relaying")
    config = directory / "parley.toml"
    config.write_text(CONFIG.format(raw=raw.base_url))
    environ = {"PARLEY_CONFIG": str(config), "SECOND_KEY": "sk-of-parley"}
    starting = running_cluster(directory, environ=environ, analytics=False)
    cluster = await asyncio.to_thread(starting.__enter__)
    yield cluster
    await asyncio.to_thread(starting.__exit__, None, None, None)


def fetch(
    cluster: Cluster, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", cluster["edge"].port, timeout=30)
    try:
        connection.request(method, path, body, {**KEY, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


# Odd on purpose: comments, CRLF, a frame cut inside a character, no event line, an unknown event.
STREAM = (
    b': hello\r\n\r\nevent: response.created\r\ndata: {"type":"response.created","response":{"id":"resp_1"}}\r\n\r\n'
    b'data: {"type":"x.y","t":"\xe2\x82\xac"}\n\nevent: response.completed\n'
    b'data: {"type":"response.completed","response":{"id":"resp_1","model":"raw-model-1","status":"completed",'
    b'"output":[],"usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}}}\n\ndata: [DONE]\n\n'
)


@on_module_loop
async def test_responses_stream_passes_byte_for_byte(relaying: Cluster, raw: RawUpstream) -> None:
    pieces = [STREAM[start : start + 7] for start in range(0, len(STREAM), 7)]
    raw.answers["/v1/responses"] = chunked(pieces, {"Content-Type": "text/event-stream", "x-request-id": "up-1"})
    body = b'{ "model":"raw-model",  "stream":true, "input":"\\u20ac" , "unknown":[1.0e1]}'
    status, headers, got = await asyncio.to_thread(fetch, relaying, "POST", "/v1/responses", body)
    assert (status, got) == (200, STREAM)
    assert headers["content-type"] == "text/event-stream"
    assert headers["x-upstream-request-id"] == "up-1"
    assert headers["x-request-id"].startswith("req_")
    assert raw.requests[-1][1] == body


@on_module_loop
async def test_responses_body_and_error_pass_byte_for_byte(relaying: Cluster, raw: RawUpstream) -> None:
    for status, answer in ((200, b'{ "id":"resp_1" ,"output":[] }'), (418, b"<html>I am no API</html>")):
        raw.answers["/v1/responses"] = chunked([answer], {"Content-Type": "x/y", "retry-after": "7"}, status)
        got = await asyncio.to_thread(fetch, relaying, "POST", "/v1/responses", b'{"model":"raw-model"}')
        assert (got[0], got[2]) == (status, answer)
        assert (got[1]["content-type"], got[1]["retry-after"]) == ("x/y", "7")


@on_module_loop
async def test_alias_is_replaced_and_nothing_else(relaying: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/responses"] = chunked([b"{}"], {})
    await asyncio.to_thread(fetch, relaying, "POST", "/v1/responses", b'{"model":"pet-name","x":[ 1.50 ]}')
    assert raw.requests[-1][1] == b'{"model":"raw-model","x":[ 1.50 ]}'


@on_module_loop
async def test_bypassed_chat_call_passes_byte_for_byte(relaying: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/chat/completions"] = chunked([b"data: {}\n\n", b"data: [DONE]\n\n"], {})
    body = b'{"model":"raw-native-1", "messages":[{"role":"user","content":"hi","odd":1}],"stream":true}'
    status, _, got = await asyncio.to_thread(fetch, relaying, "POST", "/v1/chat/completions", body)
    assert (status, got) == (200, b"data: {}\n\ndata: [DONE]\n\n")
    assert raw.requests[-1][1] == body


@on_module_loop
async def test_what_is_for_parley_alone_goes_no_further(relaying: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/chat/completions"] = chunked([b"{}"], {})
    body = b'{"model":"raw-native-1","messages":[{"role":"user","content":"hi"}],"parley":{"format":"chat"}}'
    await asyncio.to_thread(fetch, relaying, "POST", "/v1/chat/completions", body)
    assert raw.requests[-1][1] == b'{"model":"raw-native-1","messages":[{"role":"user","content":"hi"}]}'


@on_module_loop
async def test_what_only_chat_can_do_goes_to_the_upstream_s_own_endpoint(relaying: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/chat/completions"] = chunked([b'{"id":"chatcmpl-1"}'], {})
    body = b'{"model":"raw-model","messages":[{"role":"user","content":"hi"}],"modalities":["text","audio"]}'
    status, headers, got = await asyncio.to_thread(fetch, relaying, "POST", "/v1/chat/completions", body)
    assert (status, got, headers["x-parley-native"]) == (200, b'{"id":"chatcmpl-1"}', "modalities")
    assert raw.requests[-1][1] == body


@on_module_loop
async def test_other_paths_go_to_the_default_upstream_with_their_query(relaying: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/batches/b%20c?after=x&limit=2"] = chunked([b"[]"], {"x-custom": "kept", "set-cookie": "no"})
    status, headers, got = await asyncio.to_thread(fetch, relaying, "GET", "/v1/batches/b%20c?after=x&limit=2")
    assert (status, got, headers["x-custom"]) == (200, b"[]", "kept")
    assert "set-cookie" not in headers
    assert b"authorization: bearer sk-relay" in raw.requests[-1][0].lower()


@on_module_loop
async def test_unknown_model_is_refused(relaying: Cluster) -> None:
    status, _, got = await asyncio.to_thread(fetch, relaying, "POST", "/v1/responses", b'{"model":"other"}')
    assert (status, json.loads(got)["error"]["code"]) == (404, "model_not_found")


@on_module_loop
async def test_own_key_goes_to_its_upstream_and_the_caller_s_does_not(relaying: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/nowhere/responses"] = chunked([b"{}"], {})
    await asyncio.to_thread(fetch, relaying, "POST", "/v1/responses", b'{"model":"second-model"}')
    head = raw.requests[-1][0].lower()
    assert b"bearer sk-of-parley" in head
    assert b"sk-relay" not in head


@on_module_loop
async def test_what_waits_for_its_claims_passes_byte_for_byte(relaying: Cluster, raw: RawUpstream) -> None:
    pieces = [STREAM[start : start + 7] for start in range(0, len(STREAM), 7)]
    raw.answers["/v1/nowhere/responses"] = chunked(pieces, {"Content-Type": "text/event-stream"})
    body = b'{"model":"second-model","stream":true}'
    status, headers, got = await asyncio.to_thread(fetch, relaying, "POST", "/v1/responses", body)
    assert (status, got, headers["content-type"]) == (200, STREAM, "text/event-stream")
    told = {"Content-Type": "application/json; charset=utf-7"}
    await asyncio.to_thread(fetch, relaying, "POST", "/v1/responses", body, told)
    assert b"content-type: application/json\r\n" in raw.requests[-1][0].lower()
    large = b'{ "id":"resp_large" ,"output":[],"filler":"%b"}' % (b"x" * (20 * 1024 * 1024))
    for whole in (b'{ "id":"resp_small" ,"output":[] }', b"no JSON", large):
        cut = [whole[start : start + 1_000_000] for start in range(0, len(whole), 1_000_000)]
        raw.answers["/v1/nowhere/responses"] = chunked(cut, {"Content-Type": "application/json"})
        status, _, got = await asyncio.to_thread(fetch, relaying, "POST", "/v1/responses", b'{"model":"second-model"}')
        assert (status, len(got), got == whole) == (200, len(whole), True), (got[:50], got[-50:])
    for id_ in ("resp_1", "resp_small", "resp_large"):
        raw.answers[f"/v1/nowhere/responses/{id_}"] = chunked([b"{}"], {})
        assert (await asyncio.to_thread(fetch, relaying, "GET", f"/v1/responses/{id_}"))[0] == 200
    # What nobody is known to own goes to the first upstream, with the caller's own bearer.
    raw.answers["/v1/responses/resp_unheard"] = chunked([b"{}"], {})
    assert (await asyncio.to_thread(fetch, relaying, "GET", "/v1/responses/resp_unheard"))[0] == 200
    assert b"authorization: bearer sk-relay" in raw.requests[-1][0].lower()


@on_module_loop
async def test_body_that_waits_for_its_claims_and_breaks_off_is_broken(relaying: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/nowhere/responses"] = chunked([b'{"id":'], {"Content-Type": "application/json"})[:-1]
    with pytest.raises((http.client.IncompleteRead, AssertionError)):
        got = await asyncio.to_thread(fetch, relaying, "POST", "/v1/responses", b'{"model":"second-model"}')
        assert got[0] == 200, got


@on_module_loop
async def test_upstream_that_hangs_up_is_a_502(relaying: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/responses"] = []
    status, _, got = await asyncio.to_thread(fetch, relaying, "POST", "/v1/responses", b'{"model":"raw-model"}')
    assert (status, json.loads(got)["error"]["code"]) == (502, "upstream_unreachable")


@on_module_loop
async def test_body_that_breaks_off_reaches_the_client_as_broken(relaying: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/responses"] = chunked([b'{"id":'], {})[:-1]
    with pytest.raises(http.client.IncompleteRead):
        await asyncio.to_thread(fetch, relaying, "POST", "/v1/responses", b'{"model":"raw-model"}')


def test_sdk_uploads_and_lists_through_the_relay(client: openai.OpenAI) -> None:
    data = bytes(range(256)) * 8192
    assert client.files.create(file=("f.bin", data), purpose="user_data").bytes == len(data)


def test_large_upload_arrives_whole(client: openai.OpenAI, cluster: Cluster) -> None:
    data = b"0123456789abcdef" * (4 * 1024 * 1024)  # 64 MiB: over the limit of bodies that are read whole
    assert client.files.create(file=("f.bin", data), purpose="user_data").bytes == len(data)
    parts = cluster.simulator.ledger()[-1]["body"]
    assert hashlib.sha256(data).hexdigest() in json.dumps(parts)


def test_sdk_speaks_responses_through_parley(client: openai.OpenAI) -> None:
    assert client.responses.create(model=MODEL, input="[[text: Hi.]]").output_text == "Hi."
    with client.responses.stream(model=MODEL, input="[[text: Hi.]]") as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_text == "Hi."
    assert client.responses.retrieve(final.id).id == final.id


def test_convert_shows_the_request_and_sends_nothing(cluster: Cluster) -> None:
    received = len(cluster.simulator.ledger())
    messages = [{"role": "system", "content": "Be brief."}, user("Hi")]
    body = json.dumps({"model": MODEL, "messages": messages, "seed": 1}).encode()
    status, _, got = fetch(cluster, "POST", "/convert", body)
    shown = json.loads(got)
    assert status == 200
    assert shown["request"]["instructions"] == "Be brief."
    assert (shown["dropped"], shown["upstream"], shown["model"]) == (["seed"], "openai", MODEL)
    assert shown["continuity"]["reason"] == "first_turn"
    assert len(cluster.simulator.ledger()) == received


@on_module_loop
@pytest.mark.parametrize("path", ["/v1/../admin", "/v1/files/%2e%2e/%2E%2E/admin"])
async def test_path_that_leaves_the_api_is_refused(relaying: Cluster, raw: RawUpstream, path: str) -> None:
    received = len(raw.requests)
    status, _, got = await asyncio.to_thread(fetch, relaying, "GET", path)
    assert (status, set(json.loads(got)["error"])) == (404, {"message", "type", "param", "code"})
    assert len(raw.requests) == received


@on_module_loop
async def test_client_that_leaves_a_relayed_answer_closes_it(relaying: Cluster, raw: RawUpstream) -> None:
    endless = chunked([b"x" * 1000], {})[:-1]
    left = asyncio.Event()

    async def notice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in endless:
            writer.write(piece)
        await writer.drain()
        await reader.read()  # returns once the other side has closed
        left.set()
        writer.close()

    raw.on_connection = notice
    reader, writer = await asyncio.open_connection("127.0.0.1", relaying["edge"].port)
    head = b"POST /v1/files/f/content HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-length: 2\r\n\r\n"
    writer.write(head + b"hi")
    await reader.readuntil(b"xxx")
    writer.close()
    await asyncio.wait_for(left.wait(), 10)
    raw.on_connection = raw.handle


@on_module_loop
async def test_param_of_the_upstream_becomes_the_client_s_own(relaying: Cluster, raw: RawUpstream) -> None:
    error = {"message": "Bad 'input[2].content'.", "type": "invalid_request_error", "param": "input[2]", "code": "x"}
    raw.answers["/v1/responses"] = chunked(
        [json.dumps({"error": error}).encode()], {"x-ratelimit-limit-requests": "5"}, 400
    )
    calling = {
        "role": "assistant",
        "content": "a",
        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
    }
    messages = [
        {"role": "system", "content": "s"},
        user("u"),
        calling,
        {"role": "tool", "tool_call_id": "c", "content": ""},
    ]
    body = json.dumps({"model": "raw-model", "messages": messages}).encode()
    status, headers, got = await asyncio.to_thread(fetch, relaying, "POST", "/v1/chat/completions", body)
    expected = {**error, "message": "Bad 'messages[2].content'.", "param": "messages[2]"}
    assert (status, json.loads(got)["error"]) == (400, expected)
    assert headers["x-ratelimit-limit-requests"] == "5"


@on_module_loop
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (500, b"<html><h1>Oops</h1></html>", "The upstream answered with status 500."),
        (422, b'{"detail": "no such field"}', "no such field"),
        (400, b'{"error": "in plain words"}', "in plain words"),
        (302, b"", "The upstream answered with status 502."),
    ],
)
async def test_any_error_becomes_the_envelope(
    relaying: Cluster, raw: RawUpstream, status: int, body: bytes, message: str, stream: bool
) -> None:
    raw.answers["/v1/responses"] = chunked([body], {}, status)
    sent = json.dumps({"model": "raw-model", "messages": [user("u")], "stream": stream}).encode()
    got = await asyncio.to_thread(fetch, relaying, "POST", "/v1/chat/completions", sent)
    error = json.loads(got[2])["error"]
    assert (got[0], error["message"]) == (502 if status == 302 else status, message)
    assert set(error) == {"message", "type", "param", "code"}


@on_module_loop
async def test_answer_that_is_worked_on_in_the_background_is_waited_for(relaying: Cluster, raw: RawUpstream) -> None:
    answer = {"id": "resp_q", "created_at": 1, "model": "raw-model", "output": []}
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "At last."}]}
    raw.answers["/v1/responses"] = chunked([json.dumps({**answer, "status": "queued"}).encode()], {})
    settled = {**answer, "status": "completed", "output": [message]}
    raw.answers["/v1/responses/resp_q"] = chunked([json.dumps(settled).encode()], {})
    sent = json.dumps({"model": "raw-model", "messages": [user("u")]}).encode()
    status, _, got = await asyncio.to_thread(fetch, relaying, "POST", "/v1/chat/completions", sent)
    assert (status, json.loads(got)["choices"][0]["message"]["content"]) == (200, "At last.")
