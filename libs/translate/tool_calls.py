"""The tool calls of one answer, as deltas (translation reference B.2, C.1, A.6).

Indexes are dense and count calls alone; id and name come once. Which call may speak is not decided here.
"""

from collections.abc import Callable

import msgspec

from libs.schemas.completion import CustomDelta, Delta, FunctionDelta, ToolCallDelta
from libs.schemas.output import ApprovalItem, CustomCallItem, FunctionCallItem
from libs.translate.pairing import APPROVAL

CallItem = FunctionCallItem | CustomCallItem | ApprovalItem


class _Approval(msgspec.Struct, frozen=True):
    server_label: str
    name: str
    arguments: str


_ENCODER = msgspec.json.Encoder()


class Form(msgspec.Struct, frozen=True):
    """How one kind of call is told: first its id and name, then pieces of its text."""

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


class _Call:
    """One call: how it is told, and how much of its text came."""

    def __init__(self, index: int, form: Form) -> None:
        self.index = index
        self.form = form
        self.length = 0


class ToolCalls:
    """Calls by output index. The legacy form has room for one: the others are passed over (A.6)."""

    def __init__(self, *, legacy: bool = False) -> None:
        self._calls: dict[int, _Call] = {}
        self._legacy = legacy

    def __len__(self) -> int:
        return len(self._calls)

    def begin(self, index: int, item: CallItem) -> list[Delta]:
        """A call begins. One whose id or name has not come yet, or that is a question, waits until it is whole."""
        if isinstance(item, ApprovalItem) or not (item.call_id and item.name):
            return []
        return self._open(index, item)

    def add(self, index: int, text: str) -> list[Delta]:
        """More of its text came."""
        call = self._calls.get(index)
        if call is None or not text:
            return []
        call.length += len(text)
        return [call.form.add(call.index, text)]

    def complete(self, index: int, whole: str) -> list[Delta]:
        """Its whole text came: what had not come before is new."""
        call = self._calls.get(index)
        return [] if call is None else self.add(index, whole[call.length :])

    def end(self, index: int, item: CallItem) -> list[Delta]:
        """The whole call came."""
        return [*self._open(index, item), *self.complete(index, _text(item))]

    def _open(self, index: int, item: CallItem) -> list[Delta]:
        if index in self._calls or (self._legacy and self._calls):
            return []
        form = _CUSTOM if isinstance(item, CustomCallItem) else _LEGACY if self._legacy else _FUNCTION
        call = self._calls[index] = _Call(len(self._calls), form)
        announced = form.announce(call.index, *_name(item))
        return [announced, *([] if isinstance(item, ApprovalItem) else self.add(index, _text(item)))]


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
