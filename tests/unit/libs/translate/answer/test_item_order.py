from typing import Any

import msgspec

from libs.schemas.wire import events
from libs.schemas.wire.events import ItemEvent, decode_event
from libs.translate.answer.item_order import Floor


def _event(type_: str, index: int, **fields: Any) -> ItemEvent:
    data = msgspec.json.encode({"type": type_, "output_index": index, "sequence_number": 0, **fields})
    event = decode_event(b"", data)
    assert isinstance(event, ItemEvent)
    return event


def _text(index: int, delta: str, part: int = 0, **fields: Any) -> ItemEvent:
    return _event("response.output_text.delta", index, delta=delta, content_index=part, **fields)


def _done(index: int) -> ItemEvent:
    return _event("response.output_item.done", index, item={"type": "message", "id": "m", "content": []})


def _deltas(released: Any) -> list[str]:
    return [event.delta if isinstance(event, events.TextDelta) else type(event).__name__ for event in released]


def test_the_first_item_speaks_and_the_next_one_waits() -> None:
    floor = Floor()
    assert floor.enter(0, announced=True)
    assert not floor.enter(1, announced=True)
    assert floor.enter(0, announced=False)
    assert floor.speaking == 0


def test_what_waited_is_released_in_one_piece_when_the_one_before_it_is_done() -> None:
    floor = Floor()
    floor.enter(0, announced=True)
    floor.enter(1, announced=True)
    floor.hold(1, _text(1, "He"))
    floor.hold(1, _text(1, "llo"))
    assert _deltas(floor.leave(0)) == ["Hello"]
    assert floor.speaking == 1
    assert floor.enter(1, announced=False)


def test_nothing_is_released_twice() -> None:
    floor = Floor()
    floor.enter(0, announced=True)
    floor.enter(1, announced=True)
    floor.hold(1, _text(1, "Hi"))
    assert _deltas(floor.leave(0)) == ["Hi"]
    assert _deltas(floor.leave(1)) == []
    assert floor.speaking is None


def test_deltas_of_different_parts_stay_apart() -> None:
    floor = Floor()
    floor.enter(0, announced=True)
    floor.enter(1, announced=True)
    for delta, part in (("a", 0), ("b", 0), ("c", 1), ("d", 0)):
        floor.hold(1, _text(1, delta, part))
    assert _deltas(floor.leave(0)) == ["ab", "c", "d"]


def test_deltas_with_log_probabilities_stay_apart() -> None:
    floor = Floor()
    floor.enter(0, announced=True)
    floor.enter(1, announced=True)
    for delta in "ab":
        floor.hold(1, _text(1, delta, logprobs=[{"token": delta, "logprob": 0.0}]))
    assert _deltas(floor.leave(0)) == ["a", "b"]


def test_an_item_that_is_done_while_it_waits_says_no_more() -> None:
    floor = Floor()
    floor.enter(0, announced=True)
    floor.enter(1, announced=True)
    floor.hold(1, _text(1, "a"))
    floor.hold(1, _done(1))
    floor.hold(1, _text(1, "late"))
    assert _deltas(floor.leave(0)) == ["a", "OutputItemDone"]


def test_an_item_that_has_left_is_not_held() -> None:
    floor = Floor()
    floor.enter(0, announced=True)
    floor.leave(0)
    floor.hold(0, _text(0, "late"))
    floor.enter(1, announced=True)
    assert _deltas(floor.leave(1)) == []


def test_the_items_speak_in_the_order_in_which_they_began() -> None:
    floor = Floor()
    for index in (2, 0, 1):
        floor.enter(index, announced=True)
    order = []
    while floor.speaking is not None:
        order.append(floor.speaking)
        floor.leave(floor.speaking)
    assert order == [2, 0, 1]


def test_an_item_that_nobody_announced_gives_way_to_the_next_and_may_still_speak() -> None:
    floor = Floor()
    assert floor.enter(0, announced=False)
    assert floor.enter(1, announced=False)
    assert floor.enter(0, announced=False)
    assert floor.speaking == 1
    assert list(floor.leave(0)) == []
    assert floor.speaking == 1
    assert floor.entered == {0: True, 1: False}


def test_an_item_that_is_announced_late_is_waited_for_from_then_on() -> None:
    floor = Floor()
    floor.enter(0, announced=False)
    floor.enter(0, announced=True)
    assert not floor.enter(1, announced=False)


def test_only_an_earlier_item_that_is_not_done_is_waited_for() -> None:
    floor = Floor()
    floor.enter(1, announced=True)
    assert floor.waits_for(2)
    assert not floor.waits_for(1)
    assert not floor.waits_for(0)
    floor.leave(1)
    assert not floor.waits_for(2)
