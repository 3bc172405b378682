"""One try of one chat call: its upstream calls, one for each choice, and their answers on the way to the client.

One choice is the ordinary case. With more of them the status waits until each has begun, and the failure of one is
the failure of all (docs/mapping.md#several-choices). The end of an answer is released once its record is in the spool
and its turn is kept, or the time for that is over.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

import aiohttp

from libs.runtime import metrics
from libs.schemas.bus.convert import Converted
from libs.translate.answer import item_fates
from libs.translate.answer.chain_check import NotChained, check_chained
from libs.translate.answer.completion import COMPLETION_ENCODER, to_completion
from libs.translate.answer.fanout import merge_completions
from libs.translate.answer.finish import ended, response_failure
from libs.translate.errors import AnswerUnusable, TranslationError
from libs.translate.lift import Skeleton, splice
from libs.translate.request.dropped import to_header_names
from libs.translate.sse import FrameParser, FrameTooLarge
from services.edge.answering import outcomes
from services.edge.answering.committing import Keeper
from services.edge.answering.marks import Mark
from services.edge.answering.model_call import ModelCall
from services.edge.answering.rendering import Ending, Renderer, TypedRenderer, renderers, report_differences
from services.edge.answering.stale_turns import Stale, find_stale
from services.edge.errors import UpstreamKeyRefused, UpstreamRefused, UpstreamTooLarge, UpstreamTruncated
from services.edge.http.exchange import chat_error_frame
from services.edge.ownership.claiming import id_claims
from services.edge.ownership.owners import guarded
from services.edge.served import ServedRequest
from services.edge.upstreams.client import UPSTREAM_ERROR, error_headers
from services.edge.upstreams.push import Pushed, Take

DRAIN_SECONDS = 5.0  # for the usage of answers that a stop sequence ended


class Attempt:
    """Made for one try; `run` answers the client. `number` is that of its first upstream call, from 1 in a request."""

    def __init__(self, served: ServedRequest, converted: Converted, number: int, mark: Mark) -> None:
        self._served = served
        self._exchange = served.exchange
        self._converted = converted
        self._plan = converted.plan
        self._number = number
        self._mark = mark
        self._upstream = served.edge.upstream(converted.upstream)
        stored = converted.stored and guarded(self._upstream)
        self._made = id_claims(served, self._upstream, stored=stored)
        self._keeper = Keeper(served, converted.plan, mark)
        self._calls: list[ModelCall] = []
        self._open: list[ModelCall] = []  # whose streams go on
        self._faulty: ModelCall | None = None  # whose answer the client cannot have
        self._has_output = False
        self._rendered = b""  # what could not be written at once
        self._last: list[bytes] = []  # frames that end the stream

    async def run(self, lifted_body: Skeleton) -> None:
        """Send the request and answer the client. Raises TranslationError, and Stale where a plain retry may help."""
        exchange, plan = self._exchange, self._plan
        if exchange.aborted is not None:  # the bus may have swallowed the cancellation
            raise asyncio.CancelledError
        if plan.choices > 1:
            exchange.report({"x-parley-fanout": str(plan.choices)})
        pieces = splice(self._converted.body, lifted_body)
        self._calls = [self._call(choice, pieces, renderer) for choice, renderer in enumerate(self._renderers())]
        streams = self._served.edge.streams
        streams.add(exchange, streamed=plan.stream)
        try:
            await (self._stream() if plan.stream else self._unstreamed())
        except TranslationError as failure:
            raise self._failed(failure) from None
        except asyncio.CancelledError:
            for call in self._calls:
                outcomes.end_cancelled(call.record, exchange)
            raise
        finally:
            self._mark.seen = self._has_output and not exchange.is_unsent
            streams.remove(exchange)
            for call in self._calls:
                await call.close()

    def _call(self, choice: int, pieces: Sequence[bytes | memoryview], renderer: Renderer | None) -> ModelCall:
        number = self._number + choice
        return ModelCall(self._served, self._upstream, self._converted, number, pieces, renderer)

    def _renderers(self) -> Sequence[Renderer | None]:
        plan = self._plan
        if not plan.stream:
            return [None] * plan.choices
        made = renderers(plan, mendable=bool(plan.continued), disclosed=self._disclosed)
        if isinstance(made[0], TypedRenderer):
            self._exchange.frame_errors(made[0].error_frame)
        return made

    # -- failures -----------------------------------------------------------------------------------

    def _disclosed(self, error: TranslationError) -> TranslationError:
        return self._served.edge.upstreams.disclosed(self._upstream, error)

    def _stale(self, error: TranslationError) -> Stale | None:
        return find_stale(self._converted, self._exchange, error, has_output=self._has_output)

    def _failed(self, failure: TranslationError) -> TranslationError | Stale:
        """Close the records of a try that failed; return what is raised for it."""
        error = self._disclosed(failure)
        stale = self._stale(error)
        for call in self._calls:
            paid = failure.response if call is self._faulty and isinstance(failure, AnswerUnusable) else None
            outcomes.end_failed(call.record, error, paid, refused=stale is not None)
        if isinstance(error, UpstreamRefused) and stale is None:
            self._exchange.report(error.headers)
        return stale or error

    def _explained(self, call: ModelCall, failure: TranslationError, payload: bytes) -> TranslationError:
        """Return the client's error for a failure within an answer. The upstream's event is `payload`."""
        self._faulty = call
        error = self._disclosed(failure)
        if isinstance(error, UpstreamKeyRefused | NotChained) or self._stale(error) is not None:
            return error  # the headers of this answer may become those of the next
        headers = error_headers(payload, error.error)
        self._exchange.report(headers)  # while there is a status to send
        self._exchange.frame_errors(partial(chat_error_frame, upstream_error=headers.get(UPSTREAM_ERROR)))
        return error

    # -- whole answers ------------------------------------------------------------------------------

    async def _unstreamed(self) -> None:
        await _together(call.fetch() for call in self._calls)
        data = self._typed(self._calls[0]) if self._plan.format == "responses" else self._completion()
        self._note_output()
        await self._mark.settled()
        plan = None if self._plan.format == "responses" else self._plan
        for call in self._calls:
            response = call.response
            how = ended(response, response.output, plan)
            self._end(call, Ending(frames=[], how=how, response=response, output=response.output))
        await asyncio.gather(self._keeper.kept(), self._made.claimed())
        self._report_losses()
        await self._exchange.send(200, data)

    def _typed(self, call: ModelCall) -> bytes:
        """Return a Response object as it came. Raises UpstreamKeyRefused, NotChained."""
        if call.response.status == "failed":
            failure = response_failure(call.response)
            disclosed = self._disclosed(failure)
            if disclosed is not failure:
                raise disclosed
        self._faulty = call
        check_chained(call.response, self._plan)
        return call.body

    def _completion(self) -> bytes:
        completions = []
        for call in self._calls:
            try:
                completions.append(to_completion(call.response, self._plan))
            except AnswerUnusable as failure:
                raise self._explained(call, failure, call.body) from None
        return COMPLETION_ENCODER.encode(merge_completions(completions))

    def _report_losses(self) -> None:
        """Name what of the answer has no place in a completion beside what the request lost."""
        many = len(self._calls) > 1
        lost = [
            f"choices[{choice}].{name}" if many else name
            for choice, call in enumerate(self._calls)
            for name in call.losses
        ]
        if lost:
            self._exchange.report({"x-parley-dropped": ",".join([*self._converted.dropped, *to_header_names(lost)])})

    # -- streams ------------------------------------------------------------------------------------

    async def _stream(self) -> None:
        await _together(call.open() for call in self._calls)
        self._open = list(self._calls)
        pushed = Pushed(*((call.answer, self._taker(call)) for call in self._calls))
        try:
            async with asyncio.timeout(None) as drain:
                while self._open:
                    if await pushed.left():
                        await self._act(pushed)
                    else:
                        await self._break_off(pushed, [call for call in self._open if call.answer.content.at_eof()])
                    if drain.when() is None and all(call.was_stopped for call in self._open):
                        drain.reschedule(asyncio.get_running_loop().time() + DRAIN_SECONDS)
        except TimeoutError:  # of streams that were stopped, and whose usage does not come
            await self._break_off(pushed, list(self._open))
        except FrameTooLarge:
            raise UpstreamTooLarge from None
        except (aiohttp.ClientError, OSError):
            raise UpstreamTruncated from None
        await asyncio.gather(self._keeper.kept(), self._made.claimed())
        await self._start()
        await self._exchange.write(b"".join(self._last), more=False)

    def _taker(self, call: ModelCall) -> Take:
        """Return what takes the reads of one stream; it says whether it has left nothing to do."""
        exchange, renderer, id_claims, parser = self._exchange, call.renderer, self._made, FrameParser()

        def take(data: bytes) -> bool:
            exchange.note_read()
            is_streaming = exchange.is_streaming
            if is_streaming:
                renderer.keepalive()
            frames = [frame for name, payload in parser.feed(data) for frame in renderer.feed(name, payload)]
            if not call.is_named and renderer.created is not None:
                self._name(call)
            rendered = b"".join(frames)
            if rendered and is_streaming:
                if not self._has_output:
                    self._note_output()
                if not id_claims.fresh and exchange.write_now(rendered):
                    rendered = b""
            self._rendered = rendered
            is_as_before = renderer.failure is None and renderer.ending is None and renderer.stopped is call.was_stopped
            return is_as_before and not rendered

        return take

    def _name(self, call: ModelCall) -> None:
        created = call.renderer.created
        if created is not None:
            call.is_named = True
            call.response = created
            call.record.identify(created)
            self._made.claim([("response", created.id)])

    async def _act(self, pushed: Pushed) -> None:
        """Do what a read left to do. Raises what a stream failed with."""
        failed = next((call for call in self._open if call.renderer.failure is not None), None)
        failure = None if failed is None else failed.renderer.failure
        if isinstance(failure, NotChained) and self._stale(failure) is not None:
            self._faulty = failed
            raise failure  # before what came with it goes out
        if self._rendered:
            await self._write(self._rendered)
        if failed is not None and failure is not None:
            raise self._explained(failed, failure, failed.renderer.failure_payload)
        for call in list(self._open):
            call.was_stopped = call.renderer.stopped
            if call.renderer.ending is not None:
                await self._end_stream(pushed, call, call.renderer.ending)

    async def _break_off(self, pushed: Pushed, calls: Iterable[ModelCall]) -> None:
        """No more comes of these streams. Raises UpstreamTruncated where one may not pass for whole."""
        for call in calls:
            ending = call.renderer.broken_off()
            if ending is None:
                raise UpstreamTruncated
            await self._end_stream(pushed, call, ending)

    async def _write(self, data: bytes) -> None:
        await self._start()
        self._note_output()
        await self._made.gone()
        await self._exchange.write(data)

    async def _start(self) -> None:
        if not self._exchange.is_streaming:
            await self._mark.settled()
            await self._exchange.start_stream()

    def _note_output(self) -> None:
        self._has_output = True
        for call in self._calls:
            call.record.first_output()

    async def _end_stream(self, pushed: Pushed, call: ModelCall, ending: Ending) -> None:
        """One stream has ended: its connection is closed, and its last frames wait for those of the others."""
        self._open.remove(call)
        pushed.drop(call.answer)
        report_differences(ending.differences, self._exchange.request_id)
        if not self._exchange.is_streaming:
            await self._mark.settled()
        self._end(call, ending)
        self._last += ending.frames
        if self._open:
            await call.close()

    def _end(self, call: ModelCall, ending: Ending) -> None:
        """Close the record of an answer and, where it may be continued, begin to keep its turn."""
        call.losses = ending.how.losses
        for lost in call.losses:
            what = lost.rpartition(".")[2]
            metrics.ANSWER_LOSSES.labels(what if what in item_fates.FATES else "other").inc()
        call.record.answered(ending.how, ending.response)
        self._keeper.ended(ending.response, ending.output, ending.how.outcome, ending.sent)
        if self._plan.format == "responses":
            self._made.response(ending.response)
        else:
            self._made.claim([("response", ending.response.id)])  # a chat client gets no ids of items


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all, and end all with the first that fails."""
    first, *others = work
    if not others:
        return await first
    tasks = [asyncio.create_task(one) for one in (first, *others)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
