"""Original output items in the place of what a client echoed of them (design, "Replay").

A whole turn or none: the upstream takes reasoning only with the item it belongs to, and that item, with
its id, only with its reasoning (translation reference E).
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from libs.schemas.output import (
    CustomCallItem,
    FunctionCallItem,
    MessageItem,
    ReasoningItem,
    decode_item,
)
from libs.schemas.responses import (
    CustomToolCallIn,
    FunctionCallIn,
    InputItem,
    McpApprovalRequestIn,
)
from libs.translate.items import call_ids, kind_of
from libs.translate.messages import Input

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()
_NULL = Raw(b"null")
_CALLS = (FunctionCallItem, CustomCallItem)


class _Id(msgspec.Struct):
    id: str | None = None


_ID = msgspec.json.Decoder(_Id)


def is_worth_it(output: Sequence[Raw | bytes]) -> bool:
    """Whether a replay could tell the upstream more than the chat form does: reasoning, phases, hosted items."""
    items = map(decode_item, output)
    return any(
        item.phase is not None if isinstance(item, MessageItem) else not isinstance(item, _CALLS) for item in items
    )


def is_possible(output: Sequence[Raw | bytes]) -> bool:
    """Whether the items may stand in a later input: all reasoning is sealed in them, and followed by its item."""
    items = list(map(decode_item, output))
    sealed = all(item.encrypted_content or item.content for item in items if isinstance(item, ReasoningItem))
    return bool(items) and sealed and not isinstance(items[-1], ReasoningItem)


def ids(output: Sequence[Raw | bytes]) -> list[str]:
    """Return the ids of the items, by which the upstream complains of them."""
    try:
        return [item.id for item in map(_ID.decode, output) if item.id]
    except msgspec.ValidationError:
        return []


def fits(plain: Sequence[InputItem], output: Sequence[Raw | bytes]) -> bool:
    """Whether `output` makes the same calls as the echoed turn, of which `plain` are the items."""
    return len(_echoed_calls(plain)) == len(call_ids(output))


def replayed(made: Input, turns: Mapping[int, Sequence[bytes]]) -> Input:
    """Return `made` with original items in the place of the turns of these messages."""
    plain = spans(made)
    result = Input(instructions=made.instructions, hoisted=made.hoisted, dropped=made.dropped)
    for source in sorted({*plain, *turns}):  # an answer that only showed an image leaves no trace in its echo
        items = plain.get(source, [])
        if source in turns:
            items = _originals(items, turns[source])
        result.items += items
        result.sources += [source] * len(items)
    return result


def spans(made: Input) -> dict[int, list[InputItem]]:
    """Return the items of each message."""
    found: dict[int, list[InputItem]] = {}
    for item, source in zip(made.items, made.sources, strict=True):
        found.setdefault(source, []).append(item)
    return found


def _originals(plain: Sequence[InputItem], output: Sequence[bytes]) -> list[InputItem]:
    """The original items; calls get the ids under which their results stand in this input."""
    echoed = iter(_echoed_calls(plain))
    return [_original(raw, next(echoed) if _is_call(raw) else None) for raw in output]


def _original(raw: bytes, call_id: str | None) -> InputItem:
    item = decode_item(raw)
    renamed = call_id is not None and isinstance(item, _CALLS) and item.call_id != call_id
    if not renamed and b"null" not in raw:
        return Raw(raw)
    fields = {name: value for name, value in _OBJECT.decode(raw).items() if value != _NULL}
    if renamed:
        fields["call_id"] = Raw(_ENCODER.encode(call_id))
    return Raw(_ENCODER.encode(fields))


def _is_call(raw: bytes | Raw) -> bool:
    return kind_of(decode_item(raw)) == "call"


def _echoed_calls(plain: Sequence[InputItem]) -> list[str]:
    return [
        item.id if isinstance(item, McpApprovalRequestIn) else item.call_id
        for item in plain
        if isinstance(item, FunctionCallIn | CustomToolCallIn | McpApprovalRequestIn)
    ]
