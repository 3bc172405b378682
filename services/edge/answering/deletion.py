"""Deletes responses that an upstream keeps, and that nothing of Parley's refers to any longer."""

import asyncio

from libs.runtime.logs import Log
from libs.schemas.bus.state import StoredResponse
from libs.translate.errors import TranslationError
from services.edge.http import paths
from services.edge.served import ServedRequest

_DELETIONS = 8  # at once, of one conversation
_DELETION_SECONDS = 10.0
_GONE = (200, 202, 204, 404)

log = Log("parley.edge")


async def delete_upstream(served: ServedRequest, stored: list[StoredResponse]) -> int:
    """Delete responses where they are stored; return how many could not be, which is logged."""
    room = asyncio.Semaphore(_DELETIONS)

    async def deleted(response: StoredResponse) -> bool:
        async with room:
            return await _deleted(served, response)

    done = await asyncio.gather(*map(deleted, stored))
    failures = done.count(False)
    if failures:
        log.warning("responses_not_deleted", request_id=served.request_id, failures=failures, responses=len(done))
    return failures


async def _deleted(served: ServedRequest, response: StoredResponse) -> bool:
    edge = served.edge
    upstream = next((one for one in edge.config.upstream if one.name == response.upstream), None)
    segment = paths.to_segment(response.response_id, slashes=True)
    if upstream is None or segment is None:
        return False
    headers = served.auth_headers(upstream)
    path = f"/responses/{segment}"
    try:
        async with (
            asyncio.timeout(_DELETION_SECONDS),
            edge.upstreams.request(upstream, "DELETE", path, headers=headers) as answer,
        ):
            return answer.status in _GONE
    except (TranslationError, TimeoutError):
        return False
