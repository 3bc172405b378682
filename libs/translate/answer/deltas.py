"""What the items of one answer say to a chat client, event by event (docs/mapping.md#output-items, #stream-events).

The one place where items become deltas: a stream sends them as they come, an unstreamed answer is put together
from those of its finished items, so that the two agree. Text that came only in a `done` event is sent from that event.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Raw

from libs.schemas.plan import StreamPlan
from libs.schemas.wire import events
from libs.schemas.wire.completion import AudioOut, ChunkChoice, Delta, ImageOut
from libs.schemas.wire.errors import ErrorBody
from libs.schemas.wire.output import (
    ApprovalItem,
    CustomCallItem,
    FunctionCallItem,
    ImageItem,
    MessageItem,
    OutputItem,
    ReasoningItem,
    UnknownItem,
    decode_item,
)
from libs.schemas.wire.parts import ReasoningPart, RefusalPart, TextPart, UnknownPart, decode_part
from libs.schemas.wire.surrogates import REPLACEMENT
from libs.translate.answer import reasoning
from libs.translate.answer.images import to_image
from libs.translate.answer.item_fates import FATES, ItemKind, item_kind, place
from libs.translate.answer.item_order import ItemOrder
from libs.translate.answer.logprobs import to_choice_logprobs
from libs.translate.answer.reasoning import Reasoning
from libs.translate.answer.sent_text import SentText
from libs.translate.answer.text import SentPiece, Text
from libs.translate.answer.tool_calls import ToolCalls
from libs.translate.errors import UpstreamFailed

Choices = list[ChunkChoice]

_NULL = Raw(b"null")
_ANNOUNCED = (events.OutputItemAdded, events.OutputItemDone)
_COMMENTARY = "commentary"
_KINDS: tuple[ItemKind, ...] = ("message", "reasoning", "call", "image")
_ORDERED_KINDS: tuple[ItemKind, ...] = ("message", "call")
# Without these an answer is not the answer.
_ESSENTIAL = frozenset(type_ for type_, fate in FATES.items() if fate in _ORDERED_KINDS)
_ESSENTIAL_PARTS = frozenset({"output_text", "refusal"})


class ItemTranslator:
    """Takes events, gives what they add to one choice."""

    def __init__(self, plan: StreamPlan, index: int = 0) -> None:
        self._plan = plan
        self._index = index
        self._orders: dict[ItemKind, ItemOrder] = {kind: ItemOrder() for kind in _KINDS}
        if any(plan.stop):  # nothing may follow a text that could yet be cut
            self._orders["call"] = self._orders["image"] = self._orders["message"]
        self._seen: dict[ItemKind, dict[int, None]] = {kind: {} for kind in _KINDS}
        self._commentary: set[int] = set()  # messages whose text goes to the reasoning
        self._text = Text(plan)
        self._refusals = SentText()
        self._reasoning = Reasoning()
        self._calls = ToolCalls(legacy=plan.functions)
        self._transcript = SentText()
        self._images: list[ImageOut] = []
        self._absent = False  # did the finished response lack something that was sent?
        self._torn = False  # deltas may begin and end in the middle of a character
        self._cut: int | None = None  # the message that a stop sequence cut; nothing after it is sent
        self._items: dict[tuple[int, str], Raw] = {}  # finished items, by output index and kind

    @property
    def calls(self) -> int:
        """How many calls the client was given to run."""
        return len(self._calls)

    @property
    def cut(self) -> bool:
        """Whether a stop sequence cut the text."""
        return self._cut is not None

    @property
    def stopped(self) -> bool:
        """Whether it did, and nothing from before it is still to come."""
        cut = self._cut
        return cut is not None and not any(order.waits_for(cut) for order in self._orders.values())

    @property
    def differences(self) -> list[str]:
        """Return the parts whose final text, or whose finished item, differs from the deltas before it."""
        checks = (
            (self._text.sent.differs, "text"),
            (self._refusals.differs, "refusal"),
            (self._reasoning.sent.differs, "reasoning"),
            (self._calls.differs, "call"),
            (self._absent, "output"),
        )
        return [what for differs, what in checks if differs]

    def sent(self) -> Choices:
        """Return what was sent, as far as a later history is recognised by it: text, refusal and tool calls."""
        deltas = (Delta(content=str(self._text.sent)), Delta(refusal=str(self._refusals)), *self._calls.sent())
        return self._chunk_choices(deltas)

    def output(self) -> list[Raw]:
        """Return the finished items in their order."""
        return [raw for _, raw in sorted(self._items.items(), key=lambda entry: entry[0][0])]

    # -- what comes ---------------------------------------------------------------------------------

    def feed(self, event: events.StreamEvent) -> Choices:
        """Return what one event adds. Raises UpstreamFailed where an item that matters cannot be read."""
        row = _ROWS.get(type(event))
        if row is None:
            return []
        kind, handler = row
        if kind is None:
            return handler(self, event)
        event_: Any = event  # under a kind the table has only events of items
        index: int = event_.output_index
        if index == self._orders[kind].current and self._cut is None:
            return handler(self, event)
        if kind == "call" and index not in self._seen[kind]:
            return []  # arguments of no known call
        return self._admit(kind, index, event_)

    def finish(self, output: Sequence[Raw]) -> Choices:
        """Return what the finished items add that nothing brought before, and whatever still waits."""
        choices: Choices = []
        for index, kind, raw in self._unsent(output):
            if self._is_done(kind, index):
                choices += self._compare(index, raw)
            else:
                choices += self._on_item_done(events.OutputItemDone(index, raw))
        for order in self._orders.values():
            while order.current is not None:
                choices += self._leave(order, order.current)
        return choices

    def closing(self) -> Choices:
        """Return the last deltas: images and annotations, each in one piece."""
        images, annotations = self._images, self._text.annotations()
        choices = [self._choice(Delta(images=images))] if images else []
        return [*choices, self._choice(Delta(annotations=annotations))] if annotations else choices

    def _unsent(self, output: Sequence[Raw]) -> list[tuple[int, ItemKind | None, Raw]]:
        """Return the items that did not come, or not as they stand in `output`."""
        if list(output) == self.output() and {index for index, _ in self._items} == set(range(len(output))):
            return []
        placed = place(output, self._seen)
        there = {(kind, index) for index, kind, _ in placed}
        self._absent = bool(output) and any(
            (kind, index) not in there for kind in _ORDERED_KINDS for index in self._seen[kind]
        )
        return [(index, kind, raw) for index, kind, raw in placed if self._items.get((index, str(kind))) != raw]

    def _compare(self, index: int, raw: Raw) -> Choices:
        """Compare an item that was sent with the same item of the finished response."""
        item = decode_item(raw)
        return [] if self._cut is not None or isinstance(item, ImageItem) else self._end(index, item)

    def _is_done(self, kind: ItemKind | None, index: int) -> bool:
        return kind is not None and self._orders[self._order_of(kind, index)].is_done(index)

    # -- order of items -----------------------------------------------------------------------------

    def _order_of(self, kind: ItemKind, index: int) -> ItemKind:
        return "reasoning" if kind == "message" and index in self._commentary else kind

    def _admit(self, kind: ItemKind, index: int, event: events.ItemEvent, item: OutputItem | None = None) -> Choices:
        """Return the deltas of an event, or hold the event until it is its item's turn."""
        if self._cut is not None and index >= self._cut:
            return self._cite(index, event) if index == self._cut else []
        self._seen[kind].setdefault(index)
        order = self._orders[self._order_of(kind, index)]
        choices = self._release(order, order.enter(index, announced=isinstance(event, _ANNOUNCED)))
        if not order.is_sent(index):
            order.hold(index, event)
            return choices
        choices += self._send(event, item)
        if isinstance(event, events.OutputItemDone):
            choices += self._leave(order, index)
        return choices

    def _leave(self, order: ItemOrder, index: int) -> Choices:
        """An item is done: send what was held of the next, and so on while they are done too."""
        return [*self._end_item(order, index), *self._release(order, order.leave(index))]

    def _release(self, order: ItemOrder, held: Iterable[events.ItemEvent]) -> Choices:
        """Send what was held of an item, and, where its end is among it, of the next."""
        choices: Choices = []
        waiting = deque(held)
        while waiting:
            event = waiting.popleft()
            if self._cut is None or event.output_index < self._cut:
                choices += self._send(event)
            if isinstance(event, events.OutputItemDone):
                choices += self._end_item(order, event.output_index)
                waiting.extend(order.leave(event.output_index))
        return choices

    def _end_item(self, order: ItemOrder, index: int) -> Choices:
        """An item is complete. Of a message no stop sequence can begin in what was held back of it."""
        choices = self._left(index) if self._torn else []
        return [*choices, *self._send_text(index, self._text.end())] if order is self._orders["message"] else choices

    def _left(self, index: int) -> Choices:
        """Say something for each half of a character that was left without its other."""
        choices = [
            c for key in self._text.sent.ended(index) for c in self._send_text(index, self._text.add(key, REPLACEMENT))
        ]
        choices += [c for _, part in self._refusals.ended(index) for c in self._refuse(index, part, REPLACEMENT)]
        kind = self._reasoning.kind(index)
        choices += [
            c
            for _, part in self._reasoning.sent.ended(index)
            for c in self._add_reasoning(index, part, REPLACEMENT, kind)
        ]
        return [*choices, *self._chunk_choices(self._calls.left(index, REPLACEMENT))]

    def _on_torn(self, event: events.TornDelta) -> Choices:
        """From now on, what ends in the middle of a character is looked for."""
        if not self._torn:
            self._torn = self._refusals.torn = self._reasoning.sent.torn = self._transcript.torn = True
            self._text.tear()
            self._calls.tear()
        return self.feed(event.event)

    def _send(self, event: events.ItemEvent, item: OutputItem | None = None) -> Choices:
        match event:
            case events.OutputItemAdded():
                return self._begin(event.output_index, item or decode_item(event.item))
            case events.OutputItemDone():
                return self._end(event.output_index, item or decode_item(event.item))
            case events.ContentPartAdded() | events.ContentPartDone():
                return self._part(event.output_index, event.content_index, event.part)
        return _ROWS[type(event)][1](self, event)

    # -- items --------------------------------------------------------------------------------------

    def _on_item_added(self, event: events.OutputItemAdded) -> Choices:
        item = decode_item(event.item)
        kind = item_kind(item)
        if isinstance(item, MessageItem):
            self._note_phase(event.output_index, item)
        return [] if kind is None else self._admit(kind, event.output_index, event, item)

    def _on_item_done(self, event: events.OutputItemDone) -> Choices:
        index = event.output_index
        if event.item == _NULL:  # some servers send only that it is done
            kinds = [kind for kind in _KINDS if index in self._seen[kind]]
            return [choice for kind in kinds for choice in self._admit(kind, index, event)]
        item = decode_item(event.item)
        kind = item_kind(item)
        if isinstance(item, MessageItem):
            self._note_phase(index, item)
        name = item.type if isinstance(item, UnknownItem) else str(kind)
        self._items.setdefault((index, name), event.item)
        if kind is not None:
            return self._admit(kind, index, event, item)
        if isinstance(item, UnknownItem):
            _check(item.type, _ESSENTIAL, "an item")
        return []

    def _note_phase(self, index: int, item: MessageItem) -> None:
        """In a structured answer only the answer itself is content (docs/mapping.md#content)."""
        if self._plan.structured and item.phase == _COMMENTARY and index not in self._orders["message"]:
            self._commentary.add(index)

    def _begin(self, index: int, item: OutputItem) -> Choices:
        if isinstance(item, FunctionCallItem | CustomCallItem | ApprovalItem):
            return self._chunk_choices(self._calls.begin(index, item))
        return []

    def _end(self, index: int, item: OutputItem) -> Choices:
        """Say what the finished item holds and no delta brought."""
        match item:
            case MessageItem():
                return [choice for k, raw in enumerate(item.content) for choice in self._part(index, k, raw)]
            case FunctionCallItem() | CustomCallItem() | ApprovalItem():
                return self._chunk_choices(self._calls.end(index, item))
            case ReasoningItem():
                kind: reasoning.ReasoningForm = "raw" if item.content else "summary"
                parts = enumerate(item.content or item.summary or ())
                return [choice for k, part in parts for choice in self._complete_reasoning(index, k, part.text, kind)]
            case ImageItem():
                image = to_image(item)
                self._images += [] if image is None else [image]
        return []

    def _on_part(self, event: events.ContentPartAdded | events.ContentPartDone) -> Choices:
        match decode_part(event.part):
            case TextPart() | RefusalPart():
                return self._admit("message", event.output_index, event)
            case ReasoningPart():
                return self._admit("reasoning", event.output_index, event)
        return []

    def _part(self, index: int, k: int, raw: Raw) -> Choices:
        """Take a part that begins or ends: what it holds counts as a delta where none brought it."""
        match decode_part(raw):
            case TextPart() as part:
                if index in self._commentary:
                    return self._complete_reasoning(index, k, part.text, "raw")
                self._text.citations.complete((index, k), part.annotations)
                return self._send_text(index, self._text.complete((index, k), part.text, part.logprobs))
            case RefusalPart() as part:
                return self._refuse(index, k, self._refusals.rest((index, k), part.refusal))
            case ReasoningPart() as part:
                return self._complete_reasoning(index, k, part.text, "raw")
            case UnknownPart() as part:
                _check(part.type, _ESSENTIAL_PARTS, "a part")
        return []

    # -- text and refusals --------------------------------------------------------------------------

    def _on_text_delta(self, event: events.TextDelta) -> Choices:
        index, part = event.output_index, event.content_index
        if index in self._commentary:
            return self._add_reasoning(index, part, event.delta, "raw")
        return self._send_text(index, self._text.add((index, part), event.delta, event.logprobs))

    def _on_text_done(self, event: events.TextDone) -> Choices:
        index, part = event.output_index, event.content_index
        if index in self._commentary:
            return self._complete_reasoning(index, part, event.text, "raw")
        return self._send_text(index, self._text.complete((index, part), event.text, event.logprobs))

    def _send_text(self, index: int, piece: SentPiece) -> Choices:
        text, tokens = piece
        if self._text.stopped and self._cut is None:
            self._cut = index
        if tokens:
            return [ChunkChoice(index=self._index, delta=Delta(content=text), logprobs=to_choice_logprobs(tokens))]
        return [ChunkChoice(index=self._index, delta=Delta(content=text))] if text else []

    def _cite(self, index: int, event: events.ItemEvent) -> Choices:
        """Of a message that was cut nothing but its citations still counts: they come after their text."""
        match event:
            case events.AnnotationAdded():
                return self._on_annotation(event)
            case events.OutputItemDone():
                item = decode_item(event.item)
                parts = enumerate(item.content if isinstance(item, MessageItem) else ())
                for key, part in ((k, decode_part(raw)) for k, raw in parts):
                    if isinstance(part, TextPart):
                        self._text.citations.complete((index, key), part.annotations)
        return []

    def _on_annotation(self, event: events.AnnotationAdded) -> Choices:
        self._text.citations.add((event.output_index, event.content_index), event.annotation)
        return []

    def _on_refusal_delta(self, event: events.RefusalDelta) -> Choices:
        index, part = event.output_index, event.content_index
        return self._refuse(index, part, self._refusals.joined((index, part), event.delta))

    def _on_refusal_done(self, event: events.RefusalDone) -> Choices:
        index, part = event.output_index, event.content_index
        return self._refuse(index, part, self._refusals.rest((index, part), event.refusal))

    def _refuse(self, index: int, part: int, text: str) -> Choices:
        if not text or index == self._cut:
            return []
        self._refusals.add((index, part), text)
        return [self._choice(Delta(refusal=text))]

    # -- reasoning ----------------------------------------------------------------------------------

    def _on_summary_delta(self, event: events.SummaryTextDelta) -> Choices:
        return self._add_reasoning(event.output_index, event.summary_index, event.delta, "summary")

    def _on_summary_done(self, event: events.SummaryTextDone) -> Choices:
        return self._complete_reasoning(event.output_index, event.summary_index, event.text, "summary")

    def _on_reasoning_delta(self, event: events.ReasoningTextDelta) -> Choices:
        return self._add_reasoning(event.output_index, event.content_index, event.delta, "raw")

    def _on_reasoning_done(self, event: events.ReasoningTextDone) -> Choices:
        return self._complete_reasoning(event.output_index, event.content_index, event.text, "raw")

    def _add_reasoning(self, index: int, part: int, text: str, kind: reasoning.ReasoningForm) -> Choices:
        return self._show(self._reasoning.add(index, part, text, kind))

    def _complete_reasoning(self, index: int, part: int, final_text: str, kind: reasoning.ReasoningForm) -> Choices:
        return self._show(self._reasoning.complete(index, part, final_text, kind))

    def _show(self, text: str) -> Choices:
        delta = reasoning.to_delta(text, self._plan.reasoning_field)
        return [] if delta is None else [self._choice(delta)]

    # -- calls and speech ---------------------------------------------------------------------------

    def _on_call_delta(self, event: events.ArgumentsDelta | events.CustomInputDelta) -> Choices:
        return self._chunk_choices(self._calls.add(event.output_index, event.delta))

    def _on_arguments_done(self, event: events.ArgumentsDone) -> Choices:
        return self._chunk_choices(self._calls.complete(event.output_index, event.arguments))

    def _on_input_done(self, event: events.CustomInputDone) -> Choices:
        return self._chunk_choices(self._calls.complete(event.output_index, event.input))

    def _chunk_choices(self, deltas: Sequence[Delta]) -> Choices:
        return [self._choice(delta) for delta in deltas]

    def _on_audio(self, event: events.AudioDelta) -> Choices:
        return [self._choice(Delta(audio=AudioOut(data=event.delta)))]

    def _on_transcript(self, event: events.TranscriptDelta) -> Choices:
        text = self._transcript.joined((0, 0), event.delta)
        return [self._choice(Delta(audio=AudioOut(transcript=text)))] if text else []

    def _choice(self, delta: Delta) -> ChunkChoice:
        return ChunkChoice(index=self._index, delta=delta)


