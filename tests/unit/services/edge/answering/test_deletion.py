"""Deletes responses where they are stored, and counts those that could not be."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from libs.schemas.bus.state import StoredResponse
from libs.schemas.config import Upstream
from services.edge.answering import deletion
from services.edge.answering.deletion import delete_upstream
from services.edge.errors import UpstreamUnreachable
from tests.unit.services.edge.fakes import Stage


def stored(*ids: str, upstream: str = "two") -> list[StoredResponse]:
    return [StoredResponse(upstream=upstream, response_id=id_) for id_ in ids]


@pytest.mark.parametrize("status", [200, 202, 204, 404])
async def test_response_that_is_gone_is_deleted(status: int, caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage({}, statuses={"/responses/resp_1": status})
    assert await delete_upstream(stage.served(), stored("resp_1")) == 0
    assert stage.upstreams.asked == [("two", "DELETE", "/responses/resp_1")]
    assert "responses_not_deleted" not in caplog.text


async def test_those_that_could_not_be_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage({}, statuses={"/responses/resp_2": 500, "/responses/resp_3": 401})
    assert await delete_upstream(stage.served(), stored("resp_1", "resp_2", "resp_3")) == 2
    assert caplog.text.count("responses_not_deleted") == 1


async def test_what_no_upstream_can_be_asked_for_is_not_deleted() -> None:
    stage = Stage({})
    assert await delete_upstream(stage.served(), stored("resp_1", upstream="gone")) == 1
    assert await delete_upstream(stage.served(), stored("..", "a?b")) == 2
    assert stage.upstreams.asked == []
    assert await delete_upstream(stage.served(), stored("a/b c")) == 0  # a gateway's id may hold a slash
    assert stage.upstreams.asked == [("two", "DELETE", "/responses/a%2Fb%20c")]


async def test_it_is_deleted_with_the_key_that_stored_it() -> None:
    stage, sent = Stage({}), []

    def auth_headers(upstream: Upstream, *_: object) -> dict[str, str]:
        sent.append(upstream.name)
        return {}

    stage.upstreams.auth_headers = auth_headers  # type: ignore[method-assign,assignment]
    assert await delete_upstream(stage.served(), [*stored("resp_1"), *stored("resp_2", upstream="one")]) == 0
    assert sent == ["two", "one"]


async def test_upstream_that_is_silent_or_away_deletes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "_DELETION_SECONDS", 0.01)
    stage = Stage({})

    @asynccontextmanager
    async def request(_: Upstream, __: str, path: str, *, headers: Mapping[str, str]) -> AsyncIterator[Any]:
        if path.endswith("away"):
            raise UpstreamUnreachable
        await asyncio.Event().wait()
        yield

    stage.upstreams.request = request  # type: ignore[method-assign,assignment]
    assert await delete_upstream(stage.served(), stored("resp_away", "resp_silent")) == 2


async def test_only_a_few_are_deleted_at_once() -> None:
    stage, real = Stage({}), Stage({}).upstreams.request
    now = most = 0

    @asynccontextmanager
    async def request(*given: Any, **options: Any) -> AsyncIterator[Any]:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        async with real(*given, **options) as answer:
            yield answer
        now -= 1

    stage.upstreams.request = request  # type: ignore[method-assign]
    assert await delete_upstream(stage.served(), stored(*(f"resp_{n}" for n in range(20)))) == 0
    assert most == 8
