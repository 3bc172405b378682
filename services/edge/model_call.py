"""One call of a model upstream: how it is asked, and the record that is kept of it.

What becomes of the answer is the business of `chat_call.py` and `fan_out.py`.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import aiohttp
import msgspec

from libs.schemas.bus import Converted
from libs.schemas.config import Upstream
from libs.schemas.errors import ErrorBody, UpstreamErrorBody
from libs.schemas.halves import sound
from libs.schemas.output import RESPONSE_DECODER, Response
from libs.translate.errors import InvalidRequest, TranslationError
from libs.translate.lift import total_bytes
from libs.translate.upstream_errors import read_error, to_chat_error
from services.edge import calls
from services.edge.edge import Edge
from services.edge.exchange import Exchange
from services.edge.tenants import Caller
from services.edge.upstream import (
    ERROR_BODY_LIMIT,
    UpstreamTruncated,
    error_headers,
    read_limited,
    told_headers,
)

MAX_RESPONSE_BYTES = 64 * 1024 * 1024


class UpstreamRefused(TranslationError):
    """The upstream answered with an error status; `headers` go to the client, `told` is what it said."""

    def __init__(self, status: int, error: ErrorBody, headers: dict[str, str], told: UpstreamErrorBody) -> None:
        super().__init__(status, error)
        self.headers = headers
        self.told = told


class ModelCall:
    """One try of one call. `attempt` counts from 1 within a request."""

    def __init__(
        self,
        edge: Edge,
        exchange: Exchange,
        caller: Caller,
        converted: Converted,
        attempt: int,
        pieces: Sequence[bytes | memoryview],
    ) -> None:
        self.upstream = _named(edge.config.upstream, converted.upstream)
        self._edge = edge
        self._exchange = exchange
        self._caller = caller
        self._stream = converted.plan.stream
        self._pieces = pieces
        self._length = total_bytes(pieces)
        self._plan = converted.plan
        self.record = calls.begin(
            edge.sink,
            exchange,
            caller,
            surface="chat",
            attempt=attempt,
            model_requested=converted.model_requested or converted.model,
            upstream=converted.upstream,
            streamed=self._stream,
            request_bytes=self._length,
            previous_response_id=converted.previous_response_id,
            conversation=converted.conversation,
        )

    def ask(self) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Send the request; see `Upstreams.request`."""
        headers = {
            "content-type": "application/json",
            "content-length": str(self._length),
            "accept": "text/event-stream" if self._stream else "application/json",
            "user-agent": "parley",
            "traceparent": self._exchange.traceparent,
            **self._edge.upstreams.auth_headers(self.upstream, self._caller),
        }
        return self._edge.upstreams.request(self.upstream, "POST", "/responses", headers=headers, body=self._pieces)

    def disclosed(self, error: TranslationError) -> TranslationError:
        """Return what the client may hear of a failure: nothing that is about Parley's own key."""
        return self._edge.upstreams.disclosed(self.upstream, error)

    async def check(self, answer: aiohttp.ClientResponse) -> None:
        """Note what the answer's headers tell. Raises UpstreamRefused for an error status."""
        self._exchange.response_headers.update(told_headers(answer.headers))
        if answer.status == 200:
            return
        body = await read_limited(answer, ERROR_BODY_LIMIT)
        told = read_error(body)
        status = answer.status if answer.status >= 400 else 502
        error = to_chat_error(status, told, self._plan)
        raise UpstreamRefused(status, error, error_headers(body, error), told)


async def read_response(answer: aiohttp.ClientResponse) -> tuple[Response, bytes]:
    """Return a whole answer, read and raw. Raises UpstreamTruncated."""
    body = await read_limited(answer, MAX_RESPONSE_BYTES)
    return decode_response(body), body


def decode_response(body: bytes) -> Response:
    """Return the Response object in `body`. Raises UpstreamTruncated when it holds none."""
    try:
        return RESPONSE_DECODER.decode(sound(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamTruncated from None


def _named(upstreams: list[Upstream], name: str) -> Upstream:
    found = next((upstream for upstream in upstreams if upstream.name == name), None)
    if found is None:
        raise InvalidRequest(f"No upstream is called '{name}'.", "model", "model_not_found", status=404)
    return found
