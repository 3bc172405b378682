"""Values that no file, line, process or answer may hold are given to a whole cluster, which is then searched."""

import asyncio
import base64
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg

from tests.support.cluster import Cluster, running_cluster
from tests.support.files import content, open_to_others, tree
from tests.support.queries import rows
from tests.support.wait import until

OWN_KEY, REFUSED_KEY = "canary-own-5f2a91c7", "invalid-canary-6b3e80d2"
NATS_PASSWORD, SECRET = "canary-nats-7d4c62e1", "canary-secret-8e5b43f0"
BEARER, MCP = "canary-bearer-9f6a24b8", "canary-mcp-0a7d15c9"
TEXT = "canary text 1b8e06da"
CONFIG = """
[[upstream]]
name = "works"
base_url = "{url}"
key_env = "WORKS_KEY"
models = ["gpt-*"]

[[upstream]]
name = "refuses"
base_url = "{url}"
key_env = "REFUSES_KEY"
models = ["refused-*"]

[[upstream]]
name = "theirs"
base_url = "{url}"
auth = "client"
models = ["their-*"]

[[upstream]]
name = "away"
base_url = "http://127.0.0.1:9/v1"
key_env = "WORKS_KEY"
models = ["away-*"]
"""
MCP_TOOL = {
    "type": "mcp",
    "server_label": "canary",
    "server_url": "https://mcp.example/sse",
    "headers": {"x-key": MCP},
    "authorization": MCP,
}


class Bus:
    """All that crosses the bus while the block runs, heard by somebody else."""

    def __init__(self, url: str) -> None:
        self.heard = bytearray()
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._listen()))

    def __enter__(self) -> "Bus":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        async def hear(msg: Msg) -> None:
            self.heard += msg.subject.encode() + repr(msg.headers).encode() + msg.data

        async def quiet(error: Exception) -> None:
            """The server is killed on purpose."""

        client = await nats.connect(self._url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=quiet)
        await client.subscribe(">", cb=hear)
        await client.flush()
        self._ready.set()
        await self._stop.wait()
        await client.close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("canary")


@pytest.fixture(scope="module")
def cluster(directory: Path) -> Iterator[Cluster]:
    (directory / "secret").write_text(SECRET)
    config = directory / "parley.toml"
    config.touch()
    own = {"edge": {"WORKS_KEY": f"{OWN_KEY}\n", "REFUSES_KEY": REFUSED_KEY}}
    environ = {"PARLEY_CONFIG": str(config)}
    login = f"parley:{NATS_PASSWORD}"

    def written(url: str) -> None:
        config.write_text(CONFIG.format(url=url))

    with running_cluster(directory, environ=environ, own=own, nats_login=login, prepare=written) as cluster:
        yield cluster


