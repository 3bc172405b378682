"""POST /v1/chat/completions: the hot path, top to bottom.

Convert over the bus, call the upstream, translate its answer here, event by event, and release the
end of it once the turn and its record are kept. What the request needs is in the plan; the body is
not read again.
"""

import asyncio
import time
from collections.abc import Sequence

import aiohttp
import msgspec

from libs.runtime import metrics
from libs.schemas.bus import Converted, Turn
from libs.schemas.chat import ChatEnvelope
from libs.schemas.config import Upstream
from libs.schemas.events import TERMINAL, Keepalive, StreamEvent, decode_event
from libs.schemas.responses import RESPONSE_DECODER, FunctionCallItem, Response, decode_item
from libs.translate import fingerprint
from libs.translate.completion import COMPLETION_ENCODER, to_completion, to_message
from libs.translate.errors import InvalidRequest, TranslationError
from libs.translate.lift import Skeleton, splice, total_bytes
from libs.translate.request import decode_body
from libs.translate.routing import route
from libs.translate.sse import FrameParser, FrameTooLarge
from libs.translate.stream import DONE_FRAME, KEEPALIVE_FRAME, Chunks, ChunkStream, to_frame
from libs.translate.upstream_errors import is_stale, read_error, to_chat_error
from services.edge import calls, failures
from services.edge.edge import Edge
from services.edge.exchange import Exchange
from services.edge.media import skeleton
from services.edge.responses import relay_call
from services.edge.tenants import Caller
from services.edge.upstream import (
    ERROR_BODY_LIMIT,
    UpstreamTruncated,
    read_limited,
    told_headers,
)

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
_ENVELOPE = msgspec.json.Decoder(ChatEnvelope)
_DONE = b"[DONE]"


class _Stale(Exception):
    """The upstream no longer knows what the request continues, and said so before any output."""


class ChatEndpoint:
    """The endpoint."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. Raises TranslationError."""
        edge = self._edge
        settings = edge.config.edge
        caller = edge.tenants.identify(exchange.headers)
        body = await exchange.read_body(settings.max_body_bytes, settings.body_idle_timeout_seconds)
        bones = await skeleton(body)
        envelope: ChatEnvelope = decode_body(_ENVELOPE, bones.body)
        way = route(edge.config.upstream, envelope.model)
        exchange.watch()
        if way.bridge == "bypass":
            await relay_call(
                edge, exchange, caller, way, body, surface="chat", path="/chat/completions", envelope=envelope
            )
            return
        conversation = edge.conversation(exchange)
        if conversation is not None:
            exchange.response_headers["x-parley-conversation"] = conversation
        converted = await edge.convert(exchange, caller, bones, conversation)
        try:
            await _ChatCall(edge, exchange, caller, converted, 1).run(bones, body)
        except _Stale:
            converted = await self._plain(exchange, caller, bones, conversation, converted)
            await _ChatCall(edge, exchange, caller, converted, 2).run(bones, body)

    async def _plain(
        self, exchange: Exchange, caller: Caller, bones: Skeleton, conversation: str | None, stale: Converted
    ) -> Converted:
        """Forget what the upstream forgot, and convert the request again, whole."""
        if stale.plan.commit is not None and stale.entry is not None:
            self._edge.forget(exchange, caller, stale.plan.commit.scope, stale.entry)
        return await self._edge.convert(exchange, caller, bones, conversation, mode="plain")


