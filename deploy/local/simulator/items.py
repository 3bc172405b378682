"""Output items: what an answer is made of, and each one's form on the wire (translation reference B.2)."""

from dataclasses import dataclass, replace
from functools import singledispatch

from deploy.local.simulator import tokens
from deploy.local.simulator.ids import new_call_id, new_id
from deploy.local.simulator.wire import Json


@dataclass(frozen=True)
class Reasoning:
    id: str
    encrypted_content: str
    summary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """One message with one part: text, or a refusal. `phase` is null for models that have none."""

    id: str
    text: str
    phase: str | None = None
    is_refusal: bool = False


@dataclass(frozen=True)
class Call:
    """A call the client executes: of a function (`arguments` is JSON) or of a custom tool (free text)."""

    id: str
    call_id: str
    name: str
    arguments: str
    is_custom: bool = False


OutputItem = Reasoning | Message | Call


def new_message(text: str, phase: str | None, is_refusal: bool = False) -> Message:
    return Message(new_id("msg"), text, phase, is_refusal)


def new_call(name: str, arguments: str, is_custom: bool = False) -> Call:
    return Call(new_id("ctc" if is_custom else "fc"), new_call_id(), name, arguments, is_custom)


def to_part(message: Message, text: str) -> Json:
    """The message's one content part holding so much of the text."""
    if message.is_refusal:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


@singledispatch
def to_wire(item: OutputItem, status: str) -> Json:
    """The item as the API returns it; with status `in_progress`, as it is announced: without its content."""
    raise TypeError(item)


@to_wire.register
def _(item: Reasoning, status: str) -> Json:
    summary = [] if status == "in_progress" else [{"type": "summary_text", "text": text} for text in item.summary]
    return {
        "id": item.id,
        "type": "reasoning",
        "content": [],
        "encrypted_content": item.encrypted_content,
        "summary": summary,
    }


@to_wire.register
def _(item: Message, status: str) -> Json:
    content = [] if status == "in_progress" else [to_part(item, item.text)]
    phase = {} if item.phase is None else {"phase": item.phase}
    return {"id": item.id, "type": "message", "status": status, "content": content, **phase, "role": "assistant"}


@to_wire.register
def _(item: Call, status: str) -> Json:
    arguments = "" if status == "in_progress" else item.arguments
    named = {"call_id": item.call_id, "name": item.name}
    if item.is_custom:
        # Announced without a status, unlike every other item.
        announced = {} if status == "in_progress" else {"status": status}
        return {"id": item.id, "type": "custom_tool_call", **announced, "input": arguments, **named}
    return {"id": item.id, "type": "function_call", "status": status, "arguments": arguments, **named}


def count(item: OutputItem) -> int:
    """Output tokens of an item's visible part."""
    if isinstance(item, Reasoning):
        return sum(map(tokens.count, item.summary))
    return tokens.count(item.text if isinstance(item, Message) else item.name + item.arguments)


def shortened(item: OutputItem, length: int) -> OutputItem:
    """The item with only so many characters of its text or arguments; reasoning stays whole."""
    if isinstance(item, Message):
        return replace(item, text=item.text[:length])
    if isinstance(item, Call):
        return replace(item, arguments=item.arguments[:length])
    return item
