"""Responses stream events to chat chunks, one `ChunkStream` per answer (translation reference C).

What the client may rely on: one role chunk first; dense tool indexes, each call's deltas contiguous;
annotations in one chunk; one finish chunk; usage last. Text that came only in a `done` event is sent
from there. It keeps no clock and makes no ids.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw

from libs.schemas import events
from libs.schemas.chat import Annotation, ChatCompletionChunk, ChunkChoice, CompletionUsage, Delta
from libs.schemas.plan import StreamPlan
from libs.schemas.responses import (
    FunctionCallItem,
    MessageItem,
    OutputAnnotation,
    OutputPart,
    ReasoningItem,
    Response,
    UnknownItem,
    decode_item,
)
from libs.translate.completion import ITEM_SEPARATOR, check_readable, completion_id, to_annotation
from libs.translate.errors import TranslationError
from libs.translate.finish import event_failure, finish_reason, response_failure
from libs.translate.tool_calls import ToolCalls
from libs.translate.usage import to_completion_usage

DONE_FRAME = b"data: [DONE]\n\n"
KEEPALIVE_FRAME = b": keep-alive\n\n"

_ENCODER = msgspec.json.Encoder()
_NULL = Raw(b"null")
_UNRESOLVED_TIER = "auto"
_Part = tuple[int, int]  # output index, content or summary index
_Reasoning = Literal["summary", "raw"]
Chunks = list[ChatCompletionChunk]


def to_frame(chunk: ChatCompletionChunk) -> bytes:
    """Return the frame of one chunk."""
    return b"data: %b\n\n" % _ENCODER.encode(chunk)


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
        self._commentary: dict[int, bool] = {}  # message items: does their text go to the reasoning?
        self._text_length = 0
        self._separator: int | None = None  # output index of the message that a separator precedes
        self._starts: dict[_Part, int] = {}  # where a text part begins in the whole content
        self._cited: dict[_Part, list[OutputAnnotation]] = {}
        self._shown: dict[int, _Reasoning] = {}  # which reasoning of an item the client sees, never both
        self._paragraph: _Part | None = None  # of the reasoning
        self._calls = ToolCalls()

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
        self._resolve_tier(response)

    def _resolve_tier(self, response: Response) -> None:
        if response.service_tier != _UNRESOLVED_TIER:
            self._tier = response.service_tier

    def _on_created(self, event: events.ResponseCreated) -> Chunks:
        self._identify(event.response)
        return []

    def _on_terminal(self, event: events.ResponseCompleted | events.ResponseIncomplete) -> Chunks:
        response = event.response
        if not self._id:
            self._identify(response)
        self._resolve_tier(response)
        chunks = self._role()
        for index, raw in enumerate(response.output):
            if index not in self._items:
                chunks += self._reconcile(index, raw)
        self._calls.end_all()
        chunks += self._send_calls()
        annotations = self._annotations()
        if annotations:
            chunks.append(self._chunk(Delta(annotations=annotations)))
        chunks.append(self._chunk(Delta(), finish_reason(response, has_calls=bool(self._calls))))
        if self._plan.include_usage and response.usage is not None:
            chunks.append(self._envelope([], to_completion_usage(response.usage)))
        self.response = response
        return chunks

    def _on_failed(self, event: events.ResponseFailed) -> Chunks:
        raise response_failure(event.response, self._plan)

    def _on_error(self, event: events.ErrorEvent) -> Chunks:
        raise event_failure(event, self._plan)

    # -- items --------------------------------------------------------------------------------------

    def _on_item_added(self, event: events.OutputItemAdded) -> Chunks:
        chunks = self._role()
        if event.item == _NULL:
            return chunks
        match decode_item(event.item):
            case MessageItem() as item:
                self._note_phase(event.output_index, item)
            case FunctionCallItem() as item:
                self._calls.begin(event.output_index, item)
        return chunks + self._send_calls()

    def _note_phase(self, index: int, item: MessageItem) -> None:
        self._commentary[index] = self._plan.structured and item.phase == "commentary"

    def _on_item_done(self, event: events.OutputItemDone) -> Chunks:
        return [] if event.item == _NULL else self._role() + self._reconcile(event.output_index, event.item)

    def _reconcile(self, index: int, raw: Raw) -> Chunks:
        """Send what the finished item holds and no delta brought."""
        self._items[index] = raw
        match decode_item(raw):
            case MessageItem() as item:
                self._note_phase(index, item)
                return [chunk for k, part in enumerate(item.content) for chunk in self._on_part(index, k, part)]
            case FunctionCallItem() as item:
                self._calls.end(index, item)
                return self._send_calls()
            case ReasoningItem() as item:
                return self._finish_reasoning(index, item)
            case UnknownItem() as item:
                check_readable(item)
        return []

    def _on_content_part(self, event: events.ContentPartAdded | events.ContentPartDone) -> Chunks:
        return self._on_part(event.output_index, event.content_index, event.part)

    def _on_part(self, index: int, part_index: int, part: OutputPart) -> Chunks:
        """Take a part that begins or ends: what it holds of the text counts as a delta where none brought it."""
        match part.type:
            case "output_text":
                if part.annotations:
                    self._cited[index, part_index] = part.annotations
                return self._text(index, part_index, self._rest(index, part_index, part.text))
            case "refusal":
                return self._refusal(index, part_index, self._rest(index, part_index, part.refusal))
            case "reasoning_text":
                return self._reason(index, part_index, self._rest(index, part_index, part.text), "raw")
        return []

    def _rest(self, index: int, part_index: int, whole: str | None) -> str:
        """Return what was not sent yet of a part."""
        return (whole or "")[self._sent.get((index, part_index), 0) :]

    def _count(self, key: _Part, text: str) -> None:
        self._sent[key] = self._sent.get(key, 0) + len(text)

    # -- text ---------------------------------------------------------------------------------------

    def _on_text_delta(self, event: events.TextDelta) -> Chunks:
        return self._text(event.output_index, event.content_index, event.delta)

    def _on_text_done(self, event: events.TextDone) -> Chunks:
        index, part_index = event.output_index, event.content_index
        return self._text(index, part_index, self._rest(index, part_index, event.text))

    def _text(self, index: int, part_index: int, text: str) -> Chunks:
        if not text:
            return []
        if self._commentary.get(index):
            return self._reason(index, part_index, text, "raw")
        key = (index, part_index)
        chunks = self._separate(index)
        self._starts.setdefault(key, self._text_length)
        self._count(key, text)
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

    def _on_annotation(self, event: events.AnnotationAdded) -> Chunks:
        self._cited.setdefault((event.output_index, event.content_index), []).append(event.annotation)
        return []

    def _annotations(self) -> list[Annotation]:
        """Return the annotations of all parts; a finished part's own list counts before its events."""
        cited = ((start, self._cited.get(key, ())) for key, start in sorted(self._starts.items()))
        shifted = (to_annotation(annotation, start) for start, part in cited for annotation in part)
        return [annotation for annotation in shifted if annotation is not None]

    def _on_refusal_delta(self, event: events.RefusalDelta) -> Chunks:
        return self._refusal(event.output_index, event.content_index, event.delta)

    def _on_refusal_done(self, event: events.RefusalDone) -> Chunks:
        index, part_index = event.output_index, event.content_index
        return self._refusal(index, part_index, self._rest(index, part_index, event.refusal))

    def _refusal(self, index: int, part_index: int, text: str) -> Chunks:
        if not text:
            return []
        self._count((index, part_index), text)
        return self._say(Delta(refusal=text))

    # -- reasoning ----------------------------------------------------------------------------------

    def _on_summary_delta(self, event: events.SummaryTextDelta) -> Chunks:
        return self._reason(event.output_index, event.summary_index, event.delta, "summary")

    def _on_summary_done(self, event: events.SummaryTextDone) -> Chunks:
        index, part_index = event.output_index, event.summary_index
        return self._reason(index, part_index, self._rest(index, part_index, event.text), "summary")

    def _on_reasoning_delta(self, event: events.ReasoningTextDelta) -> Chunks:
        return self._reason(event.output_index, event.content_index, event.delta, "raw")

    def _on_reasoning_done(self, event: events.ReasoningTextDone) -> Chunks:
        index, part_index = event.output_index, event.content_index
        return self._reason(index, part_index, self._rest(index, part_index, event.text), "raw")

    def _finish_reasoning(self, index: int, item: ReasoningItem) -> Chunks:
        kind: _Reasoning = "raw" if item.content else "summary"
        parts = ((k, self._rest(index, k, part.text)) for k, part in enumerate(item.content or item.summary or ()))
        return [chunk for k, text in parts for chunk in self._reason(index, k, text, kind)]

    def _reason(self, index: int, part_index: int, text: str, kind: _Reasoning) -> Chunks:
        if not text or self._shown.setdefault(index, kind) != kind:
            return []
        self._count((index, part_index), text)
        paragraph = (index, part_index if kind == "summary" else 0)  # raw parts run on
        prefix = ITEM_SEPARATOR if self._paragraph not in (None, paragraph) else ""
        self._paragraph = paragraph
        return self._say(Delta(reasoning_content=prefix + text))

    # -- calls --------------------------------------------------------------------------------------

    def _on_arguments_delta(self, event: events.ArgumentsDelta) -> Chunks:
        self._calls.add(event.output_index, event.delta)
        return self._send_calls()

    def _on_arguments_done(self, event: events.ArgumentsDone) -> Chunks:
        self._calls.complete(event.output_index, event.arguments)
        return self._send_calls()

    def _send_calls(self) -> Chunks:
        return [chunk for delta in self._calls.take() for chunk in self._say(Delta(tool_calls=[delta]))]


