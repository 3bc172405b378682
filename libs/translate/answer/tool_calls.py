"""The tool calls of one answer, as deltas (docs/mapping.md#output-items, #stream-events, #legacy-functions).

Indexes are dense and count calls alone; id and name come once. The order of calls is decided in another module.
"""

from collections.abc import Callable

import msgspec

from libs.schemas.wire.completion import CustomDelta, Delta, FunctionDelta, ToolCallDelta
from libs.schemas.wire.output import ApprovalItem, CustomCallItem, FunctionCallItem
from libs.translate.answer.sent_text import SentText
from libs.translate.ids import APPROVAL

CallItem = FunctionCallItem | CustomCallItem | ApprovalItem


class _Approval(msgspec.Struct, frozen=True):
    server_label: str
    name: str
    arguments: str


_ENCODER = msgspec.json.Encoder()


class Form(msgspec.Struct, frozen=True):
    """How one kind of tool call is sent: its id and name first, then pieces of its text."""

    announce: Callable[[int, str, str], Delta]  # index, id, name
    add: Callable[[int, str], Delta]  # index, text


def _announce_function(index: int, id: str, name: str) -> Delta:
    return Delta(tool_calls=[ToolCallDelta(index=index, id=id, type="function", function=FunctionDelta(name=name))])


def _add_arguments(index: int, text: str) -> Delta:
    return Delta(tool_calls=[ToolCallDelta(index=index, function=FunctionDelta(arguments=text))])


def _announce_custom(index: int, id: str, name: str) -> Delta:
    return Delta(tool_calls=[ToolCallDelta(index=index, id=id, type="custom", custom=CustomDelta(name=name))])


def _add_input(index: int, text: str) -> Delta:
    return Delta(tool_calls=[ToolCallDelta(index=index, custom=CustomDelta(input=text))])


def _announce_legacy(_index: int, _id: str, name: str) -> Delta:
    return Delta(function_call=FunctionDelta(name=name))


def _add_legacy(_index: int, text: str) -> Delta:
    return Delta(function_call=FunctionDelta(arguments=text))


_FUNCTION = Form(_announce_function, _add_arguments)
_CUSTOM = Form(_announce_custom, _add_input)
_LEGACY = Form(_announce_legacy, _add_legacy)


class _ToolCallText:
    """One tool call: how it is announced, how its text is sent, and what was sent of it."""

    def __init__(self, index: int, form: Form, announced: Delta, *, torn: bool) -> None:
        self.index = index
        self.form = form
        self.announced = announced
        self.sent = SentText(torn=torn)


class ToolCalls:
    """Calls by output index. The legacy form has room for one: the others are passed over.

    See docs/mapping.md#legacy-functions.
    """

    def __init__(self, *, legacy: bool = False) -> None:
        self._calls: dict[int, _ToolCallText] = {}
        self._legacy = legacy
        self._torn = False

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def differs(self) -> bool:
        """Whether the final text of a call differs from its deltas."""
        return any(call.sent.differs for call in self._calls.values())

    def sent(self) -> list[Delta]:
        """Return all that was sent, each call in two deltas."""
        return [
            delta
            for call in self._calls.values()
            for delta in (call.announced, call.form.add(call.index, str(call.sent)))
        ]

    def tear(self) -> None:
        """From now on deltas may begin and end in the middle of a character."""
        self._torn = True
        for call in self._calls.values():
            call.sent.torn = True

    def begin(self, index: int, item: CallItem) -> list[Delta]:
        """A call begins. One without id or name, and one that asks for an approval, waits until it is complete."""
        if isinstance(item, ApprovalItem) or not (item.call_id and item.name):
            return []
        return self._open(index, item)

    def add(self, index: int, text: str) -> list[Delta]:
        """More of its text came."""
        call = self._calls.get(index)
        return [] if call is None else _more(call, index, call.sent.joined((index, 0), text))

    def complete(self, index: int, final_text: str) -> list[Delta]:
        """Its final text came: send what the deltas lacked."""
        call = self._calls.get(index)
        return [] if call is None else _more(call, index, call.sent.rest((index, 0), final_text))

    def left(self, index: int, text: str) -> list[Delta]:
        """It is done: say `text` for a half of a character that was left without its other."""
        call = self._calls.get(index)
        return [] if call is None else [delta for _ in call.sent.ended(index) for delta in _more(call, index, text)]

    def end(self, index: int, item: CallItem) -> list[Delta]:
        """The complete call came."""
        return [*self._open(index, item), *self.complete(index, _text(item))]

    def _open(self, index: int, item: CallItem) -> list[Delta]:
        if index in self._calls or (self._legacy and self._calls):
            return []
        form = _CUSTOM if isinstance(item, CustomCallItem) else _LEGACY if self._legacy else _FUNCTION
        announced = form.announce(len(self._calls), *_name(item))
        self._calls[index] = _ToolCallText(len(self._calls), form, announced, torn=self._torn)
        return [announced, *([] if isinstance(item, ApprovalItem) else self.add(index, _text(item)))]


def _more(call: _ToolCallText, index: int, text: str) -> list[Delta]:
    if not text:
        return []
    call.sent.add((index, 0), text)
    return [call.form.add(call.index, text)]


def _name(item: CallItem) -> tuple[str, str]:
    return (item.id, APPROVAL) if isinstance(item, ApprovalItem) else (item.call_id, item.name)


def _text(item: CallItem) -> str:
    match item:
        case FunctionCallItem():
            return item.arguments
        case CustomCallItem():
            return item.input
        case ApprovalItem():
            return _ENCODER.encode(_Approval(item.server_label, item.name, item.arguments)).decode()