class Answers:
    """What a client has seen: whole, and of errors alone."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.all = self.errors = ""
        self.statuses: list[int] = []

    def ask(self, method: str, path: str, body: Any = None, key: str = BEARER, **headers: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._cluster["edge"].port, timeout=60)
        sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, sent, {"authorization": f"Bearer {key}", **headers})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        told = base64.urlsafe_b64decode(answer.getheader("x-parley-upstream-error", "")).decode(errors="replace")
        seen = repr(answer.getheaders()) + content.decode(errors="replace") + told
        self.all += seen
        if answer.status >= 400:
            self.errors += seen
        self.statuses.append(answer.status)
        return content

    def chat(self, model: str = "gpt-5-mini", headers: dict[str, str] | None = None, **more: Any) -> bytes:
        body = {"model": model, "messages": [{"role": "user", "content": TEXT}], **more}
        return self.ask("POST", "/v1/chat/completions", body, **(headers or {}))


def make_calls(answers: Answers) -> None:
    """Make calls of all kinds, good ones and bad ones."""
    for model in ("gpt-5-mini", "refused-1", "their-1", "away-1", "nobodys-1"):
        for more in ({}, {"stream": True}, {"n": 2}, {"n": 2, "stream": True}, {"tools": [MCP_TOOL]}, {"seed": TEXT}):
            answers.chat(model, **more)
        answers.chat(model, {"x-parley-format": "responses"}, stream=True)
        answers.chat(model, modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
        for stream in (False, True):
            sent = {"model": model, "input": TEXT, "stream": stream, "tools": [MCP_TOOL]}
            answers.ask("POST", "/v1/responses", sent)
        answers.ask("POST", "/convert", {"model": model, "messages": [{"role": "user", "content": TEXT}]})
    named = {"x-parley-conversation": "a name"}
    answers.chat("gpt-5-mini", named)
    answers.chat("gpt-5-mini", {**named, "x-parley-history": "delta"})
    answers.chat("gpt-5-mini", {"x-parley-conversation": "other", "x-parley-history": "delta"})
    stored = json.loads(answers.chat("gpt-5-mini", store=True))
    for method in ("GET", "DELETE"):
        answers.ask(method, f"/v1/chat/completions/{stored['id']}")
    for path in (
        "/v1/models",
        "/v1/files",
        "/v1/unheard-of",
        "/status",
        "/readyz",
        "/metrics",
        "/v1/parley/conversations",
    ):
        answers.ask("GET", path)
    answers.ask("GET", "/v1/responses/resp_of_nobody")
    answers.ask("POST", "/v1/chat/completions", b'{"model": "gpt-5-mini", "messages": "' + TEXT.encode())
    answers.ask("POST", "/v1/chat/completions", {"model": "gpt-5-mini", "messages": [{"role": TEXT, "content": 1}]})


def test_no_canary_is_anywhere(cluster: Cluster, directory: Path) -> None:
    answers = Answers(cluster)
    with Bus(cluster.nats.url) as bus:
        make_calls(answers)
        cluster.nats.kill()
        answers.chat()
        answers.ask("GET", "/status")
        cluster.nats.start()
        for service in cluster.services.values():
            service.wait_ready()
        make_calls(answers)
        until(lambda: answers_recorded(cluster) >= answers.statuses.count(200) / 4, seconds=30, what="records in")
        search_processes(cluster)
        table = repr([rows(cluster.nats.url, f"SELECT * FROM {name}") for name in ("calls", "handoffs")])
        for place in ("spool", "clickhouse"):
            assert_private(directory / place)
    assert 200 in answers.statuses and 502 in answers.statuses and 400 in answers.statuses
    for service in cluster.services.values():
        service.stop()

    own = (OWN_KEY, REFUSED_KEY, REFUSED_KEY[:15], NATS_PASSWORD, SECRET)
    found = [value for value in own if value in answers.all]
    found += [value for value in (MCP,) if value in answers.errors]
    assert not found, "told to a client"
    assert not [value for value in (*own, BEARER, MCP) if value.encode() in bus.heard], "on the bus"
    assert not [value for value in (*own, BEARER, MCP, TEXT) if value in table], "in a table"
    for path, _ in tree(directory):
        if path.is_file() and path != directory / "secret" and path.name != "nats-server.conf":
            held = content(path)
            kept = [value for value in (*own, BEARER, MCP, TEXT) if value.encode() in held]
            assert not kept, f"in {path.relative_to(directory)}"


def answers_recorded(cluster: Cluster) -> int:
    found = rows(cluster.nats.url, "SELECT count() FROM calls")
    return int(found[0][0]) if found else 0


def search_processes(cluster: Cluster) -> None:
    """Only who needs a secret has it, and nobody on his command line."""
    secrets = (OWN_KEY, REFUSED_KEY, NATS_PASSWORD, SECRET, BEARER, MCP)
    pids = {name: service.process.pid for name, service in cluster.services.items()} | {"nats": cluster.nats.pid}
    needed = {"edge": {OWN_KEY, REFUSED_KEY, NATS_PASSWORD}, "nats": set()}
    for name, pid in pids.items():
        command = Path(f"/proc/{pid}/cmdline").read_text()
        environ = Path(f"/proc/{pid}/environ").read_text(errors="replace")
        assert not [value for value in secrets if value in command], name
        allowed = needed.get(name, {NATS_PASSWORD})
        assert not [value for value in secrets if value in environ and value not in allowed], name


def assert_private(folder: Path) -> None:
    """Fail for a file or a folder in which others may read or write."""
    assert len(list(tree(folder))) > 1
    assert open_to_others(folder) == {}
