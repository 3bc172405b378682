"""Output items: what an answer is made of, and each one's form on the wire (docs/mapping.md#output-items)."""

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

from simulator.context import encrypted_content, tokens
from simulator.output.logprobs import full_logprobs
from simulator.output.message_part import Part
from simulator.wire.ids import new_call_id, new_id
from simulator.wire.json import Json


@dataclass(frozen=True)
class Reasoning:
    """Sealed thoughts. `encrypted_content` is null where the model keeps it; `thoughts` are its raw texts.

    `resealed` is the same content as the final Response carries it: sealed anew, and as good (recorded).
    `shows_content` is true for models whose items always have a `content` key.
    """

    id: str
    encrypted_content: str | None
    resealed: str | None = None
    summary: tuple[str, ...] = ()
    thoughts: tuple[str, ...] = ()
    shows_content: bool = True


@dataclass(frozen=True)
class Message:
    """One message. `phase` is null for models that have none; `speaks` sends audio events beside the text."""

    id: str
    parts: tuple[Part, ...]
    phase: str | None = None
    speaks: bool = False

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


@dataclass(frozen=True)
class Call:
    """A call the client executes: of a function (`arguments` is JSON) or of a custom tool (free text)."""

    id: str
    call_id: str
    name: str
    arguments: str
    is_custom: bool = False
    namespace: str | None = None


@dataclass(frozen=True)
class Hosted:
    """An item of any other type: its form when announced and when done, and the events between the two.

    An event is its type and its own fields; where it happens is added when it is played. `by_client` tells that the
    client has to do something before the model goes on.
    """

    added: Json
    done: Json
    events: tuple[tuple[str, Json], ...] = ()
    by_client: bool = False

    @property
    def id(self) -> str:
        return str(self.added["id"])

    @property
    def type(self) -> str:
        return str(self.added["type"])


OutputItem = Reasoning | Message | Call | Hosted


def new_message(text: str, phase: str | None, is_refusal: bool = False) -> Message:
    return Message(new_id("msg"), (Part(text, is_refusal),), phase)


def new_call(name: str, arguments: str, is_custom: bool = False, namespace: str | None = None) -> Call:
    return Call(new_id("ctc" if is_custom else "fc"), new_call_id(), name, arguments, is_custom, namespace)


def to_part(part: Part, text: str) -> Json:
    """The content part as it opens, with the text ""; or as it is done, with all of it."""
    if part.is_refusal:
        return {"type": "refusal", "refusal": text}
    annotations = list(part.annotations) if text else []
    return {"type": "output_text", "annotations": annotations, "logprobs": full_logprobs(part, text), "text": text}


@singledispatch
def to_wire(item: OutputItem, status: str) -> Json:
    """The item as the API returns it; with status `in_progress`, as it is announced: without its content."""
    raise TypeError(item)


@to_wire.register
def _(item: Reasoning, status: str) -> Json:
    announced = status == "in_progress"
    wire: Json = {"id": item.id, "type": "reasoning"}
    if item.shows_content or item.thoughts:
        thoughts = () if announced else item.thoughts
        wire["content"] = [{"type": "reasoning_text", "text": text} for text in thoughts]
    if item.encrypted_content is not None:
        token = item.encrypted_content
        wire["encrypted_content"] = encrypted_content.unfinished(token) if announced else token
    summary = () if announced else item.summary
    wire["summary"] = [{"type": "summary_text", "text": text} for text in summary]
    return wire


@to_wire.register
def _(item: Message, status: str) -> Json:
    content = [] if status == "in_progress" else [to_part(part, part.text) for part in item.parts]
    phase = {} if item.phase is None else {"phase": item.phase}
    return {"id": item.id, "type": "message", "status": status, "content": content, **phase, "role": "assistant"}


@to_wire.register
def _(item: Call, status: str) -> Json:
    arguments = "" if status == "in_progress" else item.arguments
    named: dict[str, Any] = {"call_id": item.call_id, "name": item.name}
    if item.namespace is not None:
        named["namespace"] = item.namespace
    if item.is_custom:
        # Announced without a status, unlike every other item.
        announced = {} if status == "in_progress" else {"status": status}
        return {"id": item.id, "type": "custom_tool_call", **announced, "input": arguments, **named}
    return {"id": item.id, "type": "function_call", "status": status, "arguments": arguments, **named}


@to_wire.register
def _(item: Hosted, status: str) -> Json:
    return item.added if status == "in_progress" else item.done


def to_final(item: OutputItem, status: str) -> Json:
    """The item as the final Response holds it."""
    wire = to_wire(item, status)
    if isinstance(item, Reasoning) and item.resealed is not None:
        wire["encrypted_content"] = item.resealed
    return wire


def count(item: OutputItem) -> int:
    """Output tokens of an item's visible part."""
    if isinstance(item, Reasoning):
        return sum(map(tokens.count, item.summary))
    if isinstance(item, Hosted):
        return tokens.count(str(item.done.get("arguments") or item.done.get("code") or ""))
    return tokens.count(item.text if isinstance(item, Message) else item.name + item.arguments)


def shortened(item: OutputItem, length: int) -> OutputItem:
    """The item with only so many characters of its text or arguments; other items stay whole."""
    if isinstance(item, Message):
        return replace(item, parts=(replace(item.parts[0], text=item.text[:length], annotations=()),))
    if isinstance(item, Call):
        return replace(item, arguments=item.arguments[:length])
    return item
