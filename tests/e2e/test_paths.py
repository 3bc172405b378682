"""Odd paths and headers over a bare socket: each is served or refused, and none reaches the upstream as it came."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.cluster import Cluster, running_cluster
from tests.support.raw_upstream import RawUpstream, chunked, raw_upstream

# The raw upstream lives in the loop of the module.
on_module_loop = pytest.mark.asyncio(loop_scope="module")
CONFIG = """
[[upstream]]
name = "raw"
base_url = "{raw}"
auth = "client"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def raw() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relaying(raw: RawUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A cluster whose upstream is the raw one."""
    directory: Path = tmp_path_factory.mktemp("paths")
    config = directory / "parley.toml"
    config.write_text(CONFIG.format(raw=raw.base_url))
    starting = running_cluster(directory, environ={"PARLEY_CONFIG": str(config)}, analytics=False)
    cluster = await asyncio.to_thread(starting.__enter__)
    yield cluster
    await asyncio.to_thread(starting.__exit__, None, None, None)


async def send(
    cluster: Cluster, target: str, *lines: str, method: str = "GET", host: str = "evil.example", body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """Send a request whose target is written as it is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster["edge"].port)
    given = lines or ("Authorization: Bearer sk-1",)
    head = [f"{method} {target} HTTP/1.1", f"Host: {host}", *given, f"Content-Length: {len(body)}", "Connection: close"]
    writer.write("\r\n".join([*head, "", ""]).encode("latin-1") + body)
    try:
        got = await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
    top, _, rest = got.partition(b"\r\n\r\n")
    status, *fields = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    return int(status.split(" ")[1]), headers, rest


ODD = [
    *("/v1%2F@{up}/x", "/v1@{up}/x", "/v1%2f..%2f..%2fx", "//{up}/v1/files", "/v1/v1/files", "/v1//files", "/files"),
    *("/v1/../files", "/v1/./files", "/v1/%2e%2e/x", "/v1/%252e%252e/x", "/v1/files/..%252f", "/v1/files/..%2fx"),
    *("/v1/files/a%5cb", "/v1\\files", "/v1/files/a%00", "/v1/files/a%0d%0ax:y", "/v1/files/..;/x", "/v1/files/%23"),
    *("/V1/files", "/v1/files/", "/v1/", "/v1", "/v1/files%3Fx", "/%76%31/files", "/v1/responses/", "/v1/models/"),
    *("/v1/chat/completions/", "/v1/chat//completions", "//chat/completions", "/chat/completions", "/healthz/"),
    *("http://{up}/files", "http://{up}/v1%2Ffiles", "http://x@{up}/", "/v1/files/\xe9", "*", "v1/files"),
]


@on_module_loop
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("target", ODD)
async def test_odd_path_is_refused_and_goes_nowhere(
    relaying: Cluster, raw: RawUpstream, target: str, method: str
) -> None:
    received = len(raw.requests)
    status, headers, _ = await send(relaying, target.format(up=f"127.0.0.1:{raw.port}"), method=method)
    assert status in (400, 404, 405)
    assert "location" not in headers
    assert len(raw.requests) == received


@on_module_loop
@pytest.mark.parametrize("target", ["/chat/completions", "//chat/completions", "/v1/v1/chat/completions", "/models"])
async def test_wrong_base_url_is_told_how_it_ends(relaying: Cluster, target: str) -> None:
    status, _, got = await send(relaying, target, method="POST", body=b"{}")
    assert (status, "ends in '/v1'" in json.loads(got)["error"]["message"]) == (404, True)


@on_module_loop
@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("/v1/files/file_1?a=b%2F..%2Fc", b"/v1/files/file_1?a=b%2F..%2Fc"),
        ("/v1/%66iles/file%5F1", b"/v1/files/file_1"),
        ("http://other.example/v1/files", b"/v1/files"),
        ("/v1/files#/../..", b"/v1/files"),
    ],
)
async def test_what_is_relayed_is_below_the_base_url(
    relaying: Cluster, raw: RawUpstream, target: str, sent: bytes
) -> None:
    raw.answers[sent.decode()] = chunked([b"{}"], {})
    override = ("Authorization: Bearer sk-1", "X-Original-URL: /admin", "X-Forwarded-Host: evil.example")
    status, _, _ = await send(relaying, target, *override)
    head = raw.requests[-1][0]
    assert (status, head.split(b" ")[1]) == (200, sent)
    assert b"evil.example" not in head and b"/admin" not in head


