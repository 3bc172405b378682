"""The edge as one ASGI application: which path is whose.

Starlette routes what is not a model call. Those are dispatched before it, for its middleware wraps
`send` and would cost on every event of every stream.
"""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.runtime import metrics
from libs.runtime.health import Readiness
from libs.schemas.wire.errors import ErrorBody
from services.edge import failures
from services.edge.edge import Edge
from services.edge.http import paths
from services.edge.http.exchange import Exchange, error_body, new_request_id
from services.edge.surfaces.chat import ChatEndpoint
from services.edge.surfaces.conversations import PREFIX, ConversationsEndpoint
from services.edge.surfaces.convert import ConvertEndpoint
from services.edge.surfaces.models import ModelsEndpoint
from services.edge.surfaces.relay import RelayEndpoint
from services.edge.surfaces.responses import ResponsesEndpoint
from services.edge.surfaces.status import Status
from services.edge.surfaces.stored_completions import PATH, StoredEndpoint

Endpoint = Callable[[Exchange], Awaitable[None]]


class Row(msgspec.Struct, frozen=True):
    """Who serves a path; no `methods` are all of them. A `direct` one is looked up before Starlette routes anything.

    `surface` is the label of its requests in metrics.
    """

    path: str
    surface: str
    make: Callable[[Edge, Status], Endpoint]
    methods: tuple[str, ...] = ()
    direct: bool = False


CHAT_PATH = "/v1/chat/completions"
RESPONSES_PATH = "/v1/responses"
# In the order in which they are tried. API_REFERENCE.md#paths has the same.
ROUTES = (
    Row(CHAT_PATH, "chat", lambda edge, _: ChatEndpoint(edge), ("POST",), direct=True),
    Row(RESPONSES_PATH, "responses", lambda edge, _: ResponsesEndpoint(edge), ("POST",), direct=True),
    Row("/healthz", "status", lambda _, status: status.healthz, ("GET",)),
    Row("/readyz", "status", lambda _, status: status.readyz, ("GET",)),
    Row("/metrics", "status", lambda _, status: status.metrics, ("GET",)),
    Row("/status", "status", lambda _, status: status.status, ("GET",)),
    Row("/convert", "convert", lambda edge, _: ConvertEndpoint(edge), ("POST",)),
    Row("/v1/models", "models", lambda edge, _: ModelsEndpoint(edge), ("GET",)),
    Row(PATH + "{rest:path}", "stored", lambda edge, _: StoredEndpoint(edge), ("GET", "POST", "DELETE")),
    Row(PREFIX, "conversations", lambda edge, _: ConversationsEndpoint(edge)),
    Row(PREFIX + "/{rest:path}", "conversations", lambda edge, _: ConversationsEndpoint(edge)),
    Row("/v1/{rest:path}", "relay", lambda edge, _: RelayEndpoint(edge)),
)
# Paths below /v1 that are served here and not relayed, whatever the method.
_OWN = {row.path: row.methods for row in ROUTES if row.methods and row.path.startswith("/v1/") and "{" not in row.path}


class _Served:
    """An endpoint as an ASGI application."""

    def __init__(self, endpoint: Endpoint, surface: str) -> None:
        self._endpoint = endpoint
        self._surface = surface

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await failures.answer(Exchange(scope, receive, send, self._surface), self._endpoint)


def create_app(edge: Edge, readiness: Readiness) -> ASGIApp:
    """Return the application; `readiness` is reported at /readyz."""
    status = Status(edge, readiness)
    served = {row: _Served(row.make(edge, status), row.surface) for row in ROUTES}
    direct: dict[tuple[str, str], ASGIApp] = {
        (method, row.path): app for row, app in served.items() if row.direct for method in row.methods
    }
    rest = Starlette(
        routes=[
            Route(row.path, app, methods=list(row.methods) or None) for row, app in served.items() if not row.direct
        ],
        exception_handlers={HTTPException: _http_error},
    )
    rest.router.redirect_slashes = False  # a redirect would name the host that the client names

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        chosen: ASGIApp = direct.get((method, path), rest)
        if (method, path) == ("GET", CHAT_PATH):
            chosen = _refusal(scope, 404, {})  # a list of completions has no counterpart upstream
        elif chosen is rest and method not in _OWN.get(path, (method,)):
            chosen = _wrong_method(scope)
        await chosen(scope, receive, send)

    return app


def _wrong_method(scope: Scope) -> ASGIApp:
    return _refusal(scope, 405, {"allow": ", ".join(_OWN[scope["path"]])})


async def _http_error(request: Request, error: Exception) -> Response:
    """Starlette found no route, or not this method."""
    assert isinstance(error, HTTPException)
    return _refusal(request.scope, error.status_code, dict(error.headers or {}))


def _refusal(scope: Scope, status: int, headers: dict[str, str]) -> Response:
    message = f"Not allowed to {scope['method']} on {scope['path']}" if status == 405 else paths.invalid_url(scope)
    code = "method_not_allowed" if status == 405 else None
    metrics.REFUSALS.labels(code or "unknown_url").inc()
    body = error_body(ErrorBody(message=message, code=code))
    return Response(body, status, {"x-request-id": new_request_id(), **headers}, "application/json")
