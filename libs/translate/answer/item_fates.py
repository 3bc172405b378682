"""What becomes of each type of output item in a chat answer (docs/mapping.md#output-items)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Raw

from libs.schemas.plan import StreamPlan
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
from libs.schemas.wire.parts import TextPart, decode_annotation, decode_logprobs, decode_part
from libs.schemas.wire.tool_types import ITEM_FATES, ItemFate

ItemKind = Literal["message", "reasoning", "call", "image"]
Fate = ItemKind | ItemFate

FATES: dict[str, Fate] = {
    "message": "message",
    "reasoning": "reasoning",
    **ITEM_FATES,
    # Definitions and programs, echoed.
    "additional_tools": "kept",
    "program": "kept",
    "program_output": "kept",
    "compaction": "kept",
}
PROGRAM = "program"
_CITATION = "url_citation"


def item_kind(item: OutputItem) -> ItemKind | None:
    """Return how a client sees an item; None where it does not."""
    match item:
        case MessageItem():
            return "message"
        case FunctionCallItem() | CustomCallItem():
            return None if item.caller is not None and item.caller.type == PROGRAM else "call"
        case ApprovalItem():
            return "call"
        case ReasoningItem():
            return "reasoning"
        case ImageItem():
            return "image"
        case UnknownItem():
            return None


def tool_call_ids(output: Sequence[Raw | bytes]) -> list[str]:
    """Return the ids of the tool calls that the client runs, as the client got them."""
    return [
        item.id if isinstance(item, ApprovalItem) else item.call_id
        for item in map(decode_item, output)
        if isinstance(item, FunctionCallItem | CustomCallItem | ApprovalItem) and item_kind(item) is not None
    ]


def losses(output: Sequence[Raw], plan: StreamPlan) -> list[str]:
    """Return what a chat answer has no place for, such as `output[1].web_search_call`, or lacks, as `logprobs`."""
    items = list(map(decode_item, output))
    lost = [f"output[{index}].{name}" for index, item in enumerate(items) for name in _losses(item)]
    if plan.functions:  # the legacy form has room for one call (docs/mapping.md#legacy-functions)
        calls = [index for index, item in enumerate(items) if item_kind(item) == "call"]
        lost += [f"output[{index}].function_call" for index in calls[1:]]
    texts = [part for item in items for part in _texts(item)]
    if plan.logprobs and texts and not any(decode_logprobs(part.logprobs) for part in texts):
        lost.append("logprobs")
    return lost


def _losses(item: OutputItem) -> Iterator[str]:
    if isinstance(item, UnknownItem) and FATES.get(item.type, "lost") == "lost":
        yield item.type or "unknown"
    cited = (raw for part in _texts(item) for raw in part.annotations or ())
    types = ((annotation and annotation.type) or "annotation" for annotation in map(decode_annotation, cited))
    yield from sorted({type_ for type_ in types if type_ != _CITATION})


def _texts(item: OutputItem) -> list[TextPart]:
    parts = map(decode_part, item.content) if isinstance(item, MessageItem) else ()
    return [part for part in parts if isinstance(part, TextPart)]


def place(output: Sequence[Raw], seen: Mapping[ItemKind, Collection[int]]) -> list[tuple[int, ItemKind | None, Raw]]:
    """Return the items of a finished output, each with the output index that its events had.

    The index is the place in the output. Some servers count otherwise, or use a number twice: then the
    items of a kind are matched by their order.
    """
    placed = [(k, item_kind(decode_item(raw)), raw) for k, raw in enumerate(output)]
    names: dict[tuple[ItemKind | None, int], int] = {}
    for kind, indexes in seen.items():
        places = [k for k, placed_kind, _ in placed if placed_kind == kind]
        fresh = [k for k in places if k not in indexes]
        elsewhere = [index for index in indexes if index not in places]
        names.update({(kind, k): index for k, index in zip(fresh, elsewhere, strict=False)})
    return [(names.get((kind, k), k), kind, raw) for k, kind, raw in placed]
