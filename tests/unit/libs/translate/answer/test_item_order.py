from typing import Any

import msgspec

from libs.schemas.wire import events
from libs.schemas.wire.events import ItemEvent, decode_event
from libs.translate.answer.item_order import ItemOrder


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
    items = ItemOrder()
    items.enter(0, announced=True)
    assert items.is_sent(0)
    items.enter(1, announced=True)
    assert not items.is_sent(1)
    items.enter(0, announced=False)
    assert items.is_sent(0)
    assert items.current == 0


def test_what_waited_is_released_in_one_piece_when_the_one_before_it_is_done() -> None:
    items = ItemOrder()
    items.enter(0, announced=True)
    items.enter(1, announced=True)
    items.hold(1, _text(1, "He"))
    items.hold(1, _text(1, "llo"))
    assert _deltas(items.leave(0)) == ["Hello"]
    assert items.current == 1
    items.enter(1, announced=False)
    assert items.is_sent(1)


def test_nothing_is_released_twice() -> None:
    items = ItemOrder()
    items.enter(0, announced=True)
    items.enter(1, announced=True)
    items.hold(1, _text(1, "Hi"))
    assert _deltas(items.leave(0)) == ["Hi"]
    assert _deltas(items.leave(1)) == []
    assert items.current is None


def test_deltas_of_different_parts_stay_apart() -> None:
    items = ItemOrder()
    items.enter(0, announced=True)
    items.enter(1, announced=True)
    for delta, part in (("a", 0), ("b", 0), ("c", 1), ("d", 0)):
        items.hold(1, _text(1, delta, part))
    assert _deltas(items.leave(0)) == ["ab", "c", "d"]


def test_deltas_with_log_probabilities_stay_apart() -> None:
    items = ItemOrder()
    items.enter(0, announced=True)
    items.enter(1, announced=True)
    for delta in "ab":
        items.hold(1, _text(1, delta, logprobs=[{"token": delta, "logprob": 0.0}]))
    assert _deltas(items.leave(0)) == ["a", "b"]


def test_an_item_that_is_done_while_it_waits_says_no_more() -> None:
    items = ItemOrder()
    items.enter(0, announced=True)
    items.enter(1, announced=True)
    items.hold(1, _text(1, "a"))
    items.hold(1, _done(1))
    items.hold(1, _text(1, "late"))
    assert _deltas(items.leave(0)) == ["a", "OutputItemDone"]


def test_an_item_that_has_left_is_not_held() -> None:
    items = ItemOrder()
    items.enter(0, announced=True)
    items.leave(0)
    items.hold(0, _text(0, "late"))
    items.enter(1, announced=True)
    assert _deltas(items.leave(1)) == []


def test_the_items_speak_in_the_itemsin_which_they_began() -> None:
    items = ItemOrder()
    for index in (2, 0, 1):
        items.enter(index, announced=True)
    order = []
    while items.current is not None:
        order.append(items.current)
        items.leave(items.current)
    assert order == [2, 0, 1]


def test_an_item_that_nobody_announced_gives_way_to_the_next_and_may_still_speak() -> None:
    items = ItemOrder()
    items.enter(0, announced=False)
    assert items.is_sent(0)
    items.enter(1, announced=False)
    assert items.is_sent(1)
    items.enter(0, announced=False)
    assert items.is_sent(0)
    assert items.current == 1
    assert list(items.leave(0)) == []
    assert items.current == 1
    assert items.is_done(0) and not items.is_done(1)


def test_an_item_that_waits_behind_one_that_is_overtaken_is_sent_with_all_that_was_held() -> None:
    items = ItemOrder()
    items.enter(0, announced=True)
    items.enter(1, announced=False)
    items.enter(2, announced=True)
    items.hold(2, _text(2, "held"))
    items.leave(0)
    assert items.current == 1
    assert _deltas(items.enter(3, announced=True)) == ["held"]
    assert (items.current, items.is_sent(1), items.is_sent(3)) == (2, True, False)


def test_an_item_that_is_announced_late_is_waited_for_from_then_on() -> None:
    items = ItemOrder()
    items.enter(0, announced=False)
    items.enter(0, announced=True)
    items.enter(1, announced=False)
    assert not items.is_sent(1)


def test_only_an_earlier_item_that_is_not_done_is_waited_for() -> None:
    items = ItemOrder()
    items.enter(1, announced=True)
    assert items.waits_for(2)
    assert not items.waits_for(1)
    assert not items.waits_for(0)
    items.leave(1)
    assert not items.waits_for(2)
