import json
from collections.abc import Mapping

import msgspec
import pytest

from libs.translate.continuity import replay
from libs.translate.request.messages import Input
from tests.support import answers
from tests.support.chats import USER, Json, assistant, calling, made_input, system, tool, user

LONG_ID = "call_" + "x" * 80


def _sealed(id_: str = "rs_1") -> Json:
    return {"type": "reasoning", "id": id_, "summary": [], "encrypted_content": "gAAA"}


def _raw(*items: Json) -> list[bytes]:
    return [json.dumps(item).encode() for item in items]


def _kept(*items: Json) -> list[replay.Original]:
    return replay.read(_raw(*items))


def _replayed(made: Input, turns: Mapping[int, list[bytes]]) -> tuple[list[Json], list[int]]:
    result = replay.replayed(made, {index: replay.read(items) for index, items in turns.items()})
    items: list[Json] = json.loads(msgspec.json.encode(result.items))
    assert (result.instructions, result.hoisted, result.dropped) == (made.instructions, made.hoisted, made.dropped)
    return items, result.message_indexes


def _plain(item: Json) -> Json:
    return {key: value for key, value in item.items() if value is not None}


# -- what is worth it, and possible -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "worth_it"),
    [
        ([answers.message("a")], False),
        ([answers.message("a"), answers.call()], False),
        ([answers.custom()], False),
        ([], False),
        ([answers.message("a", phase="final_answer")], True),
        ([_sealed(), answers.message("a")], True),
        ([{"type": "web_search_call", "id": "ws_1"}, answers.message("a")], True),
        ([answers.image()], True),
        ([answers.approval()], True),
    ],
)
def test_an_answer_that_says_more_than_the_client_echoes_is_worth_it(output: list[Json], worth_it: bool) -> None:
    assert replay.is_worth_it(_raw(*output)) is worth_it


@pytest.mark.parametrize(
    ("output", "possible"),
    [
        ([_sealed(), answers.message("a")], True),
        ([_sealed("rs_1"), answers.message("a"), _sealed("rs_2"), answers.call()], True),
        ([answers.reasoning(raw=("open",)), answers.call()], True),
        ([answers.message("a")], True),
        ([answers.reasoning("a summary alone"), answers.message("a")], False),
        ([_sealed(), answers.message("a"), answers.reasoning(), answers.call()], False),
        ([{**_sealed(), "encrypted_content": ""}, answers.message("a")], False),
        ([answers.message("a"), _sealed()], False),
        ([_sealed()], False),
        ([], False),
    ],
)
def test_reasoning_must_be_sealed_and_followed_by_its_item(output: list[Json], possible: bool) -> None:
    assert replay.is_possible(_raw(*output)) is possible


def test_the_ids_are_those_of_the_items() -> None:
    assert replay.ids(_kept(_sealed(), {**answers.message("a"), "id": None}, answers.call("c"))) == ["rs_1", "fc_c"]
    assert replay.ids(_kept({"id": 7})) == []


def test_an_output_fits_an_echo_with_as_many_calls() -> None:
    output = _kept(_sealed(), answers.message("x"), answers.call("a"), answers.custom("b"))
    both = made_input(calling("a", "b"), tool("a"), tool("b")).items[:2]
    assert replay.fits(both, output)
    assert not replay.fits(both[:1], output) and not replay.fits([], output)
    assert replay.fits([], _kept(answers.message("x")))
    programmed = {**answers.call("p"), "caller": {"type": "program"}}
    assert replay.fits(both[:1], _kept(programmed, answers.call("a")))


# -- in the place of an echo ------------------------------------------------------------------------


def test_original_items_stand_in_the_place_of_the_echo_in_their_order() -> None:
    made = made_input(system("Be kind."), USER, calling("a", "b", content="Looking."), tool("b"), tool("a"), user("c"))
    output = [
        _sealed("rs_1"),
        answers.message("Looking.", phase="commentary"),
        _sealed("rs_2"),
        answers.call("a"),
        answers.call("b"),
    ]
    items, sources = _replayed(made, {2: _raw(*output)})
    assert items[1:6] == output
    assert [item["type"] for item in items] == [
        *("message", "reasoning", "message", "reasoning", "function_call", "function_call"),
        *("function_call_output", "function_call_output", "message"),
    ]
    assert sources == [1, 2, 2, 2, 2, 2, 3, 4, 5]