def _check(type_: str, essential: frozenset[str], what: str) -> None:
    """Raise UpstreamFailed if something that the answer needs could not be read."""
    if type_ in essential:
        message = f"The upstream sent {what} of type '{type_}' that cannot be read."
        raise UpstreamFailed(502, ErrorBody(message=message, type="server_error", code="upstream_malformed"))


# The method for each event that belongs to an item, and the kind of that item; None where the item or
# part in the event has the kind. `stream.py` handles the events of the response itself; all others are ignored.
_Handler = Callable[[ItemTranslator, Any], Choices]
_ROWS: dict[type, tuple[ItemKind | None, _Handler]] = {
    events.OutputItemAdded: (None, ItemTranslator._on_item_added),
    events.OutputItemDone: (None, ItemTranslator._on_item_done),
    events.ContentPartAdded: (None, ItemTranslator._on_part),
    events.ContentPartDone: (None, ItemTranslator._on_part),
    events.TextDelta: ("message", ItemTranslator._on_text_delta),
    events.TextDone: ("message", ItemTranslator._on_text_done),
    events.AnnotationAdded: ("message", ItemTranslator._on_annotation),
    events.RefusalDelta: ("message", ItemTranslator._on_refusal_delta),
    events.RefusalDone: ("message", ItemTranslator._on_refusal_done),
    events.ArgumentsDelta: ("call", ItemTranslator._on_call_delta),
    events.ArgumentsDone: ("call", ItemTranslator._on_arguments_done),
    events.CustomInputDelta: ("call", ItemTranslator._on_call_delta),
    events.CustomInputDone: ("call", ItemTranslator._on_input_done),
    events.SummaryTextDelta: ("reasoning", ItemTranslator._on_summary_delta),
    events.SummaryTextDone: ("reasoning", ItemTranslator._on_summary_done),
    events.ReasoningTextDelta: ("reasoning", ItemTranslator._on_reasoning_delta),
    events.ReasoningTextDone: ("reasoning", ItemTranslator._on_reasoning_done),
    events.OpenReasoningDelta: ("reasoning", ItemTranslator._on_reasoning_delta),
    events.OpenReasoningDone: ("reasoning", ItemTranslator._on_reasoning_done),
    events.AudioDelta: (None, ItemTranslator._on_audio),
    events.TranscriptDelta: (None, ItemTranslator._on_transcript),
    events.TornDelta: (None, ItemTranslator._on_torn),
}
