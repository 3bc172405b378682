"""The disk of the spool is full: answers go on, what cannot be written is counted, and with room all is well again."""

import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.support.cluster import Cluster, running_cluster
from tests.support.queries import rows
from tests.support.samples import MODEL, user
from tests.support.wait import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk of this module's own."""
    path = tmp_path_factory.mktemp("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)]).returncode:
        pytest.skip("nothing may be mounted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory, disk: Path) -> Iterator[Cluster]:
    environ = {"PARLEY_SPOOL_DIR": str(disk / "spool")}
    with running_cluster(tmp_path_factory.mktemp("cramped"), environ=environ) as cluster:
        yield cluster


def dropped(cluster: Cluster) -> float:
    with urllib.request.urlopen(f"{cluster.url}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("parley_spool_dropped_total "))


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_full_disk_costs_the_records_of_its_time(cramped: Cluster, disk: Path) -> None:
    with openai.OpenAI(base_url=cramped.base_url, api_key="sk-x", max_retries=0) as client:

        def ask() -> str:
            raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[user("Hi")])
            return raw.headers["x-request-id"]

        def recorded(asked: list[str]) -> dict[str, int]:
            wanted = ", ".join(f"'{request_id}'" for request_id in asked)
            sql = f"SELECT request_id, count() FROM calls WHERE request_id IN ({wanted}) GROUP BY request_id"
            return {row[0]: row[1] for row in rows(cramped.nats.url, sql)}

        before = [ask() for _ in range(5)]
        until(lambda: recorded(before) == dict.fromkeys(before, 1), seconds=20, what="records")
        fill(disk / "filler")
        meanwhile = [ask() for _ in range(20)]  # all of them are answered
        lost = dropped(cramped)
        assert lost >= 20, "the last block that was not full may take a few"
        (disk / "filler").unlink()
        after = [ask() for _ in range(5)]
        until(lambda: recorded(after) == dict.fromkeys(after, 1), seconds=20, what="records again")
        assert dropped(cramped) == lost
        cramped["edge"].kill()
        cramped["edge"].start()
        last = ask()
        until(lambda: recorded([last]) == {last: 1}, seconds=20, what="records after a kill")
        found = recorded([*before, *meanwhile, *after])
        assert set(found.values()) == {1}
        assert set(found) >= {*before, *after}
