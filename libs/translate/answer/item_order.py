"""Who may speak: items of one kind go to the client one after the other (docs/mapping.md#overlapping-items).

Clients put texts and calls together from deltas that must be contiguous; upstreams may send several
items at once. What comes of an item before its time is held, and released when the one before it is done.
Of an upstream that announces no items none is expected to tell that they are done: there the next begins.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from itertools import groupby

import msgspec

from libs.schemas.wire import events

_DELTAS = (
    events.TextDelta,
    events.RefusalDelta,
    events.ArgumentsDelta,
    events.CustomInputDelta,
    events.SummaryTextDelta,
    events.ReasoningTextDelta,
)


class Floor:
    """Items of one kind by their output indexes, in the order in which they began."""

    def __init__(self) -> None:
        self.speaking: int | None = None  # the item that has the floor
        self.entered: dict[int, bool] = {}  # is it done?
        self._queue: deque[int] = deque()
        self._announced: set[int] = set()
        self._passed: set[int] = set()  # those that another one followed without their being done
        self._held: dict[int, list[events.ItemEvent]] = {}

    def enter(self, index: int, *, announced: bool) -> bool:
        """An item says something, or is announced: return whether it may speak now."""
        if index not in self.entered:
            self.entered[index] = False
            if self.speaking is not None and self.speaking not in self._announced:
                self._passed.add(self._queue.popleft())
            self._queue.append(index)
            self.speaking = self._queue[0]
        if announced:
            self._announced.add(index)
        return self.speaking == index or index in self._passed

    def hold(self, index: int, event: events.ItemEvent) -> None:
        """Keep what came before its time. An item that is done says no more."""
        if not self.entered[index]:
            held = self._held.setdefault(index, [])
            if not held or not isinstance(held[-1], events.OutputItemDone):
                held.append(event)

    def leave(self, index: int) -> Iterable[events.ItemEvent]:
        """An item that may speak is done: the next one has the floor. Return what was held of it."""
        self.entered[index] = True
        if index in self._passed:
            self._passed.remove(index)
            return ()
        self._queue.popleft()
        self.speaking = self._queue[0] if self._queue else None
        return () if self.speaking is None else _merged(self._held.pop(self.speaking, ()))

    def waits_for(self, index: int) -> bool:
        """Whether an item before `index` is not done."""
        return any(waiting < index for waiting in self._queue)


def _merged(held: Iterable[events.ItemEvent]) -> Iterator[events.ItemEvent]:
    """Join deltas that follow each other, so that what waited goes out in one piece."""
    for _, group in groupby(held, _sameness):
        run = list(group)
        first = run[0]
        if len(run) > 1 and isinstance(first, _DELTAS):
            pieces = "".join(event.delta for event in run if isinstance(event, _DELTAS))
            yield msgspec.structs.replace(first, delta=pieces)
        else:
            yield from run


def _sameness(event: events.ItemEvent) -> Hashable:
    """What deltas must share to be joined. Those with log probabilities stay apart."""
    if isinstance(event, _DELTAS) and not (isinstance(event, events.TextDelta) and bytes(event.logprobs)):
        return msgspec.structs.replace(event, delta="")
    return id(event)
