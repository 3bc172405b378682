"""One database for all of these tests: the embedded engine opens one directory in a process's life."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from libs.schemas.config import Analytics
from services.analytics.clickhouse import connect

SERVER_IMAGE = "clickhouse/clickhouse-server:26.8"


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Analytics]:
    settings = Analytics(chdb_path=str(tmp_path_factory.mktemp("clickhouse")), query_seconds=2.0)
    keeper = connect(settings)  # the engine stays open between the tests
    yield settings
    keeper.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Analytics]:
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        pytest.skip("no Docker engine runs here: nothing was tested against a ClickHouse server")
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HttpWaitStrategy

    container = (
        DockerContainer(SERVER_IMAGE)
        .with_exposed_ports(8123)
        .with_env("CLICKHOUSE_USER", "parley")
        .with_env("CLICKHOUSE_PASSWORD", "secret")
        .waiting_for(HttpWaitStrategy(8123, "/ping"))
    )
    with container:
        address = f"{container.get_container_host_ip()}:{container.get_exposed_port(8123)}"
        yield Analytics(clickhouse_url=f"http://parley:secret@{address}", query_seconds=2.0)


@pytest.fixture(params=["embedded", "server"])
def settings(request: pytest.FixtureRequest) -> Analytics:
    """Settings with a database of the test's own."""
    base: Analytics = request.getfixturevalue(request.param)
    return msgspec.structs.replace(base, clickhouse_database=f"test_{uuid4().hex[:8]}")
