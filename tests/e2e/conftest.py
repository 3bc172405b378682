"""One cluster for the tests that leave it whole; those that break one start their own."""

from collections.abc import Iterator

import openai
import pytest

from tests.support.cluster import Cluster, running_cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    """A client with a key of its own: each test is a tenant."""
    with openai.OpenAI(base_url=cluster.base_url, api_key=f"sk-{request.node.name}", max_retries=0) as client:
        yield client
