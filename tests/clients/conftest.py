"""One cluster for all clients, and one run of each client's script in it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.clients import runs
from tests.clients.clients import Client
from tests.clients.environments import why_not
from tests.clients.runs import Ran
from tests.clients.stage import running_stage
from tests.support.cluster import Cluster, running_cluster
from tests.support.simulator import Simulator


@pytest.fixture(scope="session")
def stage() -> Iterator[Simulator]:
    with running_stage() as stage:
        yield stage


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, stage: Simulator) -> Iterator[Cluster]:
    environ = {"OPENAI_BASE_URL": stage.base_url, "OPENAI_API_KEY": ""}
    with running_cluster(tmp_path_factory.mktemp("cluster"), environ=environ, analytics=False) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def run(cluster: Cluster, stage: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Client], Ran]:
    """Run a client, the first time it is asked for."""
    known: dict[str, Ran] = {}

    def run(client: Client) -> Ran:
        if client.id not in known:
            known[client.id] = runs.run(client, cluster.base_url, stage, tmp_path_factory.mktemp("client"))
        return known[client.id]

    return run


@pytest.fixture
def ran(request: pytest.FixtureRequest, record_property: Callable[[str, Any], None]) -> Ran:
    """The run of the client that the test is about; skips when it is not installed."""
    client, scenario = request.param
    reason = why_not(client)
    if reason:
        pytest.skip(reason)
    record_property("client", client.id)
    record_property("scenario", scenario)
    # Only now: without an installed client there is no need of a cluster.
    run: Callable[[Client], Ran] = request.getfixturevalue("run")
    ran = run(client)
    record_property("version", ran.report["version"])
    return ran
