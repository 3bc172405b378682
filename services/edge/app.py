"""The edge as one ASGI application: which path is whose.

Starlette routes what is not a model call. Those are dispatched before it, for its middleware wraps
`send` and would cost on every event of every stream.
"""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
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

CHAT_PATH = "/v1/chat/completions"
RESPONSES_PATH = "/v1/responses"
MODELS_PATH = "/v1/models"
# Paths that are served here and not relayed, whatever the method.
_OWN = {CHAT_PATH: ("POST",), RESPONSES_PATH: ("POST",), MODELS_PATH: ("GET",)}


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
    calls: dict[tuple[str, str], ASGIApp] = {
        ("POST", CHAT_PATH): _Served(ChatEndpoint(edge), "chat"),
        ("POST", RESPONSES_PATH): _Served(ResponsesEndpoint(edge), "responses"),
    }
    rest = Starlette(
        routes=[
            Route("/healthz", _Served(status.healthz, "status"), methods=["GET"]),
            Route("/readyz", _Served(status.readyz, "status"), methods=["GET"]),
            Route("/metrics", _Served(status.metrics, "status"), methods=["GET"]),
            Route("/status", _Served(status.status, "status"), methods=["GET"]),
            Route("/convert", _Served(ConvertEndpoint(edge), "convert"), methods=["POST"]),
            Route(MODELS_PATH, _Served(ModelsEndpoint(edge), "models"), methods=["GET"]),
            Route(PATH + "{rest:path}", _Served(StoredEndpoint(edge), "stored"), methods=["GET", "POST", "DELETE"]),
            Route(PREFIX, _Served(ConversationsEndpoint(edge), "conversations")),
            Route(PREFIX + "/{rest:path}", _Served(ConversationsEndpoint(edge), "conversations")),
            Mount("/v1", _Served(RelayEndpoint(edge), "relay")),
        ],
        exception_handlers={HTTPException: _http_error},
    )
    rest.router.redirect_slashes = False  # a redirect would name the host that the client names

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        served = calls.get((method, path), rest)
        if (method, path) == ("GET", CHAT_PATH):
            served = _refusal(scope, 404, {})  # a list of completions has no counterpart upstream
        elif served is rest and method not in _OWN.get(path, (method,)):
            served = _wrong_method(scope)
        await served(scope, receive, send)

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