class _ChatCall:
    """One try of one chat call: the upstream request and the translation of its answer."""

    def __init__(self, edge: Edge, exchange: Exchange, caller: Caller, converted: Converted, attempt: int) -> None:
        self._edge = edge
        self._exchange = exchange
        self._caller = caller
        self._converted = converted
        self._plan = converted.plan
        self._attempt = attempt
        self._upstream = _named(edge.config.upstream, converted.upstream)
        self._record: calls.Call

    async def run(self, bones: Skeleton, original: bytes) -> None:
        """Send the request and answer the client. Raises TranslationError, and _Stale where a plain retry may help."""
        if self._exchange.aborted is not None:  # the bus may have swallowed the cancellation
            raise asyncio.CancelledError
        pieces = splice(self._converted.body, bones, original)
        length = total_bytes(pieces)
        self._tell()
        self._record = self._begin(length)
        headers = {
            "content-type": "application/json",
            "content-length": str(length),
            "accept": "text/event-stream" if self._plan.stream else "application/json",
            "user-agent": "parley",
            "traceparent": self._exchange.traceparent,
            **self._edge.upstreams.auth_headers(self._upstream, self._caller),
        }
        self._edge.streams.add(self._exchange, streamed=self._plan.stream)
        try:
            async with self._edge.upstreams.request(
                self._upstream,
                "POST",
                "/responses",
                headers=headers,
                body=pieces,
            ) as answer:
                self._exchange.last_read = time.monotonic()
                self._exchange.response_headers.update(told_headers(answer.headers))
                if answer.status != 200:
                    await self._refuse(answer)
                elif self._plan.stream:
                    await self._stream(answer)
                else:
                    await self._whole(answer)
        except TranslationError as error:
            self._record.end(failures.outcome(error), status=error.status, error_code=error.error.code)
            raise
        except asyncio.CancelledError:
            aborted = self._exchange.aborted
            self._record.end(calls.ABORT_OUTCOMES.get(aborted, "cancelled") if aborted else "cancelled", status=0)
            raise
        finally:
            self._edge.streams.remove(self._exchange)

    def _begin(self, length: int) -> calls.Call:
        return calls.begin(
            self._edge.sink,
            self._exchange,
            self._caller,
            surface="chat",
            attempt=self._attempt,
            model=self._converted.model,
            upstream=self._converted.upstream,
            streamed=self._plan.stream,
            request_bytes=length,
            previous_response_id=self._converted.previous_response_id,
            conversation=self._plan.commit.conversation if self._plan.commit else None,
        )

    def _tell(self) -> None:
        """Set the headers that say what became of the request."""
        continuity = self._converted.continuity
        headers = self._exchange.response_headers
        headers["x-parley-continuity"] = f"{continuity.mode};reason={continuity.reason};matched={continuity.matched}"
        if self._converted.dropped:
            headers["x-parley-dropped"] = ",".join(self._converted.dropped)

    # -- answers ------------------------------------------------------------------------------------

    async def _refuse(self, answer: aiohttp.ClientResponse) -> None:
        """The upstream answered with an error status."""
        error = read_error(await read_limited(answer, ERROR_BODY_LIMIT))
        status = answer.status if answer.status >= 400 else 502
        if self._converted.previous_response_id is not None and status in (400, 404) and is_stale(error):
            self._end_stale(status, str(error.code))
        chat_error = to_chat_error(status, error, self._plan)
        self._record.end("refused" if status < 500 else "failed", status=status, error_code=chat_error.code)
        await self._exchange.send_error(status, chat_error)

    def _end_stale(self, status: int, code: str) -> None:
        self._record.end("refused", status=status, error_code=code)
        metrics.FALLBACKS.labels(code).inc()
        raise _Stale

    async def _whole(self, answer: aiohttp.ClientResponse) -> None:
        body = await read_limited(answer, MAX_RESPONSE_BYTES)
        try:
            response = RESPONSE_DECODER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UpstreamTruncated from None
        completion = to_completion(response, self._plan)
        data = COMPLETION_ENCODER.encode(completion)
        self._record.first_output()
        await self._finish(response, response.output, completion.choices[0].finish_reason)
        await self._exchange.send(200, data)

    async def _stream(self, answer: aiohttp.ClientResponse) -> None:
        exchange, parser, stream = self._exchange, FrameParser(), ChunkStream(self._plan)
        try:
            async for data in answer.content.iter_any():
                exchange.last_read = time.monotonic()
                frames: list[bytes] = []
                for name, payload in parser.feed(data):
                    event = _decode(name, payload)
                    if isinstance(event, TERMINAL):
                        await self._end_stream(stream, event, frames)
                        return
                    if isinstance(event, Keepalive) and exchange.streaming:
                        frames.append(KEEPALIVE_FRAME)
                    elif event is not None:
                        frames += map(to_frame, stream.feed(event))
                if frames:
                    await self._write(b"".join(frames))
        except (aiohttp.ClientError, OSError, FrameTooLarge):
            raise UpstreamTruncated from None
        raise UpstreamTruncated

    async def _write(self, data: bytes) -> None:
        if not self._exchange.streaming:
            await self._exchange.start_stream()
        self._record.first_output()
        await self._exchange.write(data)

    async def _end_stream(self, stream: ChunkStream, event: StreamEvent, frames: list[bytes]) -> None:
        """Release what came before the end, keep the turn and the record, then release the end."""
        try:
            chunks = stream.feed(event)
        except TranslationError as error:
            if frames:
                await self._write(b"".join(frames))
            stale = read_error(msgspec.json.encode({"error": error.error}))
            if self._exchange.status == 0 and self._converted.previous_response_id is not None and is_stale(stale):
                self._end_stale(error.status, str(error.error.code))
            raise
        response = stream.response
        assert response is not None
        body_frames, end_frames = _split(chunks)
        if frames or body_frames:
            await self._write(b"".join([*frames, *body_frames]))
        finish = _finish_reason(chunks)
        await self._finish(response, stream.output(), finish)
        await self._exchange.write(b"".join([*end_frames, DONE_FRAME]), more=False)

    async def _finish(self, response: Response, output: Sequence[msgspec.Raw], finish_reason: str) -> None:
        """Keep the record and, where the answer may be continued, the turn."""
        call_ids = [item.call_id for item in map(decode_item, output) if isinstance(item, FunctionCallItem)]
        whole = response.status in (None, "completed")
        self._record.end(
            "ok" if whole else "incomplete", response=response, finish_reason=finish_reason, tool_calls=len(call_ids)
        )
        plan = self._plan.commit
        if plan is None or not whole:
            return
        now = int(time.time())
        turn = Turn(
            response_id=response.id,
            account=plan.account,
            model=plan.model,
            call_ids=call_ids,
            created=now,
            expires=now + self._edge.config.state.turn_ttl_seconds,
        )
        prefix = fingerprint.answered(plan.prefix, to_message(output, self._plan))
        await self._edge.commit(self._exchange, self._caller, plan, prefix, turn)


def _named(upstreams: list[Upstream], name: str) -> Upstream:
    found = next((upstream for upstream in upstreams if upstream.name == name), None)
    if found is None:
        raise InvalidRequest(f"No upstream is called '{name}'.", "model", "model_not_found", status=404)
    return found


def _decode(name: bytes, payload: bytes) -> StreamEvent | None:
    """Decode one event; what cannot be read is counted and passed over: its text comes again in a `done`."""
    if payload == _DONE:
        return None
    try:
        return decode_event(name, payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        metrics.BAD_EVENTS.inc()
        return None


def _split(chunks: Chunks) -> tuple[list[bytes], list[bytes]]:
    """Part the last chunks into those of the answer's body and those that end it, from the finish chunk on."""
    first = next(k for k, chunk in enumerate(chunks) if chunk.choices and chunk.choices[0].finish_reason is not None)
    frames = [to_frame(chunk) for chunk in chunks]
    return frames[:first], frames[first:]


def _finish_reason(chunks: Chunks) -> str:
    reasons = (chunk.choices[0].finish_reason for chunk in chunks if chunk.choices)
    return next((reason for reason in reasons if reason is not None), "")
