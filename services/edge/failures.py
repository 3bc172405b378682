"""Runs an endpoint and turns whatever ends it into OpenAI's envelope, with the right status.

The one place that knows how exceptions become answers; nothing is logged here but what an operator
must act on.
"""

import asyncio
from collections.abc import Awaitable, Callable

from libs.runtime import metrics
from libs.runtime.logs import Log
from libs.schemas.wire.errors import ErrorBody
from libs.translate.errors import TranslationError
from services.edge.errors import KEY_REFUSED, StateUnavailable, UpstreamRefused
from services.edge.http.exchange import Abort, ClientGone, Exchange

RETRY_AFTER = {"retry-after": "1"}
# Codes whose status says something else to a client than is true: whether a repetition helps.
CONVERSATION_BUSY = "conversation_busy"
_SPECIAL = {
    CONVERSATION_BUSY: {**RETRY_AFTER, "x-should-retry": "true"},
    KEY_REFUSED: {"x-should-retry": "false"},
}

log = Log("parley.edge")

# The error for a client whose answer was aborted, where it can still be sent.
_ABORTED: dict[Abort, tuple[int, ErrorBody]] = {
    "upstream_idle": (
        504,
        ErrorBody(message="The upstream did not answer in time.", type="server_error", code="upstream_timeout"),
    ),
    "shutdown": (
        503,
        ErrorBody(message="The service is being restarted. Try again.", type="server_error", code="service_restarting"),
    ),
    "unmarked": (503, StateUnavailable().error),
}
_INTERNAL = ErrorBody(message="Parley failed to serve your request.", type="server_error", code="internal_error")


async def answer(exchange: Exchange, endpoint: Callable[[Exchange], Awaitable[None]]) -> None:
    """Run `endpoint`; the exchange is answered and closed when this returns."""
    try:
        exchange.check_headers()
        await endpoint(exchange)
    except ClientGone:
        pass
    except TranslationError as error:
        if not isinstance(error, UpstreamRefused):  # which the record of the call has
            _count(exchange, error)
        headers = _SPECIAL.get(error.error.code or "") or _retry_after(exchange, error.status)
        await exchange.end_with_error(error.status, error.error, headers)
    except asyncio.CancelledError:
        if not exchange.absorb_abort():
            raise
        if exchange.aborted in _ABORTED:
            status, error_body = _ABORTED[exchange.aborted]
            await exchange.end_with_error(status, error_body, _retry_after(exchange, status))
    except Exception:  # the process loop of requests: one bad request must not go without an answer
        log.exception("request_failed", request_id=exchange.request_id)
        await exchange.end_with_error(500, _INTERNAL)
    finally:
        exchange.close()


def _retry_after(exchange: Exchange, status: int) -> dict[str, str] | None:
    """When to come back, unless the upstream has said."""
    return RETRY_AFTER if status == 503 and exchange.reported("retry-after") is None else None


def _count(exchange: Exchange, error: TranslationError) -> None:
    """Leave one line and one count; the client has the rest."""
    code = error.error.code or "none"
    if error.status < 500:
        metrics.REFUSALS.labels(code).inc()
    log.info(
        "refused" if error.status < 500 else "failed",
        request_id=exchange.request_id,
        surface=exchange.surface,
        status=error.status,
        code=code,
        param=error.error.param,
    )
