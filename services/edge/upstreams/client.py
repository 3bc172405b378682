"""Calls upstreams over HTTP; answers are bytes, and nothing here reads them.

Failures to reach one become `UpstreamUnreachable` or `UpstreamTimeout`; no message names a host.
"""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from libs.schemas.config import Edge, Upstream
from libs.schemas.wire.errors import ErrorBody
from libs.translate.answer.upstream_errors import read_error
from libs.translate.errors import TranslationError
from services.edge.errors import UpstreamMalformed, UpstreamTimeout, UpstreamTooLarge, UpstreamUnreachable
from services.edge.tenants import Caller, Tenants
from services.edge.upstreams.aiohttp_seam import connector, put_back
from services.edge.upstreams.own_key import OwnKey

ERROR_BODY_LIMIT = 1024 * 1024
MAX_RESPONSE_BYTES = 64 * 1024 * 1024  # of a whole answer
UPSTREAM_ERROR = "x-parley-upstream-error"
RAW_ERROR_LIMIT = 2048  # of an upstream's error, in bytes, before base64: headers must stay small
# Statuses that SDKs retry by themselves, though these codes say that it cannot help
# (docs/mapping.md#statuses-and-retries).
_HOPELESS = frozenset({"insufficient_quota", "credit_balance_exhausted"})
_PIECE_BYTES = 256 * 1024  # what is handed to the socket at once, so that a large body stalls nobody

# Never forwarded: they belong to one connection, or are ours to set.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
        "expect",
    }
)
_NOT_RETURNED = HOP_BY_HOP | {"set-cookie", "date", "server", "alt-svc", "strict-transport-security"}
_PASSED = ("retry-after", "retry-after-ms", "x-should-retry", "openai-processing-ms", "openai-version")
_PASSED_PREFIXES = ("x-ratelimit-",)


def client_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an upstream that a chat client gets: limits, retries, times, its request id."""
    shown = {
        key.lower(): value
        for key, value in headers.items()
        if key.lower() in _PASSED or key.lower().startswith(_PASSED_PREFIXES)
    }
    if "x-request-id" in headers:
        shown["x-upstream-request-id"] = headers["x-request-id"]
    return shown


def error_headers(body: bytes, error: ErrorBody) -> dict[str, str]:
    """Return the headers of a translated error: the upstream's own error, and whether a retry helps."""
    headers = {}
    if body:
        headers[UPSTREAM_ERROR] = urlsafe_b64encode(body[:RAW_ERROR_LIMIT]).decode()
    if error.code in _HOPELESS:
        headers["x-should-retry"] = "false"
    return headers


def relayed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a relayed answer: all but those of the connection; its id under another name."""
    relayed = {key.lower(): value for key, value in headers.items() if key.lower() not in _NOT_RETURNED}
    upstream_id = relayed.pop("x-request-id", None)
    if upstream_id is not None:
        relayed["x-upstream-request-id"] = upstream_id
    return relayed


class Upstreams:
    """The HTTP client of the edge; one connection pool for all upstreams."""

    def __init__(self, settings: Edge, tenants: Tenants) -> None:
        self._settings = settings
        self._tenants = tenants
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(
            connector=connector(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._settings.connect_timeout_seconds),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def auth_headers(self, upstream: Upstream, caller: Caller) -> dict[str, str]:
        """Return the credentials of a call."""
        return {"authorization": f"Bearer {self._tenants.key(upstream, caller)}", **caller.scoping}

    def own_key(self, upstream: Upstream) -> OwnKey | None:
        """Return Parley's own key there; None where the caller's is used, about which all may be said."""
        return OwnKey(upstream, self._tenants.own(upstream)) if upstream.auth == "key" else None

    def disclosed(self, upstream: Upstream, error: TranslationError) -> TranslationError:
        """Return the client's error for a failure within an answer, with nothing about Parley's own key."""
        key = self.own_key(upstream)
        return error if key is None else key.disclosed(error)

    async def _check_key(self, upstream: Upstream, http_response: aiohttp.ClientResponse) -> None:
        key = self.own_key(upstream)
        if key is None or http_response.status < 400:
            return
        body = b""
        if http_response.status != 401:
            body = await read_beginning(http_response, ERROR_BODY_LIMIT)
            if not http_response.content.at_eof():
                raise UpstreamTooLarge  # nothing sensible says so much
            put_back(http_response, body)
        readable = http_response.headers.get("content-encoding", "identity") == "identity"
        key.check(http_response.status, read_error(body) if readable else None)

    @asynccontextmanager
    async def request(
        self,
        upstream: Upstream,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: Sequence[bytes | memoryview] | AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield the answer once its headers are there; leaving the block closes it.

        `path` begins with a slash and follows the base URL. Raises UpstreamUnreachable, UpstreamTimeout,
        UpstreamKeyRefused.
        """
        assert self._session is not None
        try:
            async with asyncio.timeout(self._settings.first_byte_timeout_seconds):
                http_response = await self._session.request(
                    method,
                    URL(upstream.base_url.rstrip("/") + path, encoded=True),
                    headers=headers,
                    data=_payload(body),
                    allow_redirects=False,
                )
        except (aiohttp.ServerTimeoutError, TimeoutError):
            raise UpstreamTimeout from None
        except (aiohttp.ClientError, OSError):
            raise UpstreamUnreachable from None
        try:
            await self._check_key(upstream, http_response)
            yield http_response
        finally:
            # Not release(): an answer that was left early must not go on being generated.
            http_response.close() if not http_response.content.at_eof() else http_response.release()


def _payload(body: Sequence[bytes | memoryview] | AsyncIterator[bytes] | None) -> Any:
    if isinstance(body, Sequence):
        return body[0] if len(body) == 1 and len(body[0]) <= _PIECE_BYTES else _pieces(body)
    return body


async def _pieces(body: Sequence[bytes | memoryview]) -> AsyncIterator[bytes]:
    for part in body:
        view = memoryview(part)
        for start in range(0, len(view), _PIECE_BYTES):
            yield bytes(view[start : start + _PIECE_BYTES])


async def read_refusal(http_response: aiohttp.ClientResponse) -> bytes:
    """Return the beginning of the body of an error answer; its status counts even where the body breaks off."""
    try:
        return (await read_beginning(http_response, ERROR_BODY_LIMIT))[:ERROR_BODY_LIMIT]
    except UpstreamMalformed:
        return b""


async def read_limited(http_response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the body of an answer.

    Raises UpstreamTooLarge beyond `limit` bytes, UpstreamMalformed when it breaks off.
    """
    body = await read_beginning(http_response, limit + 1)
    if len(body) > limit:
        raise UpstreamTooLarge
    return body


async def read_beginning(http_response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return all that was read of a body once `limit` bytes were there, or it ended: the rest can still be read.

    Raises UpstreamMalformed when it breaks off.
    """
    chunks, size = [], 0
    try:
        async for chunk in http_response.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size >= limit:
                break
    except (aiohttp.ClientError, OSError):
        raise UpstreamMalformed from None
    return b"".join(chunks)
