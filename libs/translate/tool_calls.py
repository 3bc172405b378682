"""The tool calls of one streamed answer, each sent whole before the next begins (translation reference C.1).

Clients put a call together from deltas that must be contiguous; upstreams may send several at once.
"""

from collections import deque

from libs.schemas.chat import FunctionDelta, ToolCallDelta
from libs.schemas.responses import FunctionCallItem


class _Call:
    """One call on its way to the client: what has come, and how much of it has gone out."""

    def __init__(self, index: int, item: FunctionCallItem) -> None:
        self.index = index
        self.item = item
        self.waiting = [item.arguments] if item.arguments else []
        self.length = len(item.arguments)  # of all arguments that came, in characters
        self.announced = False
        self.done = False

    def add(self, text: str) -> None:
        if text:
            self.waiting.append(text)
            self.length += len(text)

    def take(self) -> list[ToolCallDelta]:
        deltas = []
        if not self.announced:
            self.announced = True
            function = FunctionDelta(name=self.item.name)
            deltas.append(ToolCallDelta(index=self.index, id=self.item.call_id, type="function", function=function))
        if self.waiting:
            function = FunctionDelta(arguments="".join(self.waiting))
            self.waiting.clear()
            deltas.append(ToolCallDelta(index=self.index, function=function))
        return deltas


class ToolCalls:
    """Calls by output index, and the queue in which they go out; only the first one sends."""

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}
        self._queue: deque[_Call] = deque()

    def __len__(self) -> int:
        return len(self._calls)

    def begin(self, index: int, item: FunctionCallItem) -> None:
        """A call begins. One whose id or name has not come yet waits until it is whole."""
        if item.call_id and item.name:
            self._open(index, item)

    def add(self, index: int, arguments: str) -> None:
        """More arguments came."""
        call = self._calls.get(index)
        if call is not None:
            call.add(arguments)

    def complete(self, index: int, arguments: str) -> None:
        """The whole arguments came: only what had not come before is new.

        Some servers announce none here and give them with the finished item, so none is not the end.
        """
        call = self._calls.get(index)
        if call is not None:
            call.add(arguments[call.length :])
            call.done = call.length > 0

    def end(self, index: int, item: FunctionCallItem) -> None:
        """The whole call came."""
        self._open(index, item)
        self.complete(index, item.arguments)
        self._calls[index].done = True

    def end_all(self) -> None:
        """No more will come of any call."""
        for call in self._queue:
            call.done = True

    def take(self) -> list[ToolCallDelta]:
        """Return what may go out now."""
        deltas: list[ToolCallDelta] = []
        while self._queue:
            deltas += self._queue[0].take()
            if not self._queue[0].done:
                break
            self._queue.popleft()
        return deltas

    def _open(self, index: int, item: FunctionCallItem) -> None:
        if index not in self._calls:
            call = self._calls[index] = _Call(len(self._calls), item)
            self._queue.append(call)