def test_items_go_up_as_they_came() -> None:
    made = made_input(USER, assistant("a"), USER)
    raw = b'{"type":"telepathy",  "x":[1 ,2], "type2": "\\u00e9"}'
    result = replay.replayed(made, {1: replay.read([raw, *_raw(answers.message("a", phase="final_answer"))])})
    assert bytes(result.items[1]) == raw  # type: ignore[arg-type]


def test_other_messages_stay_what_they_are() -> None:
    made = made_input(USER, assistant("a"), USER, assistant("b"), USER)
    before = json.loads(msgspec.json.encode(made.items))
    items, sources = _replayed(made, {3: _raw(_sealed(), answers.message("b", phase="final_answer"))})
    assert items[:3] == before[:3] and items[5:] == before[4:]
    assert sources == [0, 1, 2, 3, 3, 4]
    assert _replayed(made, {}) == (before, made.message_indexes)
    assert json.loads(msgspec.json.encode(made.items)) == before


def test_an_answer_that_left_no_trace_in_the_echo_is_put_back_too() -> None:
    made = made_input(USER, assistant(""), user("Bigger."))
    items, sources = _replayed(made, {1: _raw(answers.image())})
    assert [item["type"] for item in items] == ["message", "image_generation_call", "message"]
    assert sources == [0, 1, 2]
    last = made_input(USER, assistant(""))
    assert _replayed(last, {1: _raw(answers.image())})[1] == [0, 1]


def test_calls_get_the_ids_that_their_results_name() -> None:
    turn = [calling("c"), tool("c")]
    made = made_input(USER, *turn, *turn)
    first, second = (_raw(_sealed(id_), {**answers.call("c"), "id": f"fc_{id_}"}) for id_ in ("rs_1", "rs_2"))
    items, _ = _replayed(made, {1: first, 3: second})
    calls = [item for item in items if item["type"] == "function_call"]
    results = [item["call_id"] for item in items if item["type"] == "function_call_output"]
    assert [call["call_id"] for call in calls] == results and len(set(results)) == 2
    assert [call["id"] for call in calls] == ["fc_rs_1", "fc_rs_2"]
    assert items[1] == _sealed("rs_1") and items[4] == _sealed("rs_2")


def test_long_ids_are_renamed_with_their_results() -> None:
    made = made_input(USER, calling(LONG_ID), tool(LONG_ID))
    items, _ = _replayed(made, {1: _raw(_sealed(), answers.call(LONG_ID))})
    assert items[2]["call_id"] == items[3]["call_id"] and len(items[2]["call_id"]) == 64


def test_only_the_calls_of_the_client_are_counted() -> None:
    made = made_input(USER, calling(LONG_ID), tool(LONG_ID))
    programmed = {**answers.call("p"), "caller": {"type": "program"}}
    items, _ = _replayed(made, {1: _raw(programmed, answers.call(LONG_ID))})
    assert items[1] == programmed and items[2]["call_id"] == items[3]["call_id"]


def test_an_approval_keeps_its_own_id() -> None:
    function = {"name": "mcp_approval", "arguments": '{"server_label":"s","name":"delete","arguments":"{}"}'}
    asked = assistant(tool_calls=[{"id": "mcpr_1", "type": "function", "function": function}])
    made = made_input(USER, asked, tool("mcpr_1", "approve"), approvals=True)
    output = [_sealed(), answers.approval("mcpr_1")]
    items, _ = _replayed(made, {1: _raw(*output)})
    assert items[1:3] == output
    assert items[3]["approval_request_id"] == "mcpr_1"


def test_nulls_are_left_out() -> None:
    made = made_input(USER, calling("c", content="x"), tool("c"))
    output: list[Json] = [
        {**_sealed(), "status": None, "content": None},
        answers.message("null", phase=None),
        {**answers.call("c"), "caller": None, "arguments": "null"},
    ]
    items, _ = _replayed(made, {1: _raw(*output)})
    assert items[1:4] == [_plain(item) for item in output]
