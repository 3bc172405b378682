"""Deletes responses that an upstream keeps, and that nothing of Parley's refers to any longer."""

import asyncio

from libs.runtime.logs import Log
from libs.schemas.bus.state import StoredResponse
from libs.translate.errors import TranslationError
from services.edge.edge import Edge
from services.edge.http import paths
from services.edge.http.exchange import Exchange
from services.edge.tenants import Caller

_DELETIONS = 8  # at once, of one conversation
_DELETION_SECONDS = 10.0
_GONE = (200, 202, 204, 404)

log = Log("parley.edge")


async def delete_upstream(edge: Edge, exchange: Exchange, caller: Caller, stored: list[StoredResponse]) -> int:
    """Delete responses where they are stored; return how many could not be, which is logged."""
    room = asyncio.Semaphore(_DELETIONS)

    async def deleted(response: StoredResponse) -> bool:
        async with room:
            return await _deleted(edge, caller, response)

    done = await asyncio.gather(*map(deleted, stored))
    failures = done.count(False)
    if failures:
        log.warning("responses_not_deleted", request_id=exchange.request_id, failures=failures, responses=len(done))
    return failures


async def _deleted(edge: Edge, caller: Caller, response: StoredResponse) -> bool:
    upstream = next((one for one in edge.config.upstream if one.name == response.upstream), None)
    segment = paths.to_segment(response.response_id, slashes=True)
    if upstream is None or segment is None:
        return False
    headers = edge.upstreams.auth_headers(upstream, caller)
    path = f"/responses/{segment}"
    try:
        async with (
            asyncio.timeout(_DELETION_SECONDS),
            edge.upstreams.request(upstream, "DELETE", path, headers=headers) as answer,
        ):
            return answer.status in _GONE
    except (TranslationError, TimeoutError):
        return False
