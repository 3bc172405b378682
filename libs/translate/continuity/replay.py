"""Puts original output items in the place of a client's echo of them (docs/continuity.md#how-a-turn-is-known-again).

All items of a turn or none: the upstream takes reasoning only with the item it belongs to, and that item, with
its id, only with its reasoning (docs/mapping.md#what-an-upstream-keeps).
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from libs.schemas.wire.output import (
    Caller,
    CustomCallItem,
    FunctionCallItem,
    MessageItem,
    ReasoningItem,
    decode_item,
)
from libs.schemas.wire.responses import (
    CustomToolCallIn,
    FunctionCallIn,
    InputItem,
    McpApprovalRequestIn,
)
from libs.translate.answer.item_fates import FATES, PROGRAM
from libs.translate.request.messages import Input

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()
_NULL = Raw(b"null")
_CALLS = (FunctionCallItem, CustomCallItem)


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """A kept item, looked at once: `raw` is its JSON; `call_id` and `arguments` only of a call for the client."""

    raw: bytes
    id: str | None = None
    is_call: bool = False
    call_id: str | None = None
    arguments: str | None = None


class _Seen(msgspec.Struct, frozen=True):
    """What of an item has to be known."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    arguments: str | None = None
    caller: Caller | None = None


_SEEN = msgspec.json.Decoder(_Seen)


def read(items: Sequence[bytes]) -> list[Original]:
    """Return kept items as they are used here."""
    return [_read(raw) for raw in items]


def _read(raw: bytes) -> Original:
    try:
        seen = _SEEN.decode(raw)
    except msgspec.ValidationError:  # of an upstream with other ideas of an item
        return Original(raw=raw)
    if FATES.get(seen.type) != "call" or (seen.caller is not None and seen.caller.type == PROGRAM):
        return Original(raw=raw, id=seen.id)
    return Original(raw=raw, id=seen.id, is_call=True, call_id=seen.call_id, arguments=seen.arguments)


def is_worth_it(output: Sequence[Raw | bytes]) -> bool:
    """Whether the original items hold what the echo lacks: reasoning, phases, hosted items."""
    items = map(decode_item, output)
    return any(
        item.phase is not None if isinstance(item, MessageItem) else not isinstance(item, _CALLS) for item in items
    )


def is_possible(output: Sequence[Raw | bytes]) -> bool:
    """Whether the items may stand in a later input: all reasoning is sealed in them, and followed by its item."""
    items = list(map(decode_item, output))
    sealed = all(item.encrypted_content or item.content for item in items if isinstance(item, ReasoningItem))
    return bool(items) and sealed and not isinstance(items[-1], ReasoningItem)


def ids(output: Sequence[Original]) -> list[str]:
    """Return the ids of the items, by which the upstream complains of them."""
    return [item.id for item in output if item.id]


def fits(plain: Sequence[InputItem], output: Sequence[Original]) -> bool:
    """Whether `output` makes as many calls as the echoed turn, of which `plain` are the items."""
    return len(_echoed_calls(plain)) == sum(item.is_call for item in output)


def replayed(made: Input, turns: Mapping[int, Sequence[Original]]) -> Input:
    """Return `made` with original items in the place of the turns of these messages."""
    plain = spans(made)
    result = Input(instructions=made.instructions, hoisted=made.hoisted, dropped=made.dropped)
    for source in sorted({*plain, *turns}):  # an answer that only showed an image leaves no trace in its echo
        items = plain.get(source, [])
        if source in turns:
            items = _originals(items, turns[source])
        result.items += items
        result.message_indexes += [source] * len(items)
    return result


def spans(made: Input) -> dict[int, list[InputItem]]:
    """Return the items of each message."""
    found: dict[int, list[InputItem]] = {}
    for item, source in zip(made.items, made.message_indexes, strict=True):
        found.setdefault(source, []).append(item)
    return found


def _originals(plain: Sequence[InputItem], output: Sequence[Original]) -> list[InputItem]:
    """The original items; calls get the ids under which their results stand in this input."""
    echoed = iter(_echoed_calls(plain))
    return [_original(item, next(echoed) if item.is_call else None) for item in output]


def _original(item: Original, call_id: str | None) -> InputItem:
    renamed = item.call_id is not None and item.call_id != call_id
    if not renamed and b"null" not in item.raw:
        return Raw(item.raw)
    fields = {name: value for name, value in _OBJECT.decode(item.raw).items() if value != _NULL}
    if renamed:
        fields["call_id"] = Raw(_ENCODER.encode(call_id))
    return Raw(_ENCODER.encode(fields))


def _echoed_calls(plain: Sequence[InputItem]) -> list[str]:
    return [
        item.id if isinstance(item, McpApprovalRequestIn) else item.call_id
        for item in plain
        if isinstance(item, FunctionCallIn | CustomToolCallIn | McpApprovalRequestIn)
    ]
