"""Responses stream events to chat chunks, one `ChunkStream` per answer (docs/mapping.md#streams).

What the client may rely on: one role chunk first; dense tool indexes, each call's deltas contiguous;
images, then annotations, in one chunk each; one finish chunk; moderation, then usage last. It keeps no
clock and makes no ids.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from libs.schemas.plan import StreamPlan
from libs.schemas.wire import events
from libs.schemas.wire.completion import (
    AssistantMessage,
    ChatCompletionChunk,
    ChunkChoice,
    CompletionUsage,
    Delta,
    ModerationOut,
)
from libs.schemas.wire.output import Response
from libs.translate.answer.chain_check import check_chained
from libs.translate.answer.completion import sum_of
from libs.translate.answer.deltas import Choices, ItemTranslator
from libs.translate.answer.finish import Ended, ended, event_failure, failed, finish_reason, response_failure
from libs.translate.answer.moderation import to_moderation
from libs.translate.answer.usage import to_completion_usage
from libs.translate.errors import TranslationError
from libs.translate.ids import completion_id

DONE_FRAME = b"data: [DONE]\n\n"
KEEPALIVE_FRAME = b": keep-alive\n\n"

_ENCODER = msgspec.json.Encoder()
_UNRESOLVED_TIER = "auto"
_BEGINNING = (events.OutputItemAdded, events.OutputItemDone)  # output begins, whatever it will be
_ROLE = Delta(role="assistant", content="", refusal=None)
_NOTHING = Delta()
Chunks = list[ChatCompletionChunk]


def to_frame(chunk: ChatCompletionChunk) -> bytes:
    """Return the frame of one chunk."""
    return b"data: %b\n\n" % _ENCODER.encode(chunk)


def finish_at(chunks: Chunks) -> int:
    """Return where the finish chunk stands, from which on an answer ends; 0 where it came before."""
    return next((k for k, chunk in enumerate(chunks) if chunk.choices and chunk.choices[0].finish_reason), 0)


class ChunkStream:
    """Translates the events of one answer. After an error every further `feed` raises it again.

    Where the plan has stop sequences, look at `stopped` after each `feed`. Once it is true, `feed` has
    returned all of the text there will be, and returns nothing until the terminal event. Then either
    call `finish`, which returns the chunks that end the choice, send them, and close the upstream; or,
    for the usage, feed on: the terminal event brings what `finish` would have, if nobody called it, and
    then moderation and usage. Without a terminal event there is no usage chunk to send.
    """

    def __init__(self, plan: StreamPlan, index: int = 0) -> None:
        self._plan = plan
        self._index = index
        self._id = self._model = ""
        self._created = 0
        self._tier: str | UnsetType = UNSET
        self._usage = None if plan.include_usage else UNSET
        self._begun = False
        self._finished = False
        self._failed: TranslationError | None = None
        self._items = ItemTranslator(plan, index)
        self.response: Response | None = None  # of the terminal event; the answer is whole once it is set

    # -- what the edge asks -------------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        """Whether a stop sequence ended the answer before its upstream did (docs/mapping.md#stop-sequences)."""
        return self._items.stopped

    def feed(self, event: events.StreamEvent) -> Chunks:
        """Return the chunks that one event becomes, often none. Raises UpstreamFailed, then always."""
        if self._failed is not None:
            raise self._failed
        handler = _LIFE.get(type(event))
        try:
            if handler is not None:
                return handler(self, event)
            choices = self._items.feed(event)
        except TranslationError as error:
            self._failed = error
            raise
        if self._begun and len(choices) == 1:  # nearly always
            return [self._chunk(choices)]
        return self._chunks(choices) if choices or isinstance(event, _BEGINNING) else []

    @property
    def is_last(self) -> bool:
        """Whether nothing follows of any other answer once this one has ended."""
        return True

    def leave(self) -> Chunks:
        """End a stopped answer whose usage does not come; return what that adds."""
        return []

    def finish(self) -> Chunks:
        """Return the chunks that end a stopped answer: images, annotations, `finish_reason`. Nothing twice."""
        return self._finish(Response())

    def output(self) -> list[Raw]:
        """Return the output items of the answer, from the terminal event or as they came one by one."""
        if self.response is not None and self.response.output:
            return self.response.output
        return self._items.output()

    def ended(self) -> Ended:
        """Return how the answer ended, once it is whole or stopped."""
        cut_after = self._items.calls if self._items.cut else None
        return ended(self.response or Response(), self.output(), self._plan, cut_after=cut_after)

    @property
    def differences(self) -> list[str]:
        """Return the parts whose final text differs from their deltas: the client got the deltas alone."""
        return self._items.differences

    def message(self) -> AssistantMessage:
        """Return what the client got, as far as an answer is known again by it."""
        return sum_of(self._items.sent())

    # -- what a merger of several asks --------------------------------------------------------------

    def named(self, chunk: ChatCompletionChunk) -> ChatCompletionChunk:
        """Return a chunk of another stream as if it were of this one."""
        return msgspec.structs.replace(chunk, id=self._id, created=self._created, model=self._model)

    def epilogue(self, moderation: ModerationOut | None, usage: CompletionUsage | None) -> Chunks:
        """Return what follows the finish chunk: moderation, then usage, which must be last.

        See docs/mapping.md#order-of-chunks.
        """
        chunks: Chunks = []
        if moderation is not None:
            chunks.append(msgspec.structs.replace(self._chunk([]), moderation=moderation))
        if self._plan.include_usage and usage is not None:
            chunks.append(msgspec.structs.replace(self._chunk([]), usage=usage))
        return chunks

    # -- envelope -----------------------------------------------------------------------------------

    def _chunks(self, choices: Choices) -> Chunks:
        if not self._begun:
            self._begun = True
            choices = [ChunkChoice(index=self._index, delta=_ROLE), *choices]
        return [self._chunk([choice]) for choice in choices]

    def _chunk(self, choices: Choices) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._id,
            created=self._created,
            model=self._model,
            service_tier=self._tier,
            choices=choices,
            usage=self._usage,
        )

    # -- life ---------------------------------------------------------------------------------------

    def _identify(self, response: Response) -> None:
        self._id = completion_id(response.id)
        self._created = int(response.created_at)
        self._model = response.model
        self._resolve_tier(response)

    def _resolve_tier(self, response: Response) -> None:
        if response.service_tier != _UNRESOLVED_TIER:
            self._tier = response.service_tier or UNSET

    def _on_created(self, event: events.ResponseCreated) -> Chunks:
        check_chained(event.response, self._plan)
        self._identify(event.response)
        return []

    def _on_terminal(self, event: events.ResponseCompleted | events.ResponseIncomplete) -> Chunks:
        response = event.response
        if failed(response):
            raise response_failure(response, self._plan)
        check_chained(response, self._plan)
        if not self._id:
            self._identify(response)
        self._resolve_tier(response)
        usage = None if response.usage is None else to_completion_usage(response.usage)
        chunks = self._finish(response) + self.epilogue(to_moderation(response.moderation), usage)
        self.response = response
        return chunks

    def _finish(self, response: Response) -> Chunks:
        if self._finished:
            return []
        self._finished = True
        choices = [*self._items.finish(response.output), *self._items.closing()]
        reason = finish_reason(
            response,
            has_calls=self._items.calls > 0,
            functions=self._plan.functions,
            stopped=self._items.cut,
        )
        return self._chunks([*choices, ChunkChoice(index=self._index, delta=_NOTHING, finish_reason=reason)])

    def _on_failed(self, event: events.ResponseFailed) -> Chunks:
        raise response_failure(event.response, self._plan)

    def _on_error(self, event: events.ErrorEvent) -> Chunks:
        raise event_failure(event, self._plan)


# The events of the response itself; those of its items are `ItemTranslator`'s (docs/mapping.md#stream-events).
_LIFE: dict[type, Callable[[ChunkStream, Any], Chunks]] = {
    events.ResponseCreated: ChunkStream._on_created,
    events.ResponseCompleted: ChunkStream._on_terminal,
    events.ResponseIncomplete: ChunkStream._on_terminal,
    events.ResponseFailed: ChunkStream._on_failed,
    events.ErrorEvent: ChunkStream._on_error,
}
