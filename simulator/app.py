"""The ASGI application: which endpoint answers which method and path, and how an error becomes an answer.

A bare callable rather than a framework's: streams are sent without anything around `send`.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from simulator.endpoints import (
    chat_completions,
    compact,
    control,
    conversations,
    embeddings,
    files,
    input_tokens,
    kept_responses,
    models,
    responses,
)
from simulator.endpoints.memory import Memory
from simulator.http.exchange import ClientLeft, Exchange
from simulator.http.ledger import Ledger
from simulator.rules.book import refuse
from simulator.wire import errors

_log = logging.getLogger("simulator")

Endpoint = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Route:
    """An endpoint takes the exchange, the memory and the path's groups."""

    method: str
    path: re.Pattern[str]
    endpoint: Endpoint


def _route(method: str, path: str, endpoint: Endpoint) -> Route:
    return Route(method, re.compile(path.replace("{id}", "([^/]+)")), endpoint)


ROUTES = (
    _route("POST", "/v1/responses", responses.create),
    _route("POST", "/v1/responses/compact", compact.create),
    _route("POST", "/v1/responses/input_tokens", input_tokens.count),
    _route("GET", "/v1/responses/{id}", kept_responses.retrieve),
    _route("DELETE", "/v1/responses/{id}", kept_responses.delete),
    _route("POST", "/v1/responses/{id}/cancel", kept_responses.cancel),
    _route("GET", "/v1/responses/{id}/input_items", kept_responses.input_items),
    _route("POST", "/v1/conversations", conversations.create),
    _route("GET", "/v1/conversations/{id}", conversations.retrieve),
    _route("POST", "/v1/conversations/{id}", conversations.update),
    _route("DELETE", "/v1/conversations/{id}", conversations.delete),
    _route("POST", "/v1/conversations/{id}/items", conversations.add_items),
    _route("GET", "/v1/conversations/{id}/items", conversations.list_items),
    _route("GET", "/v1/conversations/{id}/items/{id}", conversations.retrieve_item),
    _route("DELETE", "/v1/conversations/{id}/items/{id}", conversations.delete_item),
    _route("POST", "/v1/chat/completions", chat_completions.create),
    _route("GET", "/v1/models", models.list_all),
    _route("GET", "/v1/models/{id}", models.retrieve),
    _route("POST", "/v1/files", files.upload),
    _route("GET", "/v1/files", files.list_all),
    _route("POST", "/v1/embeddings", embeddings.create),
)


def create_app(memory: Memory | None = None) -> ASGIApp:
    """The simulator with a memory of its own, or the given one."""
    remembered = memory or Memory()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"only http is served, not {scope['type']!r}")
        # What tests ask of the simulator itself is no request under test: it leaves no trace in the ledger.
        is_control = scope["path"].startswith(control.PREFIX)
        await _serve(Exchange(scope, receive, send, Ledger() if is_control else remembered.ledger), remembered)

    return app


async def _serve(exchange: Exchange, memory: Memory) -> None:
    try:
        endpoint, groups = _find(exchange)
        await endpoint(exchange, memory, *groups)
    except errors.ApiError as error:
        exchange.entry.rule = error.rule or None
        await exchange.answer(error.status, error.body(), error.headers)
    except ClientLeft:
        exchange.entry.disconnected = True
    except Exception:
        _log.exception("the simulator failed on %s %s", exchange.method, exchange.path)
        if exchange.entry.status is None:
            await exchange.answer(500, errors.scripted(500, None, None).body())


def _find(exchange: Exchange) -> tuple[Endpoint, tuple[Any, ...]]:
    if exchange.path.startswith(control.PREFIX):
        return control.serve, ()
    for route in ROUTES:
        match = route.path.fullmatch(exchange.path) if route.method == exchange.method else None
        if match is not None:
            return route.endpoint, match.groups()
    raise refuse("invalid_url", method=exchange.method, path=exchange.path)
