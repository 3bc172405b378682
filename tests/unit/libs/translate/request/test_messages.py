from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.chats import (
    BRIDGED,
    USER,
    Json,
    assistant,
    calling,
    items,
    made_input,
    refusal,
    system,
    text,
    tool,
    user,
)

IMAGE = "https://pictures.example/a.png"


def _image(**fields: Any) -> Json:
    return {"type": "image_url", "image_url": {"url": IMAGE, **fields}}


# -- instructions -----------------------------------------------------------------------------------


def test_leading_system_messages_become_instructions() -> None:
    made = made_input(system("Be brief."), system("Be kind."), USER)
    assert (made.instructions, made.hoisted, made.message_indexes) == ("Be brief.\n\nBe kind.", 2, [2])


def test_only_the_first_role_of_the_leading_run_is_hoisted() -> None:
    made = made_input({"role": "developer", "content": "a"}, system("b"), USER)
    assert (made.instructions, made.message_indexes) == ("a", [1, 2])


def test_a_system_message_in_the_middle_stays_where_it_is() -> None:
    made = items(USER, system("Now briefly."), USER)
    assert [item["role"] for item in made] == ["user", "system", "user"]


def test_a_history_of_system_messages_alone_is_not_hoisted() -> None:
    made = made_input(system("Greet."), system("Loudly."))
    assert (made.instructions, made.message_indexes) == (None, [0, 1])


@pytest.mark.parametrize(("question", "hoisted"), [("The tide?", 0), ("The tide, as JSON?", 1)])
def test_the_word_json_stays_in_the_input_where_it_is_needed(question: str, hoisted: int) -> None:
    assert made_input(system("Answer in JSON."), user(question), needs_json=True).hoisted == hoisted


# -- content ----------------------------------------------------------------------------------------


def test_text_of_a_user_stays_a_string() -> None:
    assert items(user("Hi.")) == [{"type": "message", "role": "user", "content": "Hi."}]


def test_an_empty_user_text_is_kept() -> None:
    assert items(user(""))[0]["content"] == ""


def test_each_part_keeps_its_place() -> None:
    (item,) = items(user([text("a"), _image(), text("b")]))
    assert [part["type"] for part in item["content"]] == ["input_text", "input_image", "input_text"]


def test_an_image_is_flattened_and_its_detail_always_said() -> None:
    (item,) = items(user([_image(), _image(detail="low"), {"type": "image_url", "image_url": IMAGE}]))
    assert [(part["image_url"], part["detail"]) for part in item["content"]] == [
        (IMAGE, "auto"),
        (IMAGE, "low"),
        (IMAGE, "auto"),
    ]


def test_a_file_goes_by_id_or_inline_and_inline_has_a_name() -> None:
    (item,) = items(
        user([{"type": "file", "file": file} for file in ({"file_id": "file_1"}, {"file_data": "data:a/b,c"})])
    )
    assert item["content"] == [
        {"type": "input_file", "file_id": "file_1"},
        {"type": "input_file", "file_data": "data:a/b,c", "filename": "file"},
    ]


def test_text_of_an_assistant_is_output_text() -> None:
    part = {"type": "output_text", "text": "Yes.", "annotations": []}
    assert items(USER, assistant("Yes."))[1]["content"] == [part]
    assert items(USER, assistant([text("Yes.")]))[1]["content"] == [part]


def test_a_refusal_follows_the_text() -> None:
    expected = [{"type": "output_text", "text": "Well,", "annotations": []}, {"type": "refusal", "refusal": "no."}]
    assert items(USER, assistant("Well,", refusal="no."))[1]["content"] == expected
    assert items(USER, assistant([text("Well,"), {"type": "refusal", "refusal": "no."}]))[1]["content"] == expected


@pytest.mark.parametrize("content", [None, "", [], [text("")]])
def test_an_assistant_that_said_nothing_makes_no_message(content: Any) -> None:
    assert [item["type"] for item in items(USER, {**calling("a"), "content": content}, tool("a"))] == [
        "message",
        "function_call",
        "function_call_output",
    ]
    assert len(items(USER, assistant(content))) == 1


def test_names_are_dropped_and_told() -> None:
    made = made_input(
        {**system("x"), "name": "a"}, {**USER, "name": "ann"}, calling("c"), {**tool("c"), "name": "look"}
    )
    assert made.dropped == ["messages[0].name", "messages[1].name"]


# -- calls ------------------------------------------------------------------------------------------


def test_calls_follow_the_text_in_order_and_results_theirs() -> None:
    made = items(USER, calling("a", "b", content="Looking."), tool("b", "2"), tool("a", "1"))
    assert [(item["type"], item.get("call_id")) for item in made[1:]] == [
        ("message", None),
        ("function_call", "a"),
        ("function_call", "b"),
        ("function_call_output", "b"),
        ("function_call_output", "a"),
    ]


@pytest.mark.parametrize("arguments", ['{"a": 1}', "", "not JSON", '{"a":1'])
def test_arguments_go_as_they_are(arguments: str) -> None:
    assert items(USER, calling("a", arguments=arguments), tool("a"))[1]["arguments"] == arguments


def test_a_call_without_type_is_a_function() -> None:
    untyped = assistant(tool_calls=[{"id": "a", "function": {"name": "look", "arguments": "{}"}, "index": 0}])
    assert items(USER, untyped, tool("a"))[1]["type"] == "function_call"


@pytest.mark.parametrize(("content", "output"), [("x", "x"), (None, ""), ([text("a"), text("b")], "ab"), ([], "")])
def test_a_tool_result_is_one_string(content: Any, output: str) -> None:
    assert items(USER, calling("a"), tool("a", content))[2]["output"] == output


