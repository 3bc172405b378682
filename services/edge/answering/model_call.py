"""One call of a model upstream: how it is asked, what is read of it, and the record that is kept of it.

What becomes of the answer is the business of `attempt.py`.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import aiohttp

from libs.schemas.bus.convert import Converted
from libs.schemas.config import Upstream
from libs.schemas.wire.output import RESPONSE_DECODER, Response
from libs.schemas.wire.surrogates import read, sound
from libs.translate.answer.finish import is_unfinished
from libs.translate.answer.upstream_errors import read_error, to_chat_error
from libs.translate.lift import total_bytes
from services.edge.answering.polling import settled
from services.edge.answering.rendering import Renderer
from services.edge.errors import UpstreamMalformed, UpstreamRefused
from services.edge.records import calls
from services.edge.served import ServedRequest
from services.edge.upstreams.client import MAX_RESPONSE_BYTES, client_headers, error_headers, read_limited, read_refusal


class ModelCall:
    """One upstream call. `number` counts from 1 within a request. With a `renderer` its answer is read as a stream."""

    def __init__(
        self,
        served: ServedRequest,
        upstream: Upstream,
        converted: Converted,
        number: int,
        pieces: Sequence[bytes | memoryview],
        renderer: Renderer | None,
    ) -> None:
        self.upstream = upstream
        self.answer: aiohttp.ClientResponse
        self.body = b""
        self.response = Response()
        self.losses: Sequence[str] = ()
        self.is_named = False
        self.was_stopped = False
        self._served = served
        self._exchange = served.exchange
        self._pieces = pieces
        self._length = total_bytes(pieces)
        self._plan = converted.plan
        self._renderer = renderer
        self._request: AbstractAsyncContextManager[aiohttp.ClientResponse] | None = None
        self.record = calls.begin(
            served,
            surface="chat",
            attempt=number,
            model_requested=converted.model_requested or converted.model,
            upstream=converted.upstream,
            streamed=converted.plan.stream,
            request_bytes=self._length,
            previous_response_id=converted.previous_response_id,
            conversation=converted.conversation,
        )

    @property
    def renderer(self) -> Renderer:
        """What its stream becomes."""
        assert self._renderer is not None
        return self._renderer

    async def open(self) -> None:
        """Send the request; read the head of the answer. Raises UpstreamRefused, and as `Upstreams.request` does."""
        headers = {
            "content-type": "application/json",
            "content-length": str(self._length),
            "accept": "text/event-stream" if self._plan.stream else "application/json",
            "user-agent": "parley",
            "traceparent": self._exchange.traceparent,
            **self._served.auth_headers(self.upstream),
        }
        upstreams = self._served.edge.upstreams
        request = upstreams.request(self.upstream, "POST", "/responses", headers=headers, body=self._pieces)
        self.answer = await request.__aenter__()
        self._request = request  # to be left by `close`
        self._exchange.note_read()
        await self._check(self.answer)

    async def close(self) -> None:
        """Close the connection, where the answer is not whole: an upstream must not work for nobody."""
        request, self._request = self._request, None
        if request is not None:
            await request.__aexit__(None, None, None)

    async def fetch(self) -> None:
        """Read a whole answer into `body` and `response`; one that is still worked on is waited for.

        Raises UpstreamRefused, UpstreamMalformed, UpstreamTooLarge, and as `Upstreams.request` does.
        """
        await self.open()
        self.body = await read_limited(self.answer, MAX_RESPONSE_BYTES)
        self.response = decode_response(self.body)
        if is_unfinished(self.response.status):
            self.record.identify(self.response)
            self.body = await settled(self._served, self.upstream, self.response.id)
            self.response = decode_response(self.body)

    async def _check(self, answer: aiohttp.ClientResponse) -> None:
        """Keep the headers that the client gets. Raises UpstreamRefused for an error status."""
        self._exchange.report(client_headers(answer.headers))
        if answer.status == 200:
            return
        body = await read_refusal(answer)
        upstream_error = read_error(body)
        status = answer.status if answer.status >= 400 else 502
        error = to_chat_error(status, upstream_error, self._plan)
        raise UpstreamRefused(status, error, error_headers(body, error), upstream_error)


def decode_response(body: bytes) -> Response:
    """Return the Response object in `body`. Raises UpstreamMalformed when it holds none."""
    response = read(RESPONSE_DECODER, sound(body))
    if response is None:
        raise UpstreamMalformed
    return response
