"""The state service or the bus is away when an answer ends: its turn is kept all the same, and what follows goes on."""

import signal
import stat
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import openai
import pytest

from tests.support.cluster import Cluster, running_cluster
from tests.support.samples import MODEL, user
from tests.support.wait import until

AWAY_SECONDS = 6.0
SLOW = "recognisable text [[words: 40]] [[pace: 20ms]]"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outbox")


@pytest.fixture(scope="module")
def breakable(directory: Path) -> Iterator[Cluster]:
    """A cluster of this module's own; every test mends what it breaks."""
    with running_cluster(directory, analytics=False) as cluster:
        yield cluster


@pytest.fixture
def asker(breakable: Cluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=breakable.base_url, api_key=f"sk-{uuid4()}", max_retries=0) as client:
        yield client


def kept(directory: Path) -> list[Path]:
    return sorted((directory / "spool").rglob("*.sealed"))


def waiting(cluster: Cluster) -> float:
    with urllib.request.urlopen(f"{cluster.url}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("parley_outbox_waiting "))


@pytest.mark.parametrize(
    ("victim", "fault", "edge_dies"),
    [
        ("state", "killed", False),
        ("state", "killed", True),
        ("state", "frozen", True),
        ("nats", "killed", False),
        ("nats", "killed", True),
        ("nats", "frozen", False),
    ],
)
def test_delta_follows_the_turn_that_ended_while_nobody_kept_it(
    breakable: Cluster, asker: openai.OpenAI, directory: Path, victim: str, fault: str, edge_dies: bool
) -> None:
    name = f"recognisable-{uuid4()}"
    headers = {"x-parley-conversation": name}
    asker.chat.completions.create(model=MODEL, messages=[user("One")], extra_headers=headers)
    stream = asker.chat.completions.create(
        model=MODEL,
        messages=[user(SLOW)],
        stream=True,
        extra_headers={**headers, "x-parley-history": "delta"},
    )
    killed = breakable.nats if victim == "nats" else breakable[victim]
    finish = None
    for number, chunk in enumerate(stream):
        if number == 3:
            killed.kill() if fault == "killed" else killed.send(signal.SIGSTOP)
        finish = chunk.choices[0].finish_reason if chunk.choices else finish
    assert finish == "stop"
    second = breakable.simulator.ledger()[-1]["response_id"]
    path = kept(directory)
    assert len(path) == 1, "on disk before the client had the end"
    ended = time.monotonic()
    assert stat.S_IMODE(path[0].stat().st_mode) == 0o600
    sealed = path[0].read_bytes()
    assert b"recognisable" not in sealed and second.encode() not in sealed
    if edge_dies:
        breakable["edge"].kill()
    time.sleep(AWAY_SECONDS - (time.monotonic() - ended))
    killed.start() if fault == "killed" else killed.send(signal.SIGCONT)
    if edge_dies:
        breakable["edge"].start()
    for service in breakable.services.values():
        service.wait_ready()
    until(lambda: waiting(breakable) == 0, seconds=15, what="an empty outbox")
    assert kept(directory) == []
    asker.chat.completions.create(
        model=MODEL, messages=[user("Three")], extra_headers={**headers, "x-parley-history": "delta"}
    )
    assert breakable.simulator.ledger()[-1]["previous_response_id"] == second