def test_an_id_too_long_for_the_upstream_is_shortened_on_both_sides() -> None:
    long, other = "x" * 65, "x" * 66
    first, second, answer, answer_2 = items(USER, calling(long, other), tool(other), tool(long))[1:]
    assert len(first["call_id"]) <= 64 and first["call_id"] != second["call_id"]
    assert (answer["call_id"], answer_2["call_id"]) == (second["call_id"], first["call_id"])


def test_an_id_that_just_fits_is_kept() -> None:
    assert items(USER, calling("x" * 64), tool("x" * 64))[1]["call_id"] == "x" * 64


def test_an_id_used_again_in_a_later_turn_becomes_another() -> None:
    turn = [calling("call_0"), tool("call_0")]
    made = items(USER, *turn, *turn, *turn)[1:]
    assert [made[k]["call_id"] == made[k + 1]["call_id"] for k in (0, 2, 4)] == [True, True, True]
    assert made[0]["call_id"] == "call_0" and len({item["call_id"] for item in made}) == 3


def test_a_longer_history_keeps_the_ids_of_the_shorter() -> None:
    turn = [calling("call_0"), tool("call_0")]
    assert items(USER, *turn, *turn, *turn)[:5] == items(USER, *turn, *turn)


# -- pairing ----------------------------------------------------------------------------------------


@given(st.lists(st.permutations(["a", "b", "c"]), max_size=4))
def test_every_call_has_its_result_whatever_the_order(turns: list[list[str]]) -> None:
    history = [USER]
    for order in turns:
        history += [calling("a", "b", "c"), *(tool(call_id, call_id) for call_id in order), assistant("ok")]
    made = items(*history)
    ids = [item["call_id"] for item in made if item["type"] == "function_call"]
    outputs = [item["call_id"] for item in made if item["type"] == "function_call_output"]
    assert sorted(ids) == sorted(outputs) and len(set(ids)) == 3 * len(turns)


@pytest.mark.parametrize(
    ("history", "param"),
    [
        ([USER, calling("a")], "messages[1].tool_calls"),
        ([USER, calling("a"), USER, tool("a")], "messages[1].tool_calls"),
        ([USER, calling("a", "b"), tool("a"), USER], "messages[1].tool_calls"),
        ([USER, tool("a")], "messages[1].role"),
        ([USER, calling("a"), tool("b")], "messages[2].tool_call_id"),
        ([USER, calling("a"), tool("a"), assistant("x"), tool("a")], "messages[4].role"),
        ([USER, calling("a"), {"role": "tool", "content": "x"}], "messages[2].tool_call_id"),
    ],
)
def test_a_call_without_result_and_a_result_without_call_are_refused(history: list[Json], param: str) -> None:
    assert refusal(*history).error.param == param


# -- sources ----------------------------------------------------------------------------------------


def test_each_item_remembers_its_message() -> None:
    made = made_input(
        system("x"), USER, calling("a", "b", content="Looking."), tool("a"), tool("b"), assistant(), user("y")
    )
    assert made.message_indexes == [1, 2, 2, 2, 3, 4, 6]
    assert len(made.items) == len(made.message_indexes)


# -- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        ({"role": "robot", "content": "x"}, "messages[0].role", "invalid_value"),
        ({"content": "x"}, "messages[0].role", "missing_required_parameter"),
        ({"type": "reasoning", "id": "rs_1"}, "messages[0].role", "missing_required_parameter"),
        ({"role": "user"}, "messages[0].content", "missing_required_parameter"),
        (user([]), "messages[0].content", "empty_array"),
        (user([{"type": "text"}]), "messages[0].content[0].text", "missing_required_parameter"),
        (user([{"type": "image_url"}]), "messages[0].content[0].image_url", "missing_required_parameter"),
        (user([{"type": "file", "file": {}}]), "messages[0].content[0].file", "missing_required_parameter"),
        (user([text("a"), {"type": "video_url"}]), "messages[0].content[1].type", "invalid_value"),
        (
            user([{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]),
            "messages[0].content[0]",
            "unsupported_parameter",
        ),
        ({"role": "system", "content": [_image()]}, "messages[0].content[0].type", "invalid_value"),
        (
            {"role": "system", "content": [{"type": "text"}]},
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        (assistant([_image()]), "messages[0].content[0].type", "invalid_value"),
        (assistant(audio={"id": "audio_1"}), "messages[0].audio", "unsupported_parameter"),
        (assistant(function_call={"name": "f", "arguments": "{}"}), "messages", None),
        (
            assistant(tool_calls=[{"id": "a", "type": "rocket"}]),
            "messages[0].tool_calls[0].type",
            "invalid_value",
        ),
        (
            assistant(tool_calls=[{"id": "a", "type": "custom"}]),
            "messages[0].tool_calls[0].custom",
            "missing_required_parameter",
        ),
        (
            assistant(tool_calls=[{"id": "a", "type": "function"}]),
            "messages[0].tool_calls[0].function",
            "missing_required_parameter",
        ),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(message: Json, param: str, code: str | None) -> None:
    answers = [tool(call["id"]) for call in message.get("tool_calls", ())]
    error = refusal(message, *answers, USER, profile=BRIDGED)
    assert (error.status, error.error.param, error.error.code) == (400, param, code)


def test_no_messages_at_all_are_refused() -> None:
    assert refusal(messages=[]).error.param == "messages"


def test_what_clients_leave_in_their_history_means_nothing() -> None:
    leftovers: Json = {"tool_calls": None, "function_call": None, "audio": None, "annotations": [], "parsed": None}
    assert items(USER, assistant("Yes.", reasoning_content="Hm.", **leftovers)) == items(USER, assistant("Yes."))
