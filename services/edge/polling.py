"""Waits for an answer that the upstream works on in the background (translation reference B.4)."""

import asyncio

import msgspec

from libs.schemas.config import Upstream
from libs.schemas.halves import decode
from services.edge import paths
from services.edge.edge import Edge
from services.edge.exchange import Exchange
from services.edge.tenants import Caller
from services.edge.upstream import UpstreamTruncated, read_limited

POLL_SECONDS = (0.5, 1.0, 2.0, 4.0)  # the last repeats
_LIMIT = 64 * 1024 * 1024
_UNSETTLED = ("queued", "in_progress")


class _Status(msgspec.Struct):
    status: str = ""


_DECODER = msgspec.json.Decoder(_Status)


async def settled(edge: Edge, exchange: Exchange, upstream: Upstream, caller: Caller, response_id: str) -> bytes:
    """Return the body of the response once it is neither queued nor in progress.

    The watch over live answers ends the wait when it takes too long. Raises UpstreamTruncated when the
    response cannot be read, and what a request raises.
    """
    headers = edge.upstreams.auth_headers(upstream, caller)
    segment = paths.to_segment(response_id, slashes=True)
    if segment is None:
        raise UpstreamTruncated
    path, tries = f"/responses/{segment}", 0
    while True:
        await asyncio.sleep(POLL_SECONDS[min(tries, len(POLL_SECONDS) - 1)])
        tries += 1
        async with edge.upstreams.request(upstream, "GET", path, headers=headers) as answer:
            body = await read_limited(answer, _LIMIT)
        try:
            status = decode(_DECODER, body).status
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UpstreamTruncated from error
        if answer.status != 200 or not status:
            raise UpstreamTruncated
        if status not in _UNSETTLED:
            return body
