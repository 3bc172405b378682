"""One HTTP request and its answer, straight on ASGI: no middleware stands around `send`.

A stream's every event passes here, so this is kept flat. A client that leaves, a reader that stalls
and a shutdown all end the request the same way: `abort` cancels its task and says why.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Literal
from uuid import uuid4

import msgspec
from msgspec import UNSET
from starlette.types import Receive, Scope, Send

from libs.runtime import metrics, tracing
from libs.runtime.seams.uvicorn import send_now
from libs.schemas.wire.errors import ErrorBody, ErrorEnvelope
from libs.translate.errors import InvalidRequest

Abort = Literal["client_gone", "upstream_idle", "reader_stalled", "shutdown", "unmarked"]
Headers = Mapping[str, str]
# How far the HTTP response has come: nothing was sent; an event stream has begun, to which frames can be added; another
# response has begun, to which nothing can. What is *unread* waits in the server for a client that does not read.
Progress = Literal["unsent", "events", "events_unread", "body", "body_unread"]
_STREAMING: frozenset[Progress] = frozenset({"events", "events_unread"})
_UNREAD: frozenset[Progress] = frozenset({"events_unread", "body_unread"})
# What a write makes of each state: until its bytes were taken, and once they were.
_WRITING: dict[Progress, Progress] = {
    "events": "events_unread",
    "events_unread": "events_unread",
    "body": "body_unread",
    "body_unread": "body_unread",
}
_WRITTEN: dict[Progress, Progress] = {
    "events": "events",
    "events_unread": "events",
    "body": "body",
    "body_unread": "body",
}

_ENCODER = msgspec.json.Encoder()
_SECONDS = re.compile(r"\d{1,6}(\.\d{1,6})?")
# Of two of these neither may be chosen: they say who calls, and what is meant.
_ONCE = frozenset({"authorization", "content-type", "openai-organization", "openai-project"})
_ONCE_PREFIX = "x-parley-"
STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


def new_request_id() -> str:
    """Return the id under which one answer can be found again."""
    return f"req_{uuid4().hex}"


def error_body(error: ErrorBody) -> bytes:
    """Return OpenAI's envelope around `error`."""
    return _ENCODER.encode(ErrorEnvelope(error))


def chat_error_frame(error: ErrorBody, upstream_error: str | None = None) -> bytes:
    """Return the frame on which chat SDKs raise; `upstream_error` is what the upstream said, base64url.

    See docs/mapping.md#failures-in-a-stream.
    """
    envelope = ErrorEnvelope(error, UNSET if upstream_error is None else upstream_error)
    return b"data: %b\n\n" % _ENCODER.encode(envelope)


def repeated(param: str) -> InvalidRequest:
    """Return the refusal of a header, or a parameter, that was given twice."""
    return InvalidRequest(f"Invalid '{param}': given more than once.", param, "invalid_value")


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


