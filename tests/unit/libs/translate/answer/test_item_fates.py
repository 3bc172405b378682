from typing import Any, get_args

import msgspec
import pytest
from msgspec import Raw
from openai.types.responses import ResponseOutputItem

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.output import UnknownItem, decode_item
from libs.translate.answer.item_fates import FATES, item_kind, losses, place, tool_call_ids
from tests.support.answers import PLAN, Json, approval, call, citation, custom, image, message, reasoning, token


def _raw(*items: Json) -> list[Raw]:
    return [Raw(msgspec.json.encode(item)) for item in items]


def _official() -> set[str]:
    union = get_args(ResponseOutputItem)[0]
    return {get_args(member.model_fields["type"].annotation)[0] for member in get_args(union)}


def test_every_item_of_the_official_sdk_has_its_fate() -> None:
    assert len(_official()) >= 28
    assert _official() == set(FATES)


@pytest.mark.parametrize("item", [message("a"), call(), custom(), approval(), reasoning("a"), image()])
def test_an_item_that_is_shown_is_of_the_kind_that_the_table_names(item: Json) -> None:
    assert item_kind(decode_item(*_raw(item))) == FATES[item["type"]]


@pytest.mark.parametrize("type_", [name for name, fate in FATES.items() if fate in ("kept", "lost")])
def test_an_item_that_is_not_shown_is_of_no_kind(type_: str) -> None:
    item = decode_item(*_raw({"type": type_, "id": "x_1", "call_id": "call_1", "name": "f", "arguments": "{}"}))
    assert item == UnknownItem(type_) and item_kind(item) is None


def test_a_call_of_a_program_is_not_for_the_client() -> None:
    of_program: dict[str, Any] = {**call(), "caller": {"type": "program", "caller_id": "p_1"}}
    direct = {**call("call_2"), "caller": {"type": "direct"}}
    assert tool_call_ids(_raw(of_program, direct)) == ["call_2"]


def test_calls_are_known_by_the_ids_that_the_client_got() -> None:
    output = _raw(message("a"), call("call_1"), custom("call_2"), approval("mcpr_3"), {"type": "shell_call"})
    assert tool_call_ids(output) == ["call_1", "call_2", "mcpr_3"]


def test_what_has_no_place_in_chat_is_named() -> None:
    cited = message("a", annotations=[citation(0, 1), {"type": "file_citation"}, {"type": "file_citation"}])
    output = _raw({"type": "web_search_call"}, reasoning("a"), cited, {"type": "telepathy"}, {"no": "type"})
    assert losses(output, PLAN) == [
        "output[0].web_search_call",
        "output[2].file_citation",
        "output[3].telepathy",
        "output[4].unknown",
    ]


def test_what_means_nothing_to_a_client_is_not_lost() -> None:
    assert losses(_raw({"type": "compaction"}, {"type": "mcp_list_tools"}, call(), image()), PLAN) == []


def test_a_second_call_is_lost_in_the_legacy_form() -> None:
    plan = StreamPlan(stream=True, functions=True)
    assert losses(_raw(call("a"), message("x"), call("b")), plan) == ["output[2].function_call"]


def test_what_else_is_lost_is_named_beside_a_second_call() -> None:
    plan = StreamPlan(stream=True, functions=True)
    assert losses(_raw({"type": "web_search_call"}, call("a"), call("b"), call("c")), plan) == [
        "output[0].web_search_call",
        "output[2].function_call",
        "output[3].function_call",
    ]


@pytest.mark.parametrize("annotation", [{"no": "type"}, {"type": None}, {"type": 7}, 7])
def test_a_citation_that_cannot_be_read_is_named_as_one(annotation: Any) -> None:
    assert losses(_raw(message("a", annotations=[annotation])), PLAN) == ["output[0].annotation"]


def test_an_item_is_named_as_its_events_named_it() -> None:
    output = _raw(message("a"), call("a"), call("b"))
    assert [index for index, _, _ in place(output, {})] == [0, 1, 2]
    assert [index for index, _, _ in place(output, {"message": [0], "call": [1, 2]})] == [0, 1, 2]
    assert [index for index, _, _ in place(output, {"message": [7], "call": [1, 9]})] == [7, 1, 9]
    assert [index for index, _, _ in place(output, {"call": [8]})] == [0, 8, 2]
    assert [index for index, _, _ in place(output, {"call": [7, 8, 9]})] == [0, 7, 8]


def test_log_probabilities_that_never_came_are_named() -> None:
    plan = StreamPlan(stream=True, logprobs=True)
    item = message("a")
    assert losses(_raw(item), plan) == ["logprobs"]
    item["content"][0]["logprobs"] = [token("a")]
    assert losses(_raw(item), plan) == losses(_raw(call()), plan) == []
