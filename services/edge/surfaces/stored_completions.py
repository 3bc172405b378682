"""Stored completions: the chat API's view of what the upstream keeps as responses (docs/mapping.md#stored-completions).

`GET` and `DELETE /v1/chat/completions/{id}` and `GET .../{id}/messages`. A list and an update have no
counterpart upstream, and are not there. A completion that the upstream's own chat endpoint made is asked of that.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode

from libs.schemas.config import Upstream
from libs.schemas.plan import StreamPlan
from libs.schemas.wire.errors import ErrorBody
from libs.schemas.wire.surrogates import Decodes, read
from libs.translate.answer.stored import (
    INPUT_ITEMS_DECODER,
    INSTRUCTIONS_DECODER,
    STORED_ENCODER,
    to_deleted,
    to_stored_completion,
    to_stored_messages,
)
from libs.translate.answer.upstream_errors import read_error, to_chat_error
from libs.translate.errors import InvalidRequest, TranslationError
from libs.translate.ids import response_id
from services.edge.answering.model_call import decode_response
from services.edge.answering.passthrough import forwarded_headers, pass_through
from services.edge.edge import Edge
from services.edge.errors import StateUnavailable, UpstreamMalformed
from services.edge.http import paths
from services.edge.http.exchange import Exchange
from services.edge.ownership import owners
from services.edge.ownership.claiming import release
from services.edge.served import ServedRequest, identify
from services.edge.upstreams.client import MAX_RESPONSE_BYTES, read_limited, read_refusal

T = TypeVar("T")

PATH = "/v1/chat/completions/"
_MESSAGES = "/messages"
_PLAN = StreamPlan(stream=False)
_PAGING = ("after", "limit", "order")


class _Missing(TranslationError):
    """The upstream of this try does not have it; another may."""


class StoredEndpoint:
    """The endpoint of everything below `/v1/chat/completions/`."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. Raises TranslationError."""
        served = identify(self._edge, exchange)
        rest: str = exchange.scope["path"].removeprefix(PATH)
        of_messages = rest.endswith(_MESSAGES)
        name = rest.removesuffix(_MESSAGES)
        upstream_id = response_id(name)
        segment = None if upstream_id is None else paths.to_segment(upstream_id)
        method: str = exchange.scope["method"]
        show = _SHOWS.get((method, of_messages))
        if segment is None:
            raise _not_found(paths.invalid_url(exchange.scope) if show is None else None, name)
        native, owner = await self._owners(served, name, upstream_id or "")
        if native is not None:
            await self._relay(served, native, name, of_messages=of_messages)
            return
        if show is None:
            raise _not_found(paths.invalid_url(exchange.scope), name)
        exchange.watch()
        for upstream in self._upstreams(owner):
            try:
                shown = await show(_Stored(served, upstream), name, segment)
            except _Missing:
                continue
            if method == "DELETE":
                release(served, "response", upstream_id or "")
            await exchange.send(200, shown)
            return
        raise _not_found(None, name)

    def _upstreams(self, owner: Upstream | None) -> list[Upstream]:
        """All that may have it, its owner first; where Parley's own key would be used, that one alone."""
        having = [
            one for one in self._edge.config.upstream if one.api != "chat" and (one is owner or not owners.guarded(one))
        ]
        return sorted(having, key=lambda upstream: upstream is not owner)

    async def _owners(
        self, served: ServedRequest, name: str, upstream_id: str
    ) -> tuple[Upstream | None, Upstream | None]:
        """Return who answered it at its own chat endpoint, and who has it as a response.

        Raises StateUnavailable where that must be known.
        """
        guards = owners.guards(self._edge.config)
        if not guards and len(self._edge.config.upstream) == 1:
            return None, None
        native = owners.name("completion", name)
        try:
            found = await owners.find(served, [native, upstream_id])
        except StateUnavailable:
            if guards:
                raise
            return None, None
        return found.get(native), found.get(upstream_id)

    async def _relay(self, served: ServedRequest, upstream: Upstream, name: str, *, of_messages: bool) -> None:
        """Ask the chat endpoint that made it."""
        exchange, settings = served.exchange, self._edge.config.edge
        headers = forwarded_headers(served, upstream)
        body = await exchange.read_body(settings.max_body_bytes, settings.body_idle_timeout_seconds)
        exchange.watch()
        path = f"/chat/completions/{paths.to_segment(name)}{_MESSAGES if of_messages else ''}"
        query = exchange.scope["query_string"].decode("latin-1")
        await pass_through(
            served,
            upstream,
            path=f"{path}?{query}" if query else path,
            headers={**headers, "content-length": str(len(body))} if body else headers,
            body=[body] if body else None,
        )
        if exchange.scope["method"] == "DELETE" and exchange.status < 300:
            release(served, "completion", name)


class _Stored:
    """What one upstream has under one id."""

    def __init__(self, served: ServedRequest, upstream: Upstream) -> None:
        self._upstreams = served.edge.upstreams
        self._exchange = served.exchange
        self._headers = served.auth_headers(upstream)
        self._upstream = upstream

    async def completion(self, name: str, upstream_id: str) -> bytes:
        response = decode_response(await self._call("GET", f"/responses/{upstream_id}"))
        try:
            return STORED_ENCODER.encode(to_stored_completion(response))
        except TranslationError as failure:
            raise self._upstreams.disclosed(self._upstream, failure) from None

    async def deleted(self, name: str, upstream_id: str) -> bytes:
        await self._call("DELETE", f"/responses/{upstream_id}")
        return STORED_ENCODER.encode(to_deleted(name))

    async def messages(self, name: str, upstream_id: str) -> bytes:
        given = parse_qsl(self._exchange.scope["query_string"].decode("latin-1"))
        query = {"order": "asc", **{key: value for key, value in given if key in _PAGING}}
        page = await self._call("GET", f"/responses/{upstream_id}/input_items?{urlencode(query)}")
        instructions = None
        if "after" not in query and query["order"] == "asc":
            instructions = _decode(INSTRUCTIONS_DECODER, await self._call("GET", f"/responses/{upstream_id}"))
        items = _decode(INPUT_ITEMS_DECODER, page)
        messages = to_stored_messages(items, instructions.instructions if instructions else None)
        return STORED_ENCODER.encode(messages)

    async def _call(self, method: str, path: str) -> bytes:
        async with self._upstreams.request(self._upstream, method, path, headers=self._headers) as answer:
            refuses = answer.status >= 300
            body = await (read_refusal(answer) if refuses else read_limited(answer, MAX_RESPONSE_BYTES))
        if answer.status == 404:
            raise _Missing(404, ErrorBody(message="", code="not_found"))
        if refuses:
            error = to_chat_error(answer.status, read_error(body), _PLAN)
            raise TranslationError(answer.status if answer.status >= 400 else 502, error)
        return body


_SHOWS: dict[tuple[str, bool], Callable[[_Stored, str, str], Awaitable[bytes]]] = {
    ("GET", False): _Stored.completion,
    ("DELETE", False): _Stored.deleted,
    ("GET", True): _Stored.messages,
}


def _decode(decoder: Decodes[T], body: bytes) -> T:
    found = read(decoder, body)
    if found is None:
        raise UpstreamMalformed
    return found


def _not_found(message: str | None, name: str) -> InvalidRequest:
    return InvalidRequest(message or f"Chat completion '{name}' not found.", None, "not_found", status=404)
