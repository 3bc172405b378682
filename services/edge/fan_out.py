"""n > 1: one upstream call for each choice, merged into one answer (translation reference A.7).

The status waits until each choice has begun; the failure of one is the failure of all. Each call has a
record of its own, and each answer is kept by itself.
"""

import asyncio
import time
from collections.abc import Sequence

import aiohttp
from msgspec import Raw

from libs.schemas.bus import Converted
from libs.schemas.completion import AssistantMessage, ChatCompletion
from libs.schemas.events import Keepalive
from libs.schemas.output import Response
from libs.translate.chained import NotChained
from libs.translate.completion import COMPLETION_ENCODER, to_completion
from libs.translate.errors import TranslationError
from libs.translate.fanout import FanOut, merge_completions
from libs.translate.lift import Skeleton, splice
from libs.translate.sse import Frame, FrameParser, FrameTooLarge
from libs.translate.stream import DONE_FRAME, Chunks, to_frame
from services.edge import calls, failures
from services.edge.answers import decode, tell_differences
from services.edge.edge import Edge
from services.edge.exchange import Exchange
from services.edge.keep import Keeper
from services.edge.marks import Mark
from services.edge.model_call import ModelCall, UpstreamRefused, read_response
from services.edge.stale import find_stale
from services.edge.tap import end as end_record
from services.edge.tenants import Caller
from services.edge.upstream import UpstreamTruncated

QUEUED_READS = 16  # of all choices together; beyond it their upstreams wait
DRAIN_SECONDS = 5.0  # for the usage of a choice that a stop sequence ended

# What one upstream brings: frames, or the error that ended it; neither once it has closed.
_Read = tuple[int, list[Frame] | TranslationError | None]


