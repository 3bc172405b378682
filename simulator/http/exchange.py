"""One HTTP exchange: its request read once, its answer sent with the headers OpenAI sends, its ledger entry kept."""

import hashlib
import os
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from simulator.http.ledger import Ledger
from simulator.rules.book import refuse
from simulator.wire.ids import new_request_id
from simulator.wire.json import DECODER, Json, encode

_STANDING_HEADERS: list[tuple[bytes, bytes]] = [
    (b"openai-version", b"2020-10-01"),
    (b"openai-organization", b"parley-simulator"),
]
# A reset instead of an end: the socket lingers for no time at all.
_NO_LINGER = struct.pack("ii", 1, 0)


class ClientLeft(Exception):
    """The client closed the connection before its request had arrived whole."""


class Exchange:
    """The request and the answer of one HTTP call.

    `account` is a short hash of bearer, organization and project, null without a bearer; `headers` are lower-case,
    the last of a name.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, ledger: Ledger) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.receive = receive
        self.send = send
        self.key = _bearer(self.headers)
        self.account = _account(self.key, self.headers) if self.key else None
        self._ledger = ledger
        self._started = time.monotonic()
        self.entry = ledger.open(self.method, self.path, self.query, self.headers, self.account)

    def authenticate(self) -> str:
        """The account; a 401 without a bearer, or with one that starts with `invalid`."""
        if self.account is None:
            raise refuse("missing_key")
        if self.key.startswith("invalid"):
            raise refuse("wrong_key", shown=self.key[:3] + "*" * 8)
        return self.account

    async def body(self) -> bytes:
        """The whole request body. Raises `ClientLeft` when it will never arrive."""
        chunks: list[bytes] = []
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(chunks)

    async def optional_json(self) -> Json:
        """`json`, with {} for an empty body."""
        raw = await self.body()
        return self._decoded(raw) if raw else {}

    async def json(self) -> Json:
        """The body as one JSON object, recorded in the ledger; a 400 when it is anything else."""
        return self._decoded(await self.body())

    def _decoded(self, raw: bytes) -> Json:
        try:
            value = DECODER.decode(raw)
        except msgspec.DecodeError as error:
            self.record_body({"sha256": hashlib.sha256(raw).hexdigest(), "length": len(raw)})
            raise refuse("bad_json") from error
        self.record_body(value)
        if not isinstance(value, dict):
            raise refuse("bad_json")
        return value

    def note(self, body: Json) -> None:
        """Put what tests of continuity look for into the ledger's entry."""
        self._ledger.note(self.entry, body)

    def record_body(self, body: Any) -> None:
        self._ledger.record_body(self.entry, body)

    async def answer(self, status: int, payload: Any, headers: Mapping[str, str] | None = None) -> None:
        """One whole JSON answer."""
        body = encode(payload)
        sized = {"content-length": str(len(body)), **(headers or {})}
        await self.start(status, "application/json", sized)
        await self.send({"type": "http.response.body", "body": body})
        self.entry.finished = True

    async def start(self, status: int, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        """Status and headers; the caller sends the body."""
        self.entry.status = status
        elapsed_ms = int((time.monotonic() - self._started) * 1000)
        named = headers or {}
        await self.send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", content_type.encode()),
                    (b"x-request-id", new_request_id().encode()),
                    (b"openai-processing-ms", str(elapsed_ms).encode()),
                    *_STANDING_HEADERS,
                    *((name.encode(), value.encode()) for name, value in named.items()),
                ],
            }
        )

    async def raw(self, status: int, content_type: str, body: bytes) -> None:
        """One whole answer as it is."""
        await self.start(status, content_type, {"content-length": str(len(body))})
        await self.send({"type": "http.response.body", "body": body})
        self.entry.finished = True

    def reset(self) -> None:
        """Drop the connection with a reset. Only a real server has one: in process the answer just ends."""
        transport = getattr(getattr(self.send, "__self__", None), "transport", None)
        if transport is None:
            return
        # A second handle on the connection: the loop's own has no such option.
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as handle:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()


def _account(key: str, headers: Mapping[str, str]) -> str:
    """The bearer alone names the account, unless it acts for an organization or a project."""
    parts = (key, headers.get("openai-organization", ""), headers.get("openai-project", ""))
    return hashlib.sha256("\0".join(parts).rstrip("\0").encode()).hexdigest()[:16]


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
