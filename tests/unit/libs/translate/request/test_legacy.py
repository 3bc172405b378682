import pytest

from tests.support.chats import USER, Json, assistant, items, made_input, refusal, sent, translated, user

LOOK: Json = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"q": {}}}}


def _calls(name: str = "look", arguments: str = "{}") -> Json:
    return assistant(function_call={"name": name, "arguments": arguments})


def _answers(name: str = "look", content: str | None = "done") -> Json:
    return {"role": "function", "name": name, "content": content}


def test_functions_become_tools_that_are_never_strict() -> None:
    up = sent(functions=[LOOK, {"name": "rest"}])
    assert up["tools"] == [
        {"type": "function", **LOOK, "strict": False},
        {"type": "function", "name": "rest", "parameters": {"type": "object", "properties": {}}, "strict": False},
    ]
    assert up["parallel_tool_calls"] is False


def test_functions_cannot_be_strict_and_it_is_told() -> None:
    made = translated(functions=[{**LOOK, "strict": True}])
    assert made.dropped == ["functions.strict"]


def test_functions_and_tools_together_are_refused() -> None:
    tool = {"type": "function", "function": {"name": "x"}}
    assert refusal(functions=[LOOK], tools=[tool]).error.param == "functions"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("none", "none"), ("auto", "auto"), ({"name": "look"}, {"type": "function", "name": "look"})],
)
def test_the_choice_of_a_function_becomes_that_of_a_tool(choice: object, expected: object) -> None:
    assert sent(functions=[LOOK], function_call=choice)["tool_choice"] == expected


def test_another_word_is_refused() -> None:
    assert refusal(functions=[LOOK], function_call="required").error.param == "function_call"


def test_a_choice_without_functions_asks_for_nothing_or_is_told() -> None:
    assert translated(function_call="auto").dropped == []
    assert translated(function_call={"name": "look"}).dropped == ["function_call"]


def test_the_plan_speaks_of_functions() -> None:
    renames = translated(functions=[LOOK]).plan.renames
    assert (renames["tools"], renames["tool_choice"]) == ("functions", "function_call")


# -- history ----------------------------------------------------------------------------------------


def test_a_call_and_its_result_share_an_id_of_their_own() -> None:
    call, output = items(USER, _calls(arguments='{"q":1}'), _answers())[1:]
    assert call == {"type": "function_call", "call_id": call["call_id"], "name": "look", "arguments": '{"q":1}'}
    assert output == {"type": "function_call_output", "call_id": call["call_id"], "output": "done"}
    assert call["call_id"].startswith("call_fn_") and len(call["call_id"]) <= 64


def test_equal_calls_have_different_ids_which_a_longer_history_repeats() -> None:
    turn = [_calls(), _answers()]
    longer = items(USER, *turn, *turn)
    assert longer[:3] == items(USER, *turn)
    assert longer[1]["call_id"] != longer[3]["call_id"]


def test_a_result_answers_the_nearest_call_of_its_name() -> None:
    history = [USER, _calls("a"), _calls("b"), _answers("a", "1"), _answers("b", "2")]
    made = items(*history)
    assert [item["call_id"] for item in made[3:]] == [made[1]["call_id"], made[2]["call_id"]]


def test_a_result_of_another_name_answers_in_order_and_is_told() -> None:
    history = [USER, _calls("a"), _answers("renamed")]
    made = items(*history)
    assert made[1]["call_id"] == made[2]["call_id"]
    assert made_input(*history).dropped == ["messages[2].name"]


def test_a_result_of_nothing_is_an_empty_one() -> None:
    assert items(USER, _calls(), _answers(content=None))[2]["output"] == ""


def test_text_may_stand_between_a_call_and_its_result() -> None:
    made = items(USER, {**_calls(), "content": "Looking."}, user("Well?"), _answers())
    assert [item["type"] for item in made[1:]] == ["message", "function_call", "message", "function_call_output"]


@pytest.mark.parametrize(
    ("history", "param"),
    [
        ([USER, _calls()], "messages"),
        ([USER, _answers()], "messages[1].role"),
        ([USER, _calls(), {"role": "function", "content": "x"}], "messages[2].name"),
        ([USER, _calls(), {**_answers(), "content": []}, _answers()], "messages[3].role"),
    ],
)
def test_a_call_without_result_and_a_result_without_call_are_refused(history: list[Json], param: str) -> None:
    assert refusal(*history).error.param == param
