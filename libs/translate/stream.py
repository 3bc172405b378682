"""Responses stream events to chat chunks, one `ChunkStream` per answer (translation reference C).

What the client may rely on: one role chunk first; dense tool indexes, each call's deltas contiguous;
annotations in one chunk; one finish chunk; usage last. Text that came only in a `done` event is sent
from there. It keeps no clock and makes no ids.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from libs.schemas import events
from libs.schemas.chat import (
    Annotation,
    ChatCompletionChunk,
    ChunkChoice,
    CompletionUsage,
    Delta,
    FunctionDelta,
    ToolCallDelta,
)
from libs.schemas.plan import StreamPlan
from libs.schemas.responses import FunctionCallItem, MessageItem, OutputPart, ReasoningItem, Response, decode_item
from libs.translate.completion import ITEM_SEPARATOR, completion_id, reasoning_text, to_annotation
from libs.translate.errors import TranslationError
from libs.translate.finish import event_failure, finish_reason, response_failure
from libs.translate.usage import to_completion_usage

DONE_FRAME = b"data: [DONE]\n\n"
KEEPALIVE_FRAME = b": keep-alive\n\n"

_ENCODER = msgspec.json.Encoder()
_NULL = b"null"
_Part = tuple[int, int]  # output index, content or summary index
Chunks = list[ChatCompletionChunk]


def to_frame(chunk: ChatCompletionChunk) -> bytes:
    """Return the frame of one chunk."""
    return b"data: %b\n\n" % _ENCODER.encode(chunk)


class _Call:
    """One tool call on its way to the client: what has come, and how much of it has gone out."""

    def __init__(self, index: int, item: FunctionCallItem) -> None:
        self.index = index
        self.item = item
        self.waiting = [item.arguments] if item.arguments else []
        self.length = len(item.arguments)  # of all arguments that came, in characters
        self.announced = False
        self.done = False

    def add(self, text: str) -> None:
        self.waiting.append(text)
        self.length += len(text)

    def complete(self, arguments: str) -> None:
        """Take the whole arguments: only what had not come before is new."""
        if len(arguments) > self.length:
            self.add(arguments[self.length :])
        self.done = True


class ChunkStream:
    """Translates the events of one answer. After an error every further `feed` raises it again."""

    def __init__(self, plan: StreamPlan) -> None:
        self._plan = plan
        self._id = self._model = ""
        self._created = 0
        self._tier: str | None = None
        self._role_sent = False
        self._failed: TranslationError | None = None
        self.response: Response | None = None  # of the terminal event; the answer is whole once it is set
        self._items: dict[int, Raw] = {}  # finished items, by output index
        self._sent: dict[_Part, int] = {}  # characters sent of each part
        self._kinds: dict[int, bool] = {}  # message items: is it commentary?
        self._text_length = 0
        self._separator: int | None = None  # output index of the message that a separator precedes
        self._starts: dict[_Part, int] = {}  # where a text part begins in the whole content
        self._annotations: list[Annotation] = []
        self._reasoning_items: list[int] = []
        self._raw_reasoning: set[int] = set()
        self._reasoning_open: _Part | None = None
        self._calls: dict[int, _Call] = {}
        self._queue: deque[_Call] = deque()  # calls not wholly sent; only the first one sends

    # -- what the edge asks -------------------------------------------------------------------------

    def feed(self, event: events.StreamEvent) -> Chunks:
        """Return the chunks that one event becomes, often none. Raises UpstreamFailed, then always."""
        if self._failed is not None:
            raise self._failed
        handler = _HANDLERS.get(type(event))
        try:
            return [] if handler is None else handler(self, event)
        except TranslationError as error:
            self._failed = error
            raise

    def output(self) -> list[Raw]:
        """Return the output items of the answer, from the terminal event or as they came one by one."""
        if self.response is not None and self.response.output:
            return self.response.output
        return [self._items[index] for index in sorted(self._items)]

    # -- envelope -----------------------------------------------------------------------------------

    def _chunk(self, delta: Delta, finish: str | None = None) -> ChatCompletionChunk:
        return self._envelope([ChunkChoice(delta=delta, finish_reason=finish)], None)

    def _envelope(self, choices: list[ChunkChoice], usage: CompletionUsage | None) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._id,
            created=self._created,
            model=self._model,
            service_tier=self._tier or UNSET,
            choices=choices,
            usage=usage if self._plan.include_usage else UNSET,
        )

    def _role(self) -> Chunks:
        if self._role_sent:
            return []
        self._role_sent = True
        return [self._chunk(Delta(role="assistant", content="", refusal=None))]

    def _say(self, delta: Delta) -> Chunks:
        return [*self._role(), self._chunk(delta)]

    # -- life ---------------------------------------------------------------------------------------

    def _identify(self, response: Response) -> None:
        self._id = completion_id(response.id)
        self._created = int(response.created_at)
        self._model = response.model
        self._tier = response.service_tier

    def _on_created(self, event: events.ResponseCreated) -> Chunks:
        self._identify(event.response)
        return []

    def _on_terminal(self, event: events.ResponseCompleted | events.ResponseIncomplete) -> Chunks:
        response = event.response
        if not self._id:
            self._identify(response)
        chunks = self._role()
        for index, raw in enumerate(response.output):
            if index not in self._items:
                chunks += self._reconcile(index, raw)
        for call in self._queue:
            call.done = True
        chunks += self._send_calls()
        if self._annotations:
            chunks.append(self._chunk(Delta(annotations=self._annotations)))
        chunks.append(self._chunk(Delta(), finish_reason(response, has_calls=bool(self._calls))))
        if self._plan.include_usage and response.usage is not None:
            chunks.append(self._envelope([], to_completion_usage(response.usage)))
        self.response = response
        return chunks

    def _on_failed(self, event: events.ResponseFailed) -> Chunks:
        raise response_failure(event.response)

    def _on_error(self, event: events.ErrorEvent) -> Chunks:
        raise event_failure(event)

    # -- items --------------------------------------------------------------------------------------

    def _on_item_added(self, event: events.OutputItemAdded) -> Chunks:
        chunks = self._role()
        if event.item != _NULL:
            chunks += self._open(event.output_index, event.item)
        return chunks

    def _open(self, index: int, raw: Raw) -> Chunks:
        match decode_item(raw):
            case MessageItem() as item:
                self._kinds[index] = self._plan.structured and item.phase == "commentary"
            case FunctionCallItem() as item if index not in self._calls:
                call = self._calls[index] = _Call(len(self._calls), item)
                self._queue.append(call)
                return self._send_calls()
        return []

    def _on_item_done(self, event: events.OutputItemDone) -> Chunks:
        return [] if event.item == _NULL else self._role() + self._reconcile(event.output_index, event.item)

    def _reconcile(self, index: int, raw: Raw) -> Chunks:
        """Send what the finished item holds and no delta brought."""
        self._items[index] = raw
        match decode_item(raw):
            case MessageItem() as item:
                self._kinds.setdefault(index, self._plan.structured and item.phase == "commentary")
                return [chunk for k, part in enumerate(item.content) for chunk in self._finish_part(index, k, part)]
            case FunctionCallItem() as item:
                chunks = self._open(index, raw)
                self._calls[index].complete(item.arguments)
                return chunks + self._send_calls()
            case ReasoningItem() as item if index not in self._reasoning_items:
                return self._reason(index, 0, reasoning_text(item))
        return []

    def _on_part_added(self, event: events.ContentPartAdded) -> Chunks:
        return self._add_part_text(event.output_index, event.content_index, event.part)

    def _on_part_done(self, event: events.ContentPartDone) -> Chunks:
        return self._finish_part(event.output_index, event.content_index, event.part)

    def _add_part_text(self, index: int, part_index: int, part: OutputPart) -> Chunks:
        if part.text:
            return self._text_suffix(index, part_index, part.text)
        return self._refusal_suffix(index, part_index, part.refusal) if part.refusal else []

    def _finish_part(self, index: int, part_index: int, part: OutputPart) -> Chunks:
        if part.type == "refusal":
            return self._refusal_suffix(index, part_index, part.refusal or "")
        if part.type != "output_text":
            return []
        chunks = self._text_suffix(index, part_index, part.text or "")
        self._collect(index, part_index, part)
        return chunks

    def _collect(self, index: int, part_index: int, part: OutputPart) -> None:
        """Take the annotations of a finished part, once: events and items repeat them."""
        start = self._starts.pop((index, part_index), None)
        if start is None:
            return
        shifted = (to_annotation(annotation, start) for annotation in part.annotations or ())
        self._annotations += [annotation for annotation in shifted if annotation is not None]

    # -- text ---------------------------------------------------------------------------------------

    def _on_text_delta(self, event: events.TextDelta) -> Chunks:
        return self._text(event.output_index, event.content_index, event.delta)

    def _on_text_done(self, event: events.TextDone) -> Chunks:
        return self._text_suffix(event.output_index, event.content_index, event.text)

    def _text_suffix(self, index: int, part_index: int, whole: str) -> Chunks:
        return self._text(index, part_index, whole[self._sent.get((index, part_index), 0) :])

    def _text(self, index: int, part_index: int, text: str) -> Chunks:
        if not text:
            return []
        key = (index, part_index)
        if self._kinds.get(index):
            self._sent[key] = self._sent.get(key, 0) + len(text)
            return self._reason(index, 0, text)
        chunks = self._separate(index)
        if key not in self._sent:
            self._sent[key] = 0
            self._starts[key] = self._text_length
        self._sent[key] += len(text)
        self._text_length += len(text)
        return chunks + self._say(Delta(content=text))

    def _separate(self, index: int) -> Chunks:
        """Set the texts of two message items apart, once."""
        if self._separator == index:
            return []
        first, self._separator = not self._text_length, index
        if first or self._plan.structured:
            return []
        self._text_length += len(ITEM_SEPARATOR)
        return self._say(Delta(content=ITEM_SEPARATOR))

    def _on_refusal_delta(self, event: events.RefusalDelta) -> Chunks:
        return self._refusal(event.output_index, event.content_index, event.delta)

    def _on_refusal_done(self, event: events.RefusalDone) -> Chunks:
        return self._refusal_suffix(event.output_index, event.content_index, event.refusal)

    def _refusal_suffix(self, index: int, part_index: int, whole: str) -> Chunks:
        return self._refusal(index, part_index, whole[self._sent.get((index, part_index), 0) :])

    def _refusal(self, index: int, part_index: int, text: str) -> Chunks:
        if not text:
            return []
        key = (index, part_index)
        self._sent[key] = self._sent.get(key, 0) + len(text)
        return self._say(Delta(refusal=text))

    # -- reasoning ----------------------------------------------------------------------------------

    def _on_summary_delta(self, event: events.SummaryTextDelta) -> Chunks:
        if event.output_index in self._raw_reasoning:
            return []
        return self._reason(event.output_index, event.summary_index, event.delta)

    def _on_summary_done(self, event: events.SummaryTextDone) -> Chunks:
        if event.output_index in self._raw_reasoning:
            return []
        sent = self._sent.get((event.output_index, event.summary_index), 0)
        return self._reason(event.output_index, event.summary_index, event.text[sent:])

    def _on_reasoning_delta(self, event: events.ReasoningTextDelta) -> Chunks:
        self._raw_reasoning.add(event.output_index)
        return self._reason(event.output_index, 0, event.delta)

    def _on_reasoning_done(self, event: events.ReasoningTextDone) -> Chunks:
        self._raw_reasoning.add(event.output_index)
        sent = self._sent.get((event.output_index, 0), 0)
        return self._reason(event.output_index, 0, event.text[sent:])

    def _reason(self, index: int, part_index: int, text: str) -> Chunks:
        if not text:
            return []
        if index not in self._reasoning_items:
            self._reasoning_items.append(index)
        key = (index, part_index)
        prefix = ITEM_SEPARATOR if self._reasoning_open not in (None, key) else ""
        self._reasoning_open = key
        if not self._kinds.get(index):
            self._sent[key] = self._sent.get(key, 0) + len(text)
        return self._say(Delta(reasoning_content=prefix + text))

    # -- calls --------------------------------------------------------------------------------------

    def _on_arguments_delta(self, event: events.ArgumentsDelta) -> Chunks:
        call = self._calls.get(event.output_index)
        if call is None or not event.delta:
            return []
        call.add(event.delta)
        return self._send_calls()

    def _on_arguments_done(self, event: events.ArgumentsDone) -> Chunks:
        call = self._calls.get(event.output_index)
        if call is None:
            return []
        call.complete(event.arguments)
        return self._send_calls()

    def _send_calls(self) -> Chunks:
        """Send what the first call has; a call that overlaps it waits until that one is done (C.1)."""
        chunks: Chunks = []
        while self._queue:
            call = self._queue[0]
            if not call.announced:
                call.announced = True
                function = FunctionDelta(name=call.item.name)
                delta = ToolCallDelta(index=call.index, id=call.item.call_id, type="function", function=function)
                chunks += self._say(Delta(tool_calls=[delta]))
            if call.waiting:
                function = FunctionDelta(arguments="".join(call.waiting))
                call.waiting.clear()
                chunks += self._say(Delta(tool_calls=[ToolCallDelta(index=call.index, function=function)]))
            if not call.done:
                break
            self._queue.popleft()
        return chunks


# Which method takes which event; the rest changes nothing in a chat stream (C.1).
_HANDLERS: dict[type, Callable[[ChunkStream, Any], Chunks]] = {
    events.ResponseCreated: ChunkStream._on_created,
    events.OutputItemAdded: ChunkStream._on_item_added,
    events.OutputItemDone: ChunkStream._on_item_done,
    events.ContentPartAdded: ChunkStream._on_part_added,
    events.ContentPartDone: ChunkStream._on_part_done,
    events.TextDelta: ChunkStream._on_text_delta,
    events.TextDone: ChunkStream._on_text_done,
    events.RefusalDelta: ChunkStream._on_refusal_delta,
    events.RefusalDone: ChunkStream._on_refusal_done,
    events.ArgumentsDelta: ChunkStream._on_arguments_delta,
    events.ArgumentsDone: ChunkStream._on_arguments_done,
    events.SummaryTextDelta: ChunkStream._on_summary_delta,
    events.SummaryTextDone: ChunkStream._on_summary_done,
    events.ReasoningTextDelta: ChunkStream._on_reasoning_delta,
    events.ReasoningTextDone: ChunkStream._on_reasoning_done,
    events.ResponseCompleted: ChunkStream._on_terminal,
    events.ResponseIncomplete: ChunkStream._on_terminal,
    events.ResponseFailed: ChunkStream._on_failed,
    events.ErrorEvent: ChunkStream._on_error,
}
