"""The ASGI application: which endpoint answers which method and path, and how an error becomes an answer.

A bare callable rather than a framework's: streams are sent without anything around `send`.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.local.simulator import chat, errors, relayed, responses
from deploy.local.simulator.exchange import ClientLeft, Exchange
from deploy.local.simulator.ledger import Ledger
from deploy.local.simulator.world import World

_log = logging.getLogger("simulator")
_LEDGER_PATH = "/_simulator/ledger"
_LEDGER_LIMIT = 100

Endpoint = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Route:
    """An endpoint takes the exchange, the world and the path's groups."""

    method: str
    path: re.Pattern[str]
    endpoint: Endpoint


def _route(method: str, path: str, endpoint: Endpoint) -> Route:
    return Route(method, re.compile(path.replace("{id}", "([^/]+)")), endpoint)


ROUTES = (
    _route("POST", "/v1/responses", responses.create),
    _route("GET", "/v1/responses/{id}", responses.retrieve),
    _route("DELETE", "/v1/responses/{id}", responses.delete),
    _route("GET", "/v1/responses/{id}/input_items", responses.input_items),
    _route("POST", "/v1/chat/completions", chat.create),
    _route("GET", "/v1/models", relayed.list_models),
    _route("GET", "/v1/models/{id}", relayed.retrieve_model),
    _route("POST", "/v1/files", relayed.upload_file),
    _route("GET", "/v1/files", relayed.list_files),
    _route("POST", "/v1/embeddings", relayed.create_embeddings),
)


def create_app(world: World | None = None) -> ASGIApp:
    """The simulator with a memory of its own, or the given one."""
    remembered = world or World()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"only http is served, not {scope['type']!r}")
        # The ledger's own readers are not requests under test: they leave no trace in it.
        if scope["path"] == _LEDGER_PATH:
            await _serve_ledger(Exchange(scope, receive, send, Ledger()), remembered.ledger)
        else:
            await _serve(Exchange(scope, receive, send, remembered.ledger), remembered)

    return app


async def _serve(exchange: Exchange, world: World) -> None:
    try:
        endpoint, groups = _find(exchange)
        await endpoint(exchange, world, *groups)
    except errors.ApiError as error:
        await exchange.answer(error.status, error.body(), error.headers)
    except ClientLeft:
        exchange.entry.disconnected = True
    except Exception:
        _log.exception("the simulator failed on %s %s", exchange.method, exchange.path)
        if exchange.entry.status is None:
            await exchange.answer(500, errors.scripted(500, None, None).body())


def _find(exchange: Exchange) -> tuple[Endpoint, tuple[Any, ...]]:
    for route in ROUTES:
        match = route.path.fullmatch(exchange.path) if route.method == exchange.method else None
        if match is not None:
            return route.endpoint, match.groups()
    raise errors.invalid_url(exchange.method, exchange.path)


async def _serve_ledger(exchange: Exchange, ledger: Ledger) -> None:
    """`GET` the latest requests, oldest first (`?limit=`, 100 unless given); `DELETE` forgets them."""
    if exchange.method == "DELETE":
        ledger.clear()
    limit = parse_qs(exchange.query).get("limit", [""])[-1]
    await exchange.answer(200, ledger.latest(int(limit) if limit.isdecimal() else _LEDGER_LIMIT))