@on_module_loop
@pytest.mark.parametrize("name", ["%00", "x%23", "x%3Fa", "..%252f", "x%2Fy", "~..", "~", "~.", "%0a", "x%7f", "x%5Cy"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("after", ["", "/messages"])
async def test_what_cannot_be_an_id_is_not_asked_for(
    relaying: Cluster, raw: RawUpstream, name: str, method: str, after: str
) -> None:
    received = len(raw.requests)
    status, _, got = await send(relaying, f"/v1/chat/completions/chatcmpl-{name}{after}", method=method)
    assert (status, set(json.loads(got)["error"])) == (404, {"message", "type", "param", "code"})
    assert len(raw.requests) == received


@on_module_loop
async def test_id_of_a_stored_completion_is_encoded_on_its_way_up(relaying: Cluster, raw: RawUpstream) -> None:
    raw.answers["/v1/responses/a%20b:%C3%A9"] = chunked([b"{}"], {}, 404)
    status, _, _ = await send(relaying, "/v1/chat/completions/chatcmpl-~a%20b%3A%C3%A9")
    assert (status, raw.requests[-1][0].split(b" ")[1]) == (404, b"/v1/responses/a%20b:%C3%A9")


@on_module_loop
@pytest.mark.parametrize("target", ["/v1/files", "/v1/models", "/v1/responses", "/v1/chat/completions", "/convert"])
async def test_two_callers_in_one_request_are_refused(relaying: Cluster, raw: RawUpstream, target: str) -> None:
    received = len(raw.requests)
    method = "GET" if target in ("/v1/files", "/v1/models") else "POST"
    for second in ("Bearer sk-2", "Bearer sk-1", "Basic eDp5"):
        twice = ("Authorization: Bearer sk-1", f"authorization: {second}")
        status, _, got = await send(relaying, target, *twice, method=method, body=b'{"model":"m"}')
        assert (status, json.loads(got)["error"]["param"]) == (400, "authorization")
    status, _, _ = await send(relaying, target, "Authorization: Bearer sk-1, Bearer sk-2", method=method)
    assert status == 401
    assert len(raw.requests) == received


@on_module_loop
@pytest.mark.parametrize("control", ["%00", "%0A", "%1F", "%7F", "%C2%80", "%C2%9F"])
async def test_no_name_with_a_control_character_is_taken(relaying: Cluster, raw: RawUpstream, control: str) -> None:
    received = len(raw.requests)
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    named = f"/v1/parley/conversations/a{control}b"
    for method in ("GET", "DELETE"):
        assert (await send(relaying, named, method=method))[0] in (400, 404)
    for param in ("conversation_id", "previous_response_id"):
        target = f"/v1/chat/completions?{param}=a{control}"
        status, _, got = await send(relaying, target, method="POST", body=body)
        assert (status, json.loads(got)["error"]["param"]) == (400, param)
    assert len(raw.requests) == received


@on_module_loop
@pytest.mark.parametrize("target", ["/healthz/", "/status/", "/v1", "/readyz//", "/v1/models/"])
async def test_nothing_redirects_to_the_host_that_a_client_names(relaying: Cluster, target: str) -> None:
    for host in ("evil.example", "evil.example/x?", ""):
        status, headers, got = await send(relaying, target, host=host)
        assert (status, "location" in headers, b"evil" in got) == (404, False, False)


@on_module_loop
async def test_redirect_of_the_upstream_leads_through_parley(relaying: Cluster, raw: RawUpstream) -> None:
    told = {"Location": f"http://127.0.0.1:{raw.port}/v1/files/x?a=1"}
    raw.answers["/v1/files/y"] = chunked([b""], told, 307)
    status, headers, _ = await send(relaying, "/v1/files/y")
    assert (status, headers["location"]) == (307, "/v1/files/x?a=1")
