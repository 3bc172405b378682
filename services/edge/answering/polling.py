"""Waits for an answer that the upstream works on in the background (docs/mapping.md#response-status)."""

import asyncio

import msgspec

from libs.runtime.backoff import Backoff
from libs.runtime.logs import Log
from libs.schemas.config import Upstream
from libs.schemas.wire.surrogates import read
from libs.translate.answer.finish import is_unfinished
from libs.translate.errors import TranslationError
from services.edge.errors import UpstreamMalformed, UpstreamUnreachable
from services.edge.http import paths
from services.edge.served import ServedRequest
from services.edge.upstreams.client import MAX_RESPONSE_BYTES, read_limited

FIRST_POLL_SECONDS, LAST_POLL_SECONDS = 0.5, 4.0
MAX_FAILURES = 5  # in a row: the answer was paid for, and one bad moment of the upstream must not lose it
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504})

log = Log("parley.edge")


class _Status(msgspec.Struct):
    status: str = ""


_DECODER = msgspec.json.Decoder(_Status)


async def settled(served: ServedRequest, upstream: Upstream, response_id: str) -> bytes:
    """Return the body of the response once it is neither queued nor in progress.

    The watch over live answers ends the wait when it takes too long. Raises UpstreamMalformed when the
    response cannot be read, and what a request raises.
    """
    headers = served.auth_headers(upstream)
    segment = paths.to_segment(response_id, slashes=True)
    if segment is None:
        raise UpstreamMalformed
    path, backoff, failures = f"/responses/{segment}", Backoff(FIRST_POLL_SECONDS, LAST_POLL_SECONDS), 0
    while True:
        await asyncio.sleep(backoff.next())
        try:
            async with served.edge.upstreams.request(upstream, "GET", path, headers=headers) as answer:
                transient = answer.status in _TRANSIENT
                body = b"" if transient else await read_limited(answer, MAX_RESPONSE_BYTES)
        except (UpstreamUnreachable, UpstreamMalformed) as error:
            failures = _failed_again(served, failures, error)
            continue
        if transient:
            failures = _failed_again(served, failures, UpstreamUnreachable())
            continue
        failures = 0
        polled = read(_DECODER, body)
        if answer.status != 200 or polled is None or not polled.status:
            raise UpstreamMalformed
        if not is_unfinished(polled.status):
            return body


def _failed_again(served: ServedRequest, before: int, error: TranslationError) -> int:
    """Return how many polls failed in a row. Raises `error` where they are too many."""
    log.warning("poll_failed", request_id=served.request_id, failures=before + 1, code=error.error.code)
    if before + 1 >= MAX_FAILURES:
        raise error
    return before + 1
