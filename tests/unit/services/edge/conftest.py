"""Closes what a test has opened."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.services.edge.fakes import LIVE


@pytest.fixture(autouse=True)
async def closed_upstreams() -> AsyncIterator[None]:
    yield
    while LIVE:
        await LIVE.pop().close()
