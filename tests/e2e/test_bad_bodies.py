"""A body made to be slow to read delays no stream of another client, and costs the edge little memory."""

import http.client
import json
import threading
import time

import pytest

from tests.support.cluster import Cluster
from tests.support.samples import MODEL, user

MAX_GROWTH_SECONDS = 0.25
STREAM = {"model": MODEL, "messages": [user("[[words: 60]] [[pace: 20ms]]")], "stream": True}
KIB = 1024


def _headers(size: int) -> bytes:
    return b'{"model":"x","type":"mcp",' + b'"headers":{\\" ' * (size // 14)


BODIES = {
    "headers_32k": _headers(32 * KIB),
    "headers_64k": _headers(64 * KIB),
    "headers_1m": _headers(1024 * KIB),
    "open_headers": b'{"type":"mcp","headers":{' + b"a" * 4096 * KIB,
    "authorizations": b'{"model":"x","type":"mcp",' + b'"authorization":"\\\\' * (64 * KIB),
    "escapes": b'{"model":"nobody","messages":[{"role":"user","content":"' + b"\\u0061" * (512 * KIB) + b'"}]}',
    "tools": b'{"model":"nobody","messages":[],"x":"mcp","tools":[' + b"{}," * (400 * KIB) + b"{}]}",
    "members": b'{"model":"x","tools":[{"type":"mcp","authorization":"s",' + b'"a":0,' * (1024 * KIB) + b'"b":0}]}',
    "quotes": b'{"model":"x","messages":["mcp' + b'\\"' * (2048 * KIB) + b'"]}',
    "deep": b'{"model":"x","tools":' + b'[{"type":"mcp","tools":' * (128 * KIB),
}


SERVED = {"escapes"}


def longest_gap(cluster: Cluster) -> float:
    """Return the longest time between two events of a stream, in seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", cluster["edge"].port, timeout=60)
    try:
        headers = {"Authorization": "Bearer sk-stream", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(STREAM).encode(), headers)
        answer = connection.getresponse()
        assert answer.status == 200
        last, gap, ended = time.monotonic(), 0.0, False
        while line := answer.readline():
            if line.startswith(b"data: "):
                now = time.monotonic()
                gap, last = max(gap, now - last), now
                ended = ended or b"[DONE]" in line
        assert ended
        return gap
    finally:
        connection.close()


def post(cluster: Cluster, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", cluster["edge"].port, timeout=60)
    try:
        headers = {"Authorization": "Bearer sk-bad", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def alone(cluster: Cluster) -> float:
    """The longest gap of a stream beside nothing."""
    return longest_gap(cluster)


@pytest.mark.parametrize("name", BODIES)
def test_bad_body_holds_up_no_stream(cluster: Cluster, alone: float, name: str) -> None:
    over = threading.Event()
    answered: list[tuple[int, bytes]] = []

    def attack() -> None:
        while not over.is_set():
            answered.append(post(cluster, BODIES[name]))
            over.wait(0.1)

    attacker = threading.Thread(target=attack)
    attacker.start()
    try:
        beside = min(longest_gap(cluster) for _ in range(2))  # one run may fall on a busy moment of the machine
    finally:
        over.set()
        attacker.join()
    assert len(answered) > 1
    status, told = answered[0]
    assert status == (200 if name in SERVED else 400)
    assert status == 200 or set(json.loads(told)["error"]) == {"message", "type", "param", "code"}
    assert beside - alone <= MAX_GROWTH_SECONDS
