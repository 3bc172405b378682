import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.translate.errors import InvalidRequest
from libs.translate.request import encode, may_reason, parse, translate
from tests.support.chats import (
    USER,
    Json,
    assistant,
    body,
    calling,
    refusal,
    sent,
    system,
    text,
    tool,
    translated,
    user,
)

TOOL: Json = {"type": "function", "function": {"name": "look"}}

# -- parsing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "param", "code"),
    [
        (b"", None, None),
        (b"{", None, None),
        (b"\xff", None, None),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', None, None),
        (b"[]", None, None),
        (b"null", None, None),
        (b"[" * 100_000, None, None),
        (b"{}", "model", "missing_required_parameter"),
        (b'{"model":"m"}', "messages", "missing_required_parameter"),
        (b'{"model":7,"messages":[]}', "model", "invalid_type"),
        (b'{"model":"m","messages":[{"role":"user","content":7}]}', "messages[0].content", "invalid_type"),
        (b'{"model":"m","messages":[{"content":"x"}]}', "messages[0].role", "missing_required_parameter"),
        (
            b'{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]}',
            "messages[0].tool_calls[0].id",
            "missing_required_parameter",
        ),
        (b'{"model":"m","messages":[],"temperature":"hot"}', "temperature", "invalid_type"),
        (b'{"model":"m","messages":[],"tools":[{"type":"function","function":{}}]}', "tools[0].function.name", None),
    ],
)
def test_a_body_that_cannot_be_read_names_what_is_wrong(data: bytes, param: str | None, code: str | None) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(data)
    error = raised.value
    assert (error.status, error.error.param, error.error.type) == (400, param, "invalid_request_error")
    assert error.error.code == code or code is None
    assert error.error.message and "$" not in error.error.message


def test_a_wrong_type_is_told_in_words() -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(body(max_tokens="many"))
    assert raised.value.error.message == "Invalid type for 'max_tokens': expected int, but got str instead."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stop", "END"),
        ("stop", ["END"]),
        ("logit_bias", {"50256": -100}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("web_search_options", {}),
    ],
)
def test_what_must_not_be_ignored_is_refused_by_name(name: str, value: Any) -> None:
    error = refusal(**{name: value})
    assert (error.status, error.error.param, error.error.code) == (400, name, "unsupported_parameter")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stop", None),
        ("stop", []),
        ("stop", ""),
        ("logit_bias", {}),
        ("logprobs", False),
        ("top_logprobs", 0),
        ("modalities", ["text"]),
        ("functions", []),
        ("audio", None),
        ("web_search_options", None),
        ("frequency_penalty", 0),
        ("presence_penalty", 0.0),
        ("seed", None),
        ("anything", None),
    ],
)
def test_what_asks_for_nothing_is_neither_refused_nor_told(name: str, value: Any) -> None:
    for indent in (None, 4):
        spaced = json.dumps(json.loads(body(**{name: value})), indent=indent).encode()
        assert parse(spaced)[1] == []


def test_what_is_left_out_is_told_by_name() -> None:
    given = body(seed=0, prediction={"type": "content", "content": "x"}, frequency_penalty=0.5, vendor_flag=False)
    assert parse(given)[1] == ["frequency_penalty", "prediction", "seed", "vendor_flag"]


# -- translating ------------------------------------------------------------------------------------


def test_the_smallest_request_says_only_what_it_must() -> None:
    assert sent(model="gpt-4.1") == {
        "model": "gpt-4.1",
        "input": [{"type": "message", "role": "user", "content": "Hi."}],
        "stream": False,
        "store": False,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.2),
        ("top_p", 0.9),
        ("user", "ann"),
        ("safety_identifier", "s-1"),
        ("prompt_cache_key", "k"),
        ("service_tier", "flex"),
        ("metadata", {"a": "b"}),
    ],
)
def test_a_field_with_the_same_meaning_goes_as_it_is(name: str, value: Any) -> None:
    assert sent(**{name: value})[name] == value
    nothing: Json = {name: None}
    assert name not in sent(**nothing)


def test_reasoning_effort_and_verbosity_move_into_their_objects() -> None:
    up = sent(reasoning_effort="xhigh", verbosity="low")
    assert (up["reasoning"], up["text"]) == ({"effort": "xhigh"}, {"verbosity": "low"})


@pytest.mark.parametrize(
    ("asked", "chained", "stored"),
    [(None, False, False), (False, False, False), (True, False, True), (None, True, True), (False, True, False)],
)
def test_store_is_always_said_and_the_clients_word_counts(asked: bool | None, chained: bool, stored: bool) -> None:
    request, _ = parse(body(store=asked))
    assert translate(request, model="m", store=chained).body.store is stored


