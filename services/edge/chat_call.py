"""One try of one chat call: the request upstream, and its answer on the way to the client.

The end of an answer is released once its record is in the spool and its turn is kept, or the time for
that is over.
"""

import asyncio
import re
import time
from functools import partial

import aiohttp

from libs.runtime import metrics
from libs.schemas.bus import Converted
from libs.schemas.output import Response
from libs.schemas.records import Outcome
from libs.translate import items
from libs.translate.chained import NotChained, check_chained
from libs.translate.completion import COMPLETION_ENCODER, to_completion
from libs.translate.errors import TranslationError
from libs.translate.finish import finish_reason, response_failure
from libs.translate.lift import Skeleton, splice
from libs.translate.sse import FrameParser, FrameTooLarge
from services.edge import calls, failures
from services.edge.answers import ChatRenderer, Ending, Renderer, TypedRenderer, tell_differences
from services.edge.edge import Edge
from services.edge.exchange import Exchange, chat_error_frame
from services.edge.keep import Keeper
from services.edge.made import Made, made
from services.edge.marks import Mark
from services.edge.model_call import ModelCall, UpstreamRefused, decode_response, read_response
from services.edge.own_key import UpstreamKeyRefused
from services.edge.owners import guarded
from services.edge.polling import settled
from services.edge.push import Pushed
from services.edge.stale import find_stale
from services.edge.tenants import Caller
from services.edge.upstream import UPSTREAM_ERROR, UpstreamTruncated, error_headers

MAX_LOSSES_TOLD = 32  # headers must stay small
_UNSAFE = re.compile(r"[^\w.:\[\]-]", re.ASCII)  # in a header: the names of item types are the upstream's
DRAIN_SECONDS = 5.0  # for the usage of an answer that a stop sequence ended
_OUTCOMES: dict[str | None, Outcome] = {"incomplete": "incomplete", "failed": "failed", "cancelled": "failed"}


