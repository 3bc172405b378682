"""Idle connections use up the edge's file descriptors: calls that go on are recorded all the same."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import openai
import pytest

from tests.support.cluster import Cluster, running_cluster
from tests.support.queries import rows
from tests.support.samples import MODEL, user
from tests.support.wait import until

LIMIT = 96
CALLS = 30


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    wrapped = {"edge": ("-m", "tests.support.limited", str(LIMIT))}
    with running_cluster(tmp_path_factory.mktemp("limited"), wrapped=wrapped) as cluster:
        yield cluster


def used(cluster: Cluster) -> int:
    return len(list(Path(f"/proc/{cluster['edge'].process.pid}/fd").iterdir()))


def test_records_are_exact_while_connections_hold_every_descriptor(limited: Cluster) -> None:
    asked = []
    with ExitStack() as stack:
        client = stack.enter_context(openai.OpenAI(base_url=limited.base_url, api_key="sk-x", max_retries=0))

        def ask() -> None:
            raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[user("Hi")])
            asked.append(raw.headers["x-request-id"])

        ask()  # its connections, to the edge and upstream, are used again
        for _ in range(2 * LIMIT):
            idle = stack.enter_context(socket.socket())
            idle.settimeout(5)
            idle.connect(("127.0.0.1", limited["edge"].port))
        until(lambda: used(limited) >= LIMIT - 1, what="all descriptors in use")
        for _ in range(CALLS):
            ask()
        assert used(limited) >= LIMIT - 1
    wanted = ", ".join(f"'{request_id}'" for request_id in asked)
    sql = f"SELECT request_id, count() FROM calls WHERE outcome = 'ok' AND request_id IN ({wanted}) GROUP BY request_id"

    def exact() -> bool:
        return sorted(map(tuple, rows(limited.nats.url, sql))) == sorted((request_id, 1) for request_id in asked)

    until(exact, seconds=30, what="one row of each call")
