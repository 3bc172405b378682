"""What a record calls things: the client's own word for a model, and never more of anything than a table can use."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.cluster import Cluster, running_cluster
from tests.support.queries import rows
from tests.support.samples import user
from tests.support.simulator import started_simulator
from tests.support.wait import until

CONFIG = """
[[upstream]]
name = "one"
base_url = "{url}"
auth = "client"
models = ["*"]
aliases = {{ "pet" = "gpt-5-mini", "old-pet" = "gpt-4o-mini" }}
model_rules = [{{ match = "gpt-4o*", bridge = "bypass" }}]
"""
LONG = "m " * 3_500_000


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("named")
    with started_simulator() as simulator:
        (directory / "parley.toml").write_text(CONFIG.format(url=simulator.base_url))
        with running_cluster(directory, environ={"PARLEY_CONFIG": str(directory / "parley.toml")}) as cluster:
            yield cluster


def recorded(cluster: Cluster, request_id: str) -> tuple[Any, ...]:
    found: list[tuple[Any, ...]] = []

    def there() -> bool:
        sql = f"SELECT model_requested, model, outcome FROM calls WHERE request_id = '{request_id}'"
        found[:] = map(tuple, rows(cluster.nats.url, sql))
        return bool(found)

    until(there, seconds=20, what="the record")
    (row,) = found
    return row


def post(cluster: Cluster, path: str, body: Any) -> str:
    """Ask, whatever the answer; return the request's id."""
    request = urllib.request.Request(
        f"{cluster.base_url}/{path}",
        json.dumps(body).encode(),
        {"authorization": "Bearer sk-x", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.headers["x-request-id"])
    except urllib.error.HTTPError as error:
        with error:
            return str(error.headers["x-request-id"])


@pytest.mark.parametrize("model", ["pet", "old-pet"])
@pytest.mark.parametrize("stream", [False, True])
def test_record_holds_what_was_asked_for(named: Cluster, model: str, stream: bool) -> None:
    with openai.OpenAI(base_url=named.base_url, api_key="sk-x", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=[user("Hi")], stream=stream)
        if stream:
            list(raw.parse())
        requested, answered, outcome = recorded(named, raw.headers["x-request-id"])
        assert (requested, outcome) == (model, "ok")
        assert answered and answered != model
    request_id = post(named, "responses", {"model": model, "input": "Hi"})
    assert recorded(named, request_id)[0] == model


def test_names_of_megabytes_cost_no_record(named: Cluster) -> None:
    asked = [
        post(named, "chat/completions", {"model": LONG[:1_000_000], "messages": [user("Hi")]}),
        post(named, "chat/completions", {"model": f"gpt-4o {LONG}", "messages": [user("Hi")]}),
        post(named, "responses", {"model": LONG, "input": "Hi"}),
    ]
    assert [recorded(named, request_id)[0] for request_id in asked] == [
        LONG[:256],
        f"gpt-4o {LONG}"[:256],
        LONG[:256],
    ]
    assert all(len(line) < 20_000 for name in named.services for line in named[name].logged().splitlines())