@pytest.mark.parametrize(
    ("fields", "limit", "name", "dropped"),
    [
        ({"max_completion_tokens": 200}, 200, "max_completion_tokens", []),
        ({"max_tokens": 200}, 200, "max_tokens", []),
        ({"max_tokens": 100, "max_completion_tokens": 200}, 200, "max_completion_tokens", ["max_tokens"]),
        ({"max_tokens": 5}, 16, "max_tokens", ["max_tokens"]),
        ({"max_completion_tokens": 15}, 16, "max_completion_tokens", ["max_completion_tokens"]),
        ({"max_completion_tokens": 16}, 16, "max_completion_tokens", []),
    ],
)
def test_the_output_limit_keeps_the_name_the_client_gave_it(
    fields: Json, limit: int, name: str, dropped: list[str]
) -> None:
    made = translated(**fields)
    assert (made.body.max_output_tokens, made.renames["max_output_tokens"]) == (limit, name)
    assert made.dropped == dropped


@pytest.mark.parametrize("limit", [0, -1, 2**63, 10**30])
def test_a_limit_that_means_nothing_is_refused(limit: int) -> None:
    assert refusal(max_tokens=limit).error.param == "max_tokens"


def test_encrypted_reasoning_is_asked_for_where_it_is_not_stored_and_may_come() -> None:
    assert sent(model="gpt-5.6-sol")["include"] == ["reasoning.encrypted_content"]
    assert "include" not in sent(model="gpt-4.1")
    assert "include" not in sent(model="gpt-5.6-sol", stored=True)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "gpt-5-chat-latest", "ft:gpt-4o:x"])
def test_models_that_never_reason_are_known(model: str) -> None:
    assert not may_reason(model)


@pytest.mark.parametrize("model", ["gpt-5.6-sol", "o3", "my-own-model"])
def test_any_other_model_may_reason(model: str) -> None:
    assert may_reason(model)


def test_the_word_json_is_not_hoisted_out_of_the_input() -> None:
    up = sent(system("Answer in JSON."), USER, response_format={"type": "json_object"})
    assert "instructions" not in up and up["input"][0]["role"] == "system"


def test_nothing_about_calls_is_said_without_tools() -> None:
    up = sent(tools=[], parallel_tool_calls=True)
    assert "tools" not in up and "parallel_tool_calls" not in up
    assert sent(tools=[TOOL], parallel_tool_calls=False)["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"model": ""}, "model"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": False, "stream_options": {}}, "stream_options"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
        ({"tools": [TOOL, {"type": "web_search"}]}, "tools[1].type"),
    ],
)
def test_what_is_not_served_is_refused_by_name(fields: Json, param: str) -> None:
    error = refusal(**fields)
    assert (error.status, error.error.param) == (400, param)


@pytest.mark.parametrize("value", [None, 1])
def test_one_answer_may_be_asked_for(value: int | None) -> None:
    assert "n" not in sent(n=value)


# -- the same every time ----------------------------------------------------------------------------

TEXTS = st.sampled_from(["", "Hi.", "é 🌊", 'say "json"', "a\nb"])
TURNS = st.one_of(
    TEXTS.map(lambda value: [user(value)]),
    TEXTS.map(lambda value: [user([text(value), text("b")])]),
    TEXTS.map(lambda value: [assistant(value)]),
    TEXTS.map(lambda value: [system(value)]),
    st.permutations(["a", "b", "c" * 70]).map(lambda ids: [calling("a", "b", "c" * 70), *map(tool, ids)]),
)
HISTORIES = st.lists(TURNS, max_size=6).map(lambda turns: [USER] + [message for turn in turns for message in turn])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.just([TOOL]),
        "metadata": st.just({"b": "1", "a": "2"}),
        "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
        "temperature": st.sampled_from([0, 1, 0.5]),
    },
)


@given(HISTORIES, FIELDS)
def test_the_same_request_gives_the_same_bytes(history: list[Json], fields: Json) -> None:
    first, second = (encode(translated(*history, **fields).body) for _ in range(2))
    assert first == second


@given(HISTORIES, FIELDS)
def test_nulls_and_unknown_keys_change_no_byte(history: list[Json], fields: Json) -> None:
    noisy = [{**message, "annotations": [], "refusal": None, "vendor": 1} for message in history]
    nulls: Json = {"stop": None, "max_tokens": None, "user": None, "tool_choice": None, "store": None}
    assert encode(translated(*noisy, **fields, **nulls).body) == encode(translated(*history, **fields).body)


@given(HISTORIES, TURNS)
def test_a_longer_history_begins_like_the_shorter(history: list[Json], turn: list[Json]) -> None:
    shorter, longer = sent(*history)["input"], sent(*history, *turn)["input"]
    assert longer[: len(shorter)] == shorter