class FanOutCall:
    """All upstream calls of one try of one request; `attempt` is the number of the first."""

    def __init__(
        self, edge: Edge, exchange: Exchange, caller: Caller, converted: Converted, attempt: int, mark: Mark
    ) -> None:
        self._edge = edge
        self._exchange = exchange
        self._caller = caller
        self._converted = converted
        self._plan = converted.plan
        self._attempt = attempt
        self._mark = mark
        self._keeper = Keeper(edge, exchange, caller, converted.plan, mark)
        self._calls: list[ModelCall] = []
        self._unchained: dict[ModelCall, Response] = {}  # what is withheld, and was paid for
        self._reads: asyncio.Queue[_Read] = asyncio.Queue(QUEUED_READS)
        self._readers: list[asyncio.Task[None]] = []

    async def run(self, bones: Skeleton) -> None:
        """Answer the client. Raises TranslationError, and Stale where a plain retry may help."""
        edge, exchange = self._edge, self._exchange
        for choice in range(self._plan.choices):
            pieces = splice(self._converted.body, bones)
            self._calls.append(ModelCall(edge, exchange, self._caller, self._converted, self._attempt + choice, pieces))
        exchange.response_headers["x-parley-fanout"] = str(self._plan.choices)
        edge.streams.add(exchange, streamed=self._plan.stream)
        try:
            await (self._stream() if self._plan.stream else self._whole())
        except TranslationError as failure:
            error = self._calls[0].disclosed(failure)
            stale = find_stale(self._converted, exchange, error)
            if isinstance(error, UpstreamRefused) and stale is None:
                exchange.response_headers.update(error.headers)
            for call in self._calls:
                paid = self._unchained.get(call)
                status = error.status if paid is None else 200
                call.record.end(failures.outcome(error), status=status, error_code=error.error.code, response=paid)
            raise (stale or error) from None
        except asyncio.CancelledError:
            aborted = exchange.aborted
            for call in self._calls:
                call.record.end(calls.ABORT_OUTCOMES[aborted] if aborted else "cancelled", status=0)
            raise
        finally:
            self._mark.seen = exchange.status != 0 and any(call.record.has_output for call in self._calls)
            edge.streams.remove(exchange)

    # -- whole --------------------------------------------------------------------------------------

    async def _whole(self) -> None:
        tasks = [asyncio.create_task(self._ask(call)) for call in self._calls]
        try:
            responses = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        merged = merge_completions([self._completed(*one) for one in zip(self._calls, responses, strict=True)])
        await self._mark.settled()
        for call, response in zip(self._calls, responses, strict=True):
            call.record.first_output()
            self._ended(call, response, response.output)
        await self._keeper.kept()
        await self._exchange.send(200, COMPLETION_ENCODER.encode(merged))

    def _completed(self, call: ModelCall, response: Response) -> ChatCompletion:
        try:
            return to_completion(response, self._plan)
        except NotChained:
            self._unchained[call] = response
            raise

    async def _ask(self, call: ModelCall) -> Response:
        async with call.ask() as answer:
            await call.check(answer)
            response, _ = await read_response(answer)
            return response

    # -- streamed -----------------------------------------------------------------------------------

    async def _stream(self) -> None:
        self._readers = [asyncio.create_task(self._read(choice)) for choice in range(self._plan.choices)]
        try:
            await self._merge(FanOut(self._plan))
        finally:
            for reader in self._readers:
                reader.cancel()
            await asyncio.gather(*self._readers, return_exceptions=True)

    async def _read(self, choice: int) -> None:
        """Bring the frames of one choice to the queue, and what ended them."""
        call, parser = self._calls[choice], FrameParser()
        try:
            async with call.ask() as answer:
                await call.check(answer)
                async for data in answer.content.iter_any():
                    frames = parser.feed(data)
                    if frames:
                        await self._reads.put((choice, frames))
            await self._reads.put((choice, None))
        except TranslationError as error:
            await self._reads.put((choice, error))
        except (aiohttp.ClientError, OSError, FrameTooLarge):
            await self._reads.put((choice, UpstreamTruncated()))

    async def _merge(self, merged: FanOut) -> None:
        open_choices = set(range(self._plan.choices))
        drain_ends: float | None = None
        while open_choices:
            try:
                async with asyncio.timeout_at(drain_ends):
                    choice, read = await self._reads.get()
            except TimeoutError:
                break  # what is still open was stopped, and its usage does not come
            self._exchange.last_read = time.monotonic()
            if choice not in open_choices:
                continue
            if isinstance(read, TranslationError):
                raise read
            if read is None:
                raise UpstreamTruncated
            await self._send(self._feed(merged, choice, read, open_choices))
            if drain_ends is None and all(merged.stream(choice).stopped for choice in open_choices):
                drain_ends = asyncio.get_running_loop().time() + DRAIN_SECONDS
        for choice in open_choices:
            self._calls[choice].record.end("ok", finish_reason="stop")
        await self._keeper.kept()
        await self._exchange.write(DONE_FRAME, more=False)

    def _feed(self, merged: FanOut, choice: int, frames: list[Frame], open_choices: set[int]) -> Chunks:
        chunks: Chunks = []
        stream = merged.stream(choice)
        for name, payload in frames:
            event = decode(name, payload)
            if event is None or isinstance(event, Keepalive):
                continue
            was_stopped = stream.stopped
            try:
                chunks += merged.feed(choice, event)
            except NotChained as error:
                self._unchained[self._calls[choice]] = error.response
                raise
            if stream.stopped and not was_stopped:
                chunks += merged.finish(choice)
                if not self._plan.include_usage:
                    self._leave(choice, open_choices)
                    break
            if stream.response is not None:
                tell_differences(stream.differences, self._exchange.request_id)
                self._ended(self._calls[choice], stream.response, stream.output(), stream.message())
                open_choices.discard(choice)
        return chunks

    def _ended(
        self, call: ModelCall, response: Response, output: Sequence[Raw], said: AssistantMessage | None = None
    ) -> None:
        """The answer of one choice is whole: nobody waits for it to be kept before all of them are."""
        self._keeper.ended(response, output, end_record(call.record, response), said)

    def _leave(self, choice: int, open_choices: set[int]) -> None:
        """Close the upstream of a choice that needs no more."""
        self._readers[choice].cancel()
        self._calls[choice].record.end("ok", finish_reason="stop")
        open_choices.discard(choice)

    async def _send(self, chunks: Chunks) -> None:
        if not chunks:
            return
        if not self._exchange.streaming:
            await self._mark.settled()
            await self._exchange.start_stream()
        for call in self._calls:
            call.record.first_output()
        await self._exchange.write(b"".join(map(to_frame, chunks)))
