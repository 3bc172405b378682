"""Stored answers as the chat API shows them: the completion, its messages, its deletion.

See docs/mapping.md#stored-completions.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec
from msgspec import UNSET, Raw

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.completion import (
    ChatCompletion,
    ChatCompletionDeleted,
    CustomCallOut,
    FunctionCallOut,
    ImageContent,
    ImageContentPart,
    StoredMessage,
    StoredMessageList,
    StoredPart,
    TextContentPart,
    ToolCallOut,
)
from libs.schemas.wire.input_items import InputItemList, InputItemPart, Instructed, StoredItem
from libs.schemas.wire.output import Response
from libs.schemas.wire.tolerant import TolerantDecoder
from libs.schemas.wire.tool_types import TOOL_TYPES
from libs.translate.answer.completion import to_completion

INPUT_ITEMS_DECODER = TolerantDecoder(InputItemList)
STORED_ENCODER = msgspec.json.Encoder()

INSTRUCTIONS_DECODER = TolerantDecoder(Instructed)
_ITEM = TolerantDecoder(StoredItem)
_PLAN = StreamPlan(stream=False, logprobs=True)  # what a request asked for is not kept with its answer
_OWN = tuple(item for tool in TOOL_TYPES if tool.nested for item in tool.items)  # chat has a form for these alone
_CALLS = tuple(item.type for item in _OWN)
_RESULTS = tuple(item.result.type for item in _OWN if item.result is not None)


def to_stored_completion(response: Response) -> ChatCompletion:
    """Return a stored response as a completion. Raises UpstreamFailed when it failed, or is unfinished."""
    return to_completion(response, _PLAN)


def to_deleted(completion_id: str) -> ChatCompletionDeleted:
    """Return the body for a client that deleted its completion."""
    return ChatCompletionDeleted(id=completion_id)


def to_stored_messages(items: InputItemList, instructions: str | None = None) -> StoredMessageList:
    """Return one page of input items as messages.

    `instructions` of the response belong before its first page, for that is where the client's own words stood.
    """
    messages = [*_instructions(instructions), *_messages(map(_read, items.data))]
    return StoredMessageList(
        data=messages,
        first_id=messages[0].id if messages else None,
        last_id=messages[-1].id if messages else None,
        has_more=items.has_more,
    )


def _read(raw: Raw) -> StoredItem:
    try:
        return _ITEM.decode(raw)
    except msgspec.ValidationError:
        return StoredItem(type="unknown")


def _instructions(text: str | None) -> list[StoredMessage]:
    return [StoredMessage(id="instructions", role="system", content=text)] if text else []


def _messages(items: Iterable[StoredItem]) -> Iterator[StoredMessage]:
    """Messages of a run of items: an answer's text and the calls that follow it are one message."""
    for is_turn, group in groupby(items, _is_of_turn):
        run = list(group)
        if is_turn:
            yield from _turns(run)
        else:
            yield from (_message(item) for item in run if item.type == "message" or item.type in _RESULTS)


def _is_of_turn(item: StoredItem) -> bool:
    return item.type in _CALLS or item.type == "reasoning" or (item.type == "message" and item.role == "assistant")


def _turns(run: Sequence[StoredItem]) -> Iterator[StoredMessage]:
    text: StoredMessage | None = None
    calls: list[ToolCallOut] = []
    first = next((item.id for item in run if item.type in _CALLS), "")
    for item in run:
        if item.type in _CALLS:
            calls.append(_call(item))
        elif item.type == "message":
            if text is not None or calls:
                yield _turn(text, calls, first)
            text, calls = _message(item), []
    if text is not None or calls:
        yield _turn(text, calls, first)


def _turn(text: StoredMessage | None, calls: list[ToolCallOut], first: str) -> StoredMessage:
    message = text or StoredMessage(id=first, role="assistant", content=None)
    return msgspec.structs.replace(message, tool_calls=calls or UNSET)


def _call(item: StoredItem) -> ToolCallOut:
    if item.type == "custom_tool_call":
        return ToolCallOut(id=item.call_id, type="custom", custom=CustomCallOut(name=item.name, input=item.input))
    return ToolCallOut(id=item.call_id, function=FunctionCallOut(name=item.name, arguments=item.arguments))


def _message(item: StoredItem) -> StoredMessage:
    is_result = item.type in _RESULTS
    content = item.output if is_result else item.content
    parts = [] if content is None or isinstance(content, str) else content
    text = content if isinstance(content, str) else "".join(part.text or "" for part in parts)
    refusal = "".join(part.refusal or "" for part in parts) or None
    return StoredMessage(
        id=item.id,
        role="tool" if is_result else item.role,
        content=text or (None if refusal else ""),
        refusal=refusal,
        content_parts=_parts(parts),
        tool_call_id=item.call_id if is_result else UNSET,
    )


def _parts(parts: Sequence[InputItemPart]) -> list[StoredPart] | None:
    """The parts, where the message is more than one text; chat shows texts and images."""
    if len(parts) < 2 and not any(part.image_url for part in parts):
        return None
    shown = [_part(part) for part in parts]
    return [part for part in shown if part is not None] or None


def _part(part: InputItemPart) -> StoredPart | None:
    if part.text is not None:
        return TextContentPart(text=part.text)
    if part.image_url is not None:
        return ImageContentPart(image_url=ImageContent(url=part.image_url, detail=part.detail or UNSET))
    return None