class Exchange:
    """One request; `headers` are lower-case, `repeated` names those given twice. `surface` labels its metrics.

    Only its own methods change what it has. `status` is 0 until the response has begun; `started`, `last_read` and
    `last_write` are in seconds of the monotonic clock.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, surface: str) -> None:
        self.scope = scope
        self.surface = surface
        self._receive = receive
        self._send = send
        self.headers, self.repeated = _read_headers(scope["headers"])
        self.request_id = new_request_id()
        self.traceparent = tracing.accept(self.headers.get("traceparent")) or tracing.new()
        self.started = time.monotonic()
        given = self.headers.get("x-stainless-read-timeout", "")
        # How long the client waits for an answer to begin, in seconds, as OpenAI's SDKs tell.
        self.patience_seconds = float(given) if _SECONDS.fullmatch(given) else None
        self.status = 0
        self.sent_bytes = 0
        self.aborted: Abort | None = None
        self.last_read = self.last_write = self.started
        self._progress: Progress = "unsent"
        self._reported: dict[str, str] = {}
        self._to_error_frame: Callable[[ErrorBody], bytes] = chat_error_frame
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None

    def check_headers(self) -> None:
        """Raise InvalidRequest where a header stands twice of which only one can be meant."""
        for name in sorted(self.repeated):
            if name in _ONCE or name.startswith(_ONCE_PREFIX):
                raise repeated(name)

    # -- request ------------------------------------------------------------------------------------

    async def read_body(self, limit: int, idle_seconds: float) -> bytes:
        """Return the whole body. Raises InvalidRequest over `limit` bytes or when it stalls, ClientGone."""
        declared = self.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        chunks, size = [], 0
        async for chunk in self.body_chunks(idle_seconds):
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def body_chunks(self, idle_seconds: float) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""
        more = True
        while more:
            try:
                async with asyncio.timeout(idle_seconds):
                    message = await self._receive()
            except TimeoutError:
                raise InvalidRequest("The body of your request did not arrive in time.", None, status=408) from None
            if message["type"] == "http.disconnect":
                raise ClientGone
            more = message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    def watch(self) -> None:
        """From now on, a client that leaves aborts the request. The body must have been read."""
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.abort("client_gone")

    def abort(self, why: Abort) -> None:
        """End the request: its task is cancelled, and `aborted` says why."""
        if self.aborted is None and self._task is not None:
            self.aborted = why
            self._task.cancel()

    def absorb_abort(self) -> bool:
        """Whether a CancelledError came from `abort`; if so the task may go on and clean up."""
        if self.aborted is None or self._task is None:
            return False
        self._task.uncancel()
        return True

    def close(self) -> None:
        """Stop watching the client."""
        if self._watcher is not None:
            self._watcher.cancel()
        metrics.HTTP_REQUESTS.labels(self.surface, str(self.status)).inc()

    # -- response -----------------------------------------------------------------------------------

    @property
    def is_unsent(self) -> bool:
        """Whether nothing of the response was sent, so that its status can still be chosen."""
        return self._progress == "unsent"

    @property
    def is_streaming(self) -> bool:
        """Whether an event stream has begun: what follows are frames of it."""
        return self._progress in _STREAMING

    @property
    def is_unread(self) -> bool:
        """Whether the client has not taken what was last sent."""
        return self._progress in _UNREAD

    def milliseconds(self) -> float:
        """Time since the request began."""
        return (time.monotonic() - self.started) * 1000

    def note_read(self) -> None:
        """The upstream has sent something."""
        self.last_read = time.monotonic()

    def report(self, headers: Headers) -> None:
        """Send these headers with whatever response comes; one that was reported before is replaced."""
        self._reported.update(headers)

    def reported(self, name: str) -> str | None:
        """Return the value of a header that was reported."""
        return self._reported.get(name)

    def frame_errors(self, to_frame: Callable[[ErrorBody], bytes]) -> None:
        """Send a failure within an event stream as the frame that `to_frame` makes of it, not as a chat client's."""
        self._to_error_frame = to_frame

    async def start(self, status: int, headers: Headers) -> None:
        """Begin a response that is no event stream of ours: send its status, these headers and what was reported."""
        self._progress = "body"
        await self._start(status, headers)

    async def start_stream(self) -> None:
        """Begin an event stream, with what was reported."""
        self._progress = "events"
        await self._start(200, STREAM_HEADERS)

    async def _start(self, status: int, headers: Headers) -> None:
        self.status = status
        merged = {"x-request-id": self.request_id, **self._reported, **headers}
        raw = [(key.encode("latin-1"), value.encode("latin-1", "replace")) for key, value in merged.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """Send bytes of the body; waits while the client does not read."""
        self._progress = _WRITING[self._progress]
        await self._send({"type": "http.response.body", "body": data, "more_body": more})
        self._written(data)

    def write_now(self, data: bytes) -> bool:
        """Send bytes of the body if that takes no waiting; return whether it did. `write` them otherwise."""
        if not send_now(self._send, {"type": "http.response.body", "body": data, "more_body": True}):
            return False
        self._written(data)
        return True

    def _written(self, data: bytes) -> None:
        self._progress = _WRITTEN[self._progress]
        self.last_write = time.monotonic()
        self.sent_bytes += len(data)

    async def send(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """Send a whole answer, JSON unless `headers` say otherwise."""
        own = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        await self.start(status, own)
        await self.write(body, more=False)

    async def send_error(self, status: int, error: ErrorBody, headers: Headers | None = None) -> None:
        """Send OpenAI's error envelope."""
        await self.send(status, error_body(error), headers)

    async def end_with_error(self, status: int, error: ErrorBody, headers: Headers | None = None) -> None:
        """Tell the client of a failure in the way that is still open: a status, or a last frame.

        See docs/mapping.md#failures-in-a-stream.
        """
        if self.is_unsent:
            await self.send_error(status, error, headers)
        elif self.is_streaming:
            await self.write(self._to_error_frame(error), more=False)


def _read_headers(raw: Sequence[tuple[bytes, bytes]]) -> tuple[Headers, frozenset[str]]:
    """Return the headers, and the names of those that were given more than once, whose values are joined."""
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in raw}
    if len(headers) == len(raw):
        return headers, frozenset()
    values: dict[str, list[str]] = {}
    for key, value in raw:
        values.setdefault(key.decode("latin-1"), []).append(value.decode("latin-1"))
    joined = {key: ", ".join(several) for key, several in values.items()}
    return joined, frozenset(key for key, several in values.items() if len(several) > 1)


def _too_large(limit: int) -> InvalidRequest:
    return InvalidRequest(
        f"The body of your request exceeds the limit of {limit} bytes.", None, "request_too_large", status=413
    )
