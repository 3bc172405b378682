"""Any other /v1 path: relayed to the upstream that owns the id in it, else the first; bodies streamed both ways."""

import re
from collections.abc import AsyncIterator
from urllib.parse import unquote

from libs.schemas.config import Upstream
from services.edge import paths, state
from services.edge.edge import Edge
from services.edge.exchange import Exchange
from services.edge.passthrough import forwarded_headers, pass_through
from services.edge.tenants import Caller

_OWNED = re.compile(r"/(?:responses|conversations)/([^/?]+)")


class RelayEndpoint:
    """The endpoint of everything under /v1 that Parley does not serve itself."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. Raises TranslationError."""
        edge = self._edge
        caller = edge.tenants.identify(exchange.headers)
        path = _path(exchange)
        upstream = await self._upstream(exchange, caller, path)
        headers = forwarded_headers(edge, exchange, caller, upstream)
        body = None
        if exchange.headers.get("content-length", "0") != "0" or "transfer-encoding" in exchange.headers:
            body = _body(exchange, edge.config.edge.body_idle_timeout_seconds)
            if "content-length" in exchange.headers:
                headers["content-length"] = exchange.headers["content-length"]
        else:
            exchange.watch()
        await pass_through(edge, exchange, upstream, path=path, headers=headers, body=body)

    async def _upstream(self, exchange: Exchange, caller: Caller, path: str) -> Upstream:
        edge = self._edge
        found = _OWNED.match(path)
        owner = await state.owner(edge, exchange, caller, unquote(found[1])) if found else None
        return owner or edge.config.upstream[0]


async def _body(exchange: Exchange, idle_seconds: float) -> AsyncIterator[bytes]:
    async for chunk in exchange.body_chunks(idle_seconds):
        yield chunk
    exchange.watch()


def _path(exchange: Exchange) -> str:
    """Return the path below the upstream's base URL, and the query as the client wrote it."""
    path = paths.below(exchange.scope)
    query: str = exchange.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path