class ChatCall:
    """Made for one try; `run` answers the client."""

    def __init__(
        self, edge: Edge, exchange: Exchange, caller: Caller, converted: Converted, attempt: int, mark: Mark
    ) -> None:
        self._edge = edge
        self._exchange = exchange
        self._caller = caller
        self._converted = converted
        self._plan = converted.plan
        self._attempt = attempt
        self._continues = bool(converted.plan.replayed)
        self._mark = mark
        self._keeper = Keeper(edge, exchange, caller, converted.plan, mark)
        self._call: ModelCall
        self._record: calls.Call
        self._made: Made

    async def run(self, bones: Skeleton) -> None:
        """Send the request and answer the client. Raises TranslationError, and Stale where a plain retry may help."""
        edge, exchange = self._edge, self._exchange
        if exchange.aborted is not None:  # the bus may have swallowed the cancellation
            raise asyncio.CancelledError
        pieces = splice(self._converted.body, bones)
        self._call = ModelCall(edge, exchange, self._caller, self._converted, self._attempt, pieces)
        self._record = self._call.record
        upstream = self._call.upstream
        stored = self._converted.stored and guarded(upstream)
        self._made = made(edge, exchange, self._caller, upstream, stored=stored)
        edge.streams.add(exchange, streamed=self._plan.stream)
        try:
            async with self._call.ask() as answer:
                exchange.last_read = time.monotonic()
                await self._call.check(answer)
                await (self._stream(answer) if self._plan.stream else self._whole(answer))
        except TranslationError as failure:
            error = self._call.disclosed(failure)
            self._check_stale(error)
            self._end_unchained(error)
            if isinstance(error, UpstreamRefused):
                exchange.response_headers.update(error.headers)
            self._record.end(failures.outcome(error), status=error.status, error_code=error.error.code)
            raise error from None
        except asyncio.CancelledError:
            self._record.end(calls.ABORT_OUTCOMES[exchange.aborted] if exchange.aborted else "cancelled", status=0)
            raise
        finally:
            self._mark.seen = exchange.status != 0 and self._record.has_output
            edge.streams.remove(exchange)

    # -- answers ------------------------------------------------------------------------------------

    def _check_stale(self, error: TranslationError) -> None:
        """Raise Stale where the upstream cannot continue what the request does, and nothing went out yet."""
        stale = find_stale(self._converted, self._exchange, error, has_output=self._record.has_output)
        if stale is not None:
            self._end_unchained(error)
            self._record.end("refused", status=error.status, error_code=error.error.code)
            raise stale

    def _end_unchained(self, error: TranslationError) -> None:
        """An answer that is withheld was paid for like any other."""
        if isinstance(error, NotChained):
            code = error.error.code
            self._record.end("refused", status=200, error_code=code, response=error.response)

    async def _whole(self, answer: aiohttp.ClientResponse) -> None:
        response, body = await read_response(answer)
        if response.status in ("queued", "in_progress"):
            body = await settled(self._edge, self._exchange, self._call.upstream, self._caller, response.id)
            response = decode_response(body)
        if self._plan.format == "responses":
            self._check_disclosed(response)
            check_chained(response, self._plan)
            data, reason = body, finish_reason(response, has_calls=False)
        else:
            completion = to_completion(response, self._plan)
            data, reason = COMPLETION_ENCODER.encode(completion), completion.choices[0].finish_reason
            self._tell_losses(items.losses(response.output, self._plan))
        self._record.first_output()
        await self._mark.settled()
        await self._finish(Ending(frames=[], response=response, output=response.output, finish_reason=reason))
        await self._exchange.send(200, data)

    def _check_disclosed(self, response: Response) -> None:
        """Raise what a client hears instead of a failure about Parley's own key."""
        if response.status == "failed":
            told = response_failure(response)
            disclosed = self._call.disclosed(told)
            if disclosed is not told:
                raise disclosed

    def _tell_losses(self, lost: list[str]) -> None:
        """Name what of the answer has no place in a completion beside what the request lost."""
        if lost:
            named = [_UNSAFE.sub("?", name) for name in lost[:MAX_LOSSES_TOLD]]
            self._exchange.response_headers["x-parley-dropped"] = ",".join([*self._converted.dropped, *named])

    async def _stream(self, answer: aiohttp.ClientResponse) -> None:
        exchange, parser, renderer = self._exchange, FrameParser(), self._renderer()
        rendered, drained, named = b"", False, False

        def take(data: bytes) -> bool:
            """Render a read and send it, where the answer has begun and the client reads; is nothing left to do?"""
            nonlocal rendered, named
            exchange.last_read = time.monotonic()
            if exchange.streaming:
                renderer.keepalive()
            frames = [frame for name, payload in parser.feed(data) for frame in renderer.feed(name, payload)]
            if renderer.created is not None and not named:
                named = True
                self._record.identify(renderer.created)
                self._made.claim([("response", renderer.created.id)])
            rendered = b"".join(frames)
            if rendered and exchange.streaming:
                self._record.first_output()
                if not self._made.fresh and exchange.write_now(rendered):
                    rendered = b""
            done = renderer.failure is None and renderer.ending is None and renderer.stopped is drained
            return done and not rendered

        pushed = Pushed(answer, take)
        try:
            async with asyncio.timeout(None) as drain:
                while await pushed.left():
                    if isinstance(renderer.failure, NotChained):
                        self._check_stale(renderer.failure)  # before what came with it goes out
                    if rendered:
                        await self._write(rendered)
                    if renderer.failure is not None:
                        self._fail(renderer.failure, renderer.told)
                    if renderer.ending is not None:
                        await self._end(renderer.ending)
                        return
                    if renderer.stopped and not drained:
                        drained = True
                        drain.reschedule(asyncio.get_running_loop().time() + DRAIN_SECONDS)
        except TimeoutError:
            await self._end(renderer.without_usage())
            return
        except (aiohttp.ClientError, OSError, FrameTooLarge):
            raise UpstreamTruncated from None
        raise UpstreamTruncated

    def _renderer(self) -> Renderer:
        if self._plan.format == "chat":
            return ChatRenderer(self._plan)
        renderer = TypedRenderer(self._plan, mendable=self._continues, disclosed=self._call.disclosed)
        self._exchange.error_frame = renderer.error_frame
        return renderer

    async def _write(self, data: bytes) -> None:
        await self._start()
        self._record.first_output()
        await self._made.gone()
        await self._exchange.write(data)

    async def _start(self) -> None:
        if not self._exchange.streaming:
            await self._mark.settled()
            await self._exchange.start_stream()

    def _fail(self, error: TranslationError, told: bytes) -> None:
        """The upstream failed within its answer; `told` is the event that said so."""
        error = self._call.disclosed(error)
        if isinstance(error, UpstreamKeyRefused):
            raise error
        self._check_stale(error)  # before the headers of this answer are those of the next
        if isinstance(error, NotChained):
            raise error
        headers = error_headers(told, error.error)
        self._exchange.response_headers.update(headers)  # while there is a status to send
        self._exchange.error_frame = partial(chat_error_frame, upstream_error=headers.get(UPSTREAM_ERROR))
        raise error

    async def _end(self, ending: Ending) -> None:
        tell_differences(ending.differences, self._exchange.request_id)
        if not self._exchange.streaming:
            await self._mark.settled()
        await self._finish(ending)
        await self._start()
        await self._exchange.write(b"".join(ending.frames), more=False)

    async def _finish(self, ending: Ending) -> None:
        """Keep the record and, where the answer may be continued, the turn."""
        response, output, reason = ending.response, ending.output, ending.finish_reason
        call_ids = items.call_ids(output)
        for lost in items.losses(output, self._plan):
            what = lost.rpartition(".")[2]
            metrics.ANSWER_LOSSES.labels(what if what in items.FATES else "other").inc()
        outcome = _OUTCOMES.get(response.status, "ok")
        code = None if response.error is None or response.error.code is None else str(response.error.code)
        self._record.end(outcome, error_code=code, response=response, finish_reason=reason, tool_calls=len(call_ids))
        self._keeper.ended(response, output, outcome, ending.said)
        if self._plan.format == "responses":
            self._made.response(response)
        else:
            self._made.claim([("response", response.id)])  # a chat client is told of no items
        await asyncio.gather(self._keeper.kept(), self._made.kept())
