"""Hands a request to an upstream and its answer to the client, byte for byte.

Bodies are streamed both ways. An optional tap reads along. What makes ids that must be claimed waits for
that: the end of a stream, and a whole body.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

import aiohttp
import msgspec

from libs.schemas.config import Upstream
from libs.schemas.wire.errors import ErrorBody
from libs.translate.answer.upstream_errors import read_error
from libs.translate.errors import TranslationError
from services.edge.answering import outcomes
from services.edge.errors import UpstreamTruncated
from services.edge.http import paths
from services.edge.http.exchange import Exchange, chat_error_frame
from services.edge.ownership.claiming import IdClaims
from services.edge.records.calls import Call
from services.edge.served import ServedRequest
from services.edge.upstreams.client import HOP_BY_HOP, read_beginning, relayed_headers
from services.edge.upstreams.own_key import INSPECTED_BYTES, OwnKey, StreamGuard
from services.edge.upstreams.push import Pushed

# Ours to set, or none of the upstream's business.
_NOT_FORWARDED = HOP_BY_HOP | {"authorization", "cookie", "openai-organization", "openai-project", "traceparent"}
# By which an upstream may read another path, method or host than it is asked for.
_NOT_FORWARDED |= {"forwarded", "x-rewrite-url", "x-http-method", "x-http-method-override", "x-method-override"}
_NOT_FORWARDED_PREFIXES = ("x-parley-", "x-forwarded-", "x-original-")
MAX_HELD_BYTES = 16 * 1024 * 1024  # of an answer that waits for its claims
_ENCODER = msgspec.json.Encoder()


class Tap(Protocol):
    """Reads along; never raises."""

    def feed(self, data: bytes) -> None:
        """Bytes of the answer, as they arrive."""

    def finish(self) -> None:
        """The answer ended as HTTP says it should."""


MakeTap = Callable[[bool], Tap]


def forwarded_headers(served: ServedRequest, upstream: Upstream) -> dict[str, str]:
    """Return the headers of the request upstream: the client's own, with the credentials for there."""
    kept = {
        key: value
        for key, value in served.exchange.headers.items()
        if key not in _NOT_FORWARDED and not key.startswith(_NOT_FORWARDED_PREFIXES)
    }
    if upstream.auth == "key":
        kept["accept-encoding"] = "identity"  # an error about the key must be read before it is passed on
    return {**kept, "traceparent": served.exchange.traceparent, **served.auth_headers(upstream)}


class _Guarded:
    """What of an answer is looked at before it passes: all that may be about Parley's own `key`, if that was used."""

    def __init__(self, key: OwnKey | None, path: str) -> None:
        self._key = key
        self._path = path

    async def begin(self, http_response: aiohttp.ClientResponse) -> bytes:
        """Return what was read of a body. Raises UpstreamKeyRefused, UpstreamMalformed."""
        if self._key is None or http_response.status >= 400 or _type(http_response) != "application/json":
            return b""
        body = await read_beginning(http_response, INSPECTED_BYTES)
        if http_response.content.at_eof():
            self._key.check_body(body)
        return body

    def stream(self, http_response: aiohttp.ClientResponse) -> StreamGuard | None:
        """Return what a stream of events has to pass."""
        if self._key is None or _type(http_response) != "text/event-stream":
            return None
        return StreamGuard(self._key, _chat_frame if self._path.startswith("/chat/") else _event_frame)


def _type(http_response: aiohttp.ClientResponse) -> str:
    return http_response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _chat_frame(error: ErrorBody, number: int) -> bytes:
    return chat_error_frame(error)


def _event_frame(error: ErrorBody, number: int) -> bytes:
    event = {**msgspec.structs.asdict(error), "type": "error", "sequence_number": number}
    return b"event: error\ndata: %b\n\n" % _ENCODER.encode(event)


