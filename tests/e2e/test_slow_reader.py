"""A client that does not read holds up nobody, costs no memory, and is cut off in the end."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, running_cluster
from tests.support.samples import MODEL, user
from tests.support.wait import until

ENDLESS = "[[words: 3000000]]"  # far more than all buffers on the way hold


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    environ = {"PARLEY_WRITE_TIMEOUT_SECONDS": "2"}
    with running_cluster(tmp_path_factory.mktemp("impatient"), environ=environ, analytics=False) as cluster:
        yield cluster


def memory_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_reader_that_stalls_is_cut_off(impatient: Cluster, path: str) -> None:
    content = {"messages": [user(ENDLESS)]} if path.endswith("completions") else {"input": ENDLESS}
    body = json.dumps({"model": MODEL, "stream": True, **content}).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-length: {len(body)}\r\n\r\n"
    before = memory_bytes(impatient["edge"].process.pid)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", impatient["edge"].port))
        client.sendall(head.encode() + body)
        assert client.recv(100).startswith(b"HTTP/1.1 200")

        def upstream_closed() -> bool:
            entry = impatient.simulator.ledger()[-1]
            return entry["path"] == "/v1/responses" and bool(entry["disconnected"])

        until(upstream_closed, seconds=20, what="the upstream call closed")
        assert memory_bytes(impatient["edge"].process.pid) - before < 20_000_000
    assert impatient["edge"].is_ready()