# Which method takes which event; the rest changes nothing in a chat stream (C.1).
_HANDLERS: dict[type, Callable[[ChunkStream, Any], Chunks]] = {
    events.ResponseCreated: ChunkStream._on_created,
    events.OutputItemAdded: ChunkStream._on_item_added,
    events.OutputItemDone: ChunkStream._on_item_done,
    events.ContentPartAdded: ChunkStream._on_content_part,
    events.ContentPartDone: ChunkStream._on_content_part,
    events.TextDelta: ChunkStream._on_text_delta,
    events.TextDone: ChunkStream._on_text_done,
    events.AnnotationAdded: ChunkStream._on_annotation,
    events.RefusalDelta: ChunkStream._on_refusal_delta,
    events.RefusalDone: ChunkStream._on_refusal_done,
    events.ArgumentsDelta: ChunkStream._on_arguments_delta,
    events.ArgumentsDone: ChunkStream._on_arguments_done,
    events.SummaryTextDelta: ChunkStream._on_summary_delta,
    events.SummaryTextDone: ChunkStream._on_summary_done,
    events.ReasoningTextDelta: ChunkStream._on_reasoning_delta,
    events.ReasoningTextDone: ChunkStream._on_reasoning_done,
    events.OpenReasoningDelta: ChunkStream._on_reasoning_delta,
    events.OpenReasoningDone: ChunkStream._on_reasoning_done,
    events.ResponseCompleted: ChunkStream._on_terminal,
    events.ResponseIncomplete: ChunkStream._on_terminal,
    events.ResponseFailed: ChunkStream._on_failed,
    events.ErrorEvent: ChunkStream._on_error,
}