async def pass_through(
    served: ServedRequest,
    upstream: Upstream,
    *,
    path: str,
    headers: Mapping[str, str],
    body: Sequence[bytes | memoryview] | AsyncIterator[bytes] | None,
    record: Call | None = None,
    tap: MakeTap | None = None,
    made: IdClaims | None = None,
    streamed: bool = False,
) -> None:
    """Send the request to `path` of `upstream` and its answer to the client.

    What `tap` makes reads it for `record` and for `made`; it learns whether the answer is a stream, which
    `streamed` says where the answer does not.

    Raises TranslationError when the upstream cannot be reached, or breaks off before its answer began.
    """
    edge, exchange = served.edge, served.exchange
    edge.streams.add(exchange, streamed=False)  # no keep-alive of ours goes among bytes that are not ours
    try:
        method: str = exchange.scope["method"]
        async with edge.upstreams.request(upstream, method, path, headers=headers, body=body) as http_response:
            guarded = _Guarded(edge.upstreams.own_key(upstream), path)
            begun, guard = await guarded.begin(http_response), guarded.stream(http_response)
            await _start(exchange, upstream, http_response, with_length=guard is None)
            is_stream = guard is not None or _is_stream(http_response, asked=streamed)
            reader = _tap(http_response, tap, record, is_stream)
            claims = made if made is not None and made.wanted and http_response.status < 300 else None
            if claims is not None and not is_stream:
                await _relay_body(exchange, http_response, reader, begun, claims)
            else:
                await _relay(exchange, http_response, reader, begun, guard, claims)
    except TranslationError as error:
        if record is not None:
            outcomes.end_failed(record, error)
        raise
    except asyncio.CancelledError:
        if record is not None and exchange.aborted is not None:
            outcomes.end_cancelled(record, exchange)
        raise
    finally:
        edge.streams.remove(exchange)


async def _start(
    exchange: Exchange, upstream: Upstream, http_response: aiohttp.ClientResponse, *, with_length: bool
) -> None:
    headers = relayed_headers(http_response.headers)
    if "content-length" in http_response.headers and with_length:
        headers["content-length"] = http_response.headers["content-length"]
    if "location" in headers:
        location = paths.location(headers.pop("location"), http_response.url, upstream.base_url)
        headers |= {"location": location} if location else {}
    await exchange.start(http_response.status, headers)


async def _relay(
    exchange: Exchange,
    http_response: aiohttp.ClientResponse,
    tap: Tap,
    begun: bytes,
    guard: StreamGuard | None,
    made: IdClaims | None,
) -> None:
    held = b""

    def take(data: bytes) -> bool:
        nonlocal held
        exchange.note_read()
        tap.feed(data)
        if guard is not None:
            data = guard.feed(data)
        waits = made is not None and made.fresh
        held = b"" if not data or (not waits and exchange.write_now(data)) else data
        return not held

    pushed = Pushed((http_response, take))
    try:
        if begun and not take(begun):
            await exchange.write(held)
        while await pushed.left():
            if made is not None:
                await made.gone()
            await exchange.write(held)
        if guard is not None:
            await exchange.write(guard.finish())
    except (aiohttp.ClientError, OSError):
        # The client must see that the answer is not whole: its connection is cut as ours was.
        raise UpstreamTruncated from None
    tap.finish()
    await exchange.write(b"", more=False)


async def _relay_body(
    exchange: Exchange, http_response: aiohttp.ClientResponse, tap: Tap, begun: bytes, made: IdClaims
) -> None:
    """Relay a body that a client reads as one, once what it makes is claimed; a very large one in parts."""
    held: list[bytes] = []
    size = 0

    def take(data: bytes) -> None:
        nonlocal size
        exchange.note_read()
        tap.feed(data)
        held.append(data)
        size += len(data)

    try:
        take(begun)
        async for data in http_response.content.iter_any():
            take(data)
            if size > MAX_HELD_BYTES:
                await exchange.write(b"".join(held))
                held.clear()
                size = 0
    except (aiohttp.ClientError, OSError):
        raise UpstreamTruncated from None
    tap.finish()
    await made.claimed()
    await exchange.write(b"".join(held), more=False)


def _is_stream(http_response: aiohttp.ClientResponse, *, asked: bool) -> bool:
    given = _type(http_response)
    return given == "text/event-stream" or (asked and given != "application/json")


def _tap(http_response: aiohttp.ClientResponse, tap: MakeTap | None, record: Call | None, streamed: bool) -> Tap:
    if http_response.status >= 400:
        return _NoTap() if record is None else _ErrorTap(record, http_response.status)
    return _NoTap() if tap is None else tap(streamed)


class _NoTap:
    def feed(self, data: bytes) -> None:
        pass

    def finish(self) -> None:
        pass


class _ErrorTap:
    """Records what an error answer says."""

    def __init__(self, record: Call, status: int) -> None:
        self._record = record
        self._status = status
        self._body = b""

    def feed(self, data: bytes) -> None:
        if len(self._body) < 65536:
            self._body += data

    def finish(self) -> None:
        code = read_error(self._body).code
        self._record.end(
            "refused" if self._status < 500 else "failed",
            status=self._status,
            error_code=None if code is None else str(code),
        )
