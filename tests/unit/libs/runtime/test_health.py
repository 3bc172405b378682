"""A worker's health, over HTTP."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import pytest

from libs.runtime.health import HealthServer, Readiness
from libs.schemas.config import Health


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
async def server(readiness: Readiness) -> AsyncIterator[HealthServer]:
    server = HealthServer(Health(), readiness)
    await server.start()
    yield server
    await server.stop()


async def get(server: HealthServer, path: str) -> tuple[int, bytes]:
    def fetch() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    return await asyncio.to_thread(fetch)


async def holds() -> bool:
    return True


async def fails() -> bool:
    return False


async def test_healthz_answers_while_the_process_runs(server: HealthServer, readiness: Readiness) -> None:
    readiness.add("nats", fails)
    assert (await get(server, "/healthz"))[0] == 200


async def test_readyz_names_what_fails(server: HealthServer, readiness: Readiness) -> None:
    readiness.add("nats", holds)
    assert await get(server, "/readyz") == (200, b'{"nats":true}')
    readiness.add("database", fails)
    status, body = await get(server, "/readyz")
    assert (status, json.loads(body)) == (503, {"nats": True, "database": False})


async def test_readyz_fails_on_drain(server: HealthServer, readiness: Readiness) -> None:
    readiness.draining = True
    assert (await get(server, "/readyz"))[0] == 503


async def test_metrics_are_in_the_text_format(server: HealthServer) -> None:
    status, body = await get(server, "/metrics")
    assert status == 200
    assert b"# TYPE parley_bus_calls_total counter" in body


async def test_other_paths_are_not_found(server: HealthServer) -> None:
    assert (await get(server, "/"))[0] == 404
