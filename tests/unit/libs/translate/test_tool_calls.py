from itertools import groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from libs.schemas.chat import ToolCallDelta
from libs.schemas.responses import FunctionCallItem
from libs.translate.tool_calls import ToolCalls


def _item(index: int, arguments: str = "") -> FunctionCallItem:
    return FunctionCallItem(call_id=f"call_{index}", name="look", arguments=arguments)


def test_take_gives_nothing_twice() -> None:
    calls = ToolCalls()
    calls.begin(0, _item(0))
    calls.add(0, "[")
    assert len(calls.take()) == 2
    assert calls.take() == []


def test_a_call_that_waits_is_counted() -> None:
    calls = ToolCalls()
    calls.begin(0, _item(0))
    calls.begin(3, _item(3))
    assert len(calls) == 2


@given(st.data())
def test_however_calls_overlap_each_arrives_whole_and_in_one_piece(data: Any) -> None:
    wanted = [f"[{'1' * (5 * k)}]" for k in range(data.draw(st.integers(1, 4)))]
    calls, told, open_ = ToolCalls(), list[ToolCallDelta](), dict[int, int]()
    for index in range(len(wanted)):
        calls.begin(index, _item(index))
        open_[index] = 0
        while open_ and data.draw(st.booleans()):
            some = data.draw(st.sampled_from(sorted(open_)))
            step = data.draw(st.integers(0, 4))
            calls.add(some, wanted[some][open_[some] : open_[some] + step])
            open_[some] = min(open_[some] + step, len(wanted[some]))
            if data.draw(st.booleans()):
                calls.end(some, _item(some, wanted[some]))
                del open_[some]
            told += calls.take()
    for index in open_:
        calls.complete(index, wanted[index])
    calls.end_all()
    told += calls.take()
    runs = [(index, list(deltas)) for index, deltas in groupby(told, lambda delta: delta.index)]
    assert [index for index, _ in runs] == list(range(len(wanted)))
    assert ["".join(delta.function.arguments for delta in run if delta.function) for _, run in runs] == wanted
