"""In which order items are sent: those of one kind one after the other (docs/mapping.md#overlapping-items).

Clients put texts and tool calls together from deltas that must be contiguous; an upstream may send several items at
once. Each item is in one state:

| state     | what it means                                                        | its events       |
|-----------|----------------------------------------------------------------------|------------------|
| SENDING   | the first item that is not done                                      | are sent         |
| WAITING   | another item of its kind is being sent                               | are held         |
| OVERTAKEN | another began before it was done, and nothing announced that it would end | are sent    |
| DONE      | it is complete                                                       | are passed over  |

| in        | event                                          | then                                                 |
|-----------|------------------------------------------------|------------------------------------------------------|
| (new)     | begins, and no item is SENDING                 | SENDING                                              |
| (new)     | begins, and the item SENDING was announced     | WAITING                                              |
| (new)     | begins, and the item SENDING was not announced | that one: OVERTAKEN; the first WAITING: SENDING      |
| SENDING   | done                                           | DONE; the first WAITING: SENDING, its held events go |
| OVERTAKEN | done                                           | DONE                                                 |
| WAITING   | done                                           | WAITING: the end is held, and nothing after it       |

An upstream that makes two calls at once, and what a client gets:

    output_item.added 0 (call)     -> call 0: id, name       0 SENDING
    output_item.added 1 (call)     -> nothing                1 WAITING
    arguments.delta 1 "{}"         -> nothing                held
    arguments.delta 0 "{}"         -> call 0: "{}"
    output_item.done 1             -> nothing                held
    output_item.done 0             -> call 1: id, name, "{}" 0 DONE, 1 SENDING, then DONE

An upstream that announces no items may never report that one is done. There the next item ends the wait for it: without
that, nothing of the next would be sent before the end of the answer.
"""

from collections.abc import Hashable, Iterable, Iterator
from enum import Enum
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


class State(Enum):
    """The state of one item; see above."""

    SENDING = "sending"
    WAITING = "waiting"
    OVERTAKEN = "overtaken"
    DONE = "done"


_SENT = (State.SENDING, State.OVERTAKEN)
_NOT_DONE = (State.SENDING, State.WAITING)


class ItemOrder:
    """Items of one kind by their output indexes. `current` is the one that is SENDING."""

    def __init__(self) -> None:
        self.current: int | None = None
        self._states: dict[int, State] = {}  # in the order in which the items began
        self._announced: set[int] = set()
        self._held: dict[int, list[events.ItemEvent]] = {}

    def __contains__(self, index: int) -> bool:
        return index in self._states

    def enter(self, index: int, *, announced: bool) -> Iterable[events.ItemEvent]:
        """Take note of an event of an item, `announced` that it says that the item begins or ends.

        Return what was held of another one that is sent from now on.
        """
        released: Iterable[events.ItemEvent] = ()
        if index not in self._states:
            overtakes = self.current is not None and self.current not in self._announced
            self._states[index] = State.WAITING
            if overtakes or self.current is None:
                released = self._advance(State.OVERTAKEN)
        if announced:
            self._announced.add(index)
        return released

    def is_sent(self, index: int) -> bool:
        """Whether events of the item are sent now."""
        return self._states.get(index) in _SENT

    def is_done(self, index: int) -> bool:
        """Whether the item is complete."""
        return self._states.get(index) is State.DONE

    def hold(self, index: int, event: events.ItemEvent) -> None:
        """Keep an event of an item that is WAITING, until its end."""
        if self._states[index] is State.WAITING:
            held = self._held.setdefault(index, [])
            if not held or not isinstance(held[-1], events.OutputItemDone):
                held.append(event)

    def leave(self, index: int) -> Iterable[events.ItemEvent]:
        """An item whose events are sent is done. Return what was held of the next one."""
        if index == self.current:
            return self._advance(State.DONE)
        self._states[index] = State.DONE
        return ()

    def waits_for(self, index: int) -> bool:
        """Whether an item before `index` is neither done nor overtaken."""
        return any(other < index and state in _NOT_DONE for other, state in self._states.items())

    def _advance(self, left: State) -> Iterable[events.ItemEvent]:
        """Let the first item that waits be sent after the current one, which is `left` from now on."""
        if self.current is not None:
            self._states[self.current] = left
        self.current = next((index for index, state in self._states.items() if state is State.WAITING), None)
        if self.current is None:
            return ()
        self._states[self.current] = State.SENDING
        return _merged(self._held.pop(self.current, ()))


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
