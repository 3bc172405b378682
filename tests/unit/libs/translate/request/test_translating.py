import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.schemas.config import Profile
from libs.schemas.wire.responses import Reasoning
from libs.translate.request.assembly import ENCRYPTED_REASONING
from libs.translate.request.translating import encode, parse, translate
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


def _sent(data: bytes, **options: Any) -> Json:
    """What goes up for a request that follows others, or is followed."""
    parsed = parse(data)
    made = translate(parsed, model=parsed.chat.model, **options)
    up: Json = json.loads(encode(made.body, made.forwarded))
    return up


@pytest.mark.parametrize(("own", "type_"), [(True, "function_call_output"), (False, "mcp_approval_response")])
def test_a_tool_with_the_name_of_an_approval_is_the_clients_own(own: bool, type_: str) -> None:
    arguments = json.dumps({"server_label": "s", "name": "delete", "arguments": "{}"})
    asked = {"id": "mcpr_1", "type": "function", "function": {"name": "mcp_approval", "arguments": arguments}}
    tools = [{"type": "function", "function": {"name": "mcp_approval" if own else "look"}}]
    up = sent(messages=[USER, assistant(None, tool_calls=[asked]), tool("mcpr_1", "approve")], tools=tools)
    assert up["input"][-1]["type"] == type_


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


@pytest.mark.parametrize("field", ["temperature", "top_p"])
def test_the_default_is_not_told_to_a_model_that_takes_no_sampling(field: str) -> None:
    assert field not in sent(**{field: 1}, model="gpt-5-mini")
    assert sent(**{field: 0.5}, model="gpt-5-mini")[field] == 0.5
    assert sent(**{field: 1}, model="gpt-4.1")[field] == 1


def test_reasoning_effort_and_verbosity_move_into_their_objects() -> None:
    up = sent(reasoning_effort="xhigh", verbosity="low")
    assert (up["reasoning"], up["text"]) == ({"effort": "xhigh"}, {"verbosity": "low"})


@pytest.mark.parametrize(
    ("asked", "chained", "stored"),
    [(None, False, False), (False, False, False), (True, False, True), (None, True, True), (False, True, False)],
)
def test_store_is_always_said_and_the_clients_word_counts(asked: bool | None, chained: bool, stored: bool) -> None:
    assert translated(store=asked, stored=chained).body.store is stored


@pytest.mark.parametrize(
    ("fields", "limit", "name", "dropped"),
    [
        ({"max_completion_tokens": 200}, 200, "max_completion_tokens", []),
        ({"max_tokens": 200}, 200, "max_tokens", []),
        ({"max_tokens": 100, "max_completion_tokens": 200}, 200, "max_completion_tokens", ["max_tokens"]),
        ({"max_tokens": 5}, 16, "max_tokens", ["max_tokens"]),
        ({"max_completion_tokens": 15}, 16, "max_completion_tokens", ["max_completion_tokens"]),
        ({"max_completion_tokens": 16}, 16, "max_completion_tokens", []),
        ({"max_response_tokens": 20}, 20, "max_response_tokens", []),
        ({"max_output_tokens": 20}, 20, "max_output_tokens", []),
        ({"max_output_tokens": 20, "max_tokens": 30}, 30, "max_tokens", ["max_output_tokens"]),
    ],
)
def test_the_output_limit_keeps_the_name_the_client_gave_it(
    fields: Json, limit: int, name: str, dropped: list[str]
) -> None:
    made = translated(**fields)
    assert (made.body.max_output_tokens, made.plan.renames["max_output_tokens"]) == (limit, name)
    assert made.dropped == dropped


@pytest.mark.parametrize("limit", [0, -1, 2**63, 10**30])
def test_a_limit_that_means_nothing_is_refused(limit: int) -> None:
    assert refusal(max_tokens=limit).error.param == "max_tokens"


def test_encrypted_reasoning_is_asked_for_where_it_is_not_stored_and_may_come() -> None:
    assert sent(model="gpt-5.6-sol")["include"] == ["reasoning.encrypted_content"]
    assert "include" not in sent(model="gpt-4.1")
    assert "include" not in sent(model="gpt-5.6-sol", stored=True)


def test_nothing_about_calls_is_said_without_tools() -> None:
    up = sent(tools=[], parallel_tool_calls=True)
    assert "tools" not in up and "parallel_tool_calls" not in up
    assert sent(tools=[TOOL], parallel_tool_calls=False)["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"model": ""}, "model"),
        ({"background": True}, "background"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": False, "stream_options": {}}, "stream_options"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": "a" * 1025}, "stop"),
        ({"stop": ["a", "b" * 1025]}, "stop[1]"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"parley": {"format": "xml"}}, "parley.format"),
    ],
)
def test_what_is_not_served_is_refused_by_name(fields: Json, param: str) -> None:
    error = refusal(**fields)
    assert (error.status, error.error.param) == (400, param)


# -- several answers, stop sequences, probabilities -------------------------------------------------


@pytest.mark.parametrize("value", [None, 1])
def test_one_answer_may_be_asked_for(value: int | None) -> None:
    assert "n" not in sent(n=value)


def test_several_answers_are_planned_and_none_is_stored() -> None:
    made = translated(n=3, store=True)
    assert (made.plan.choices, made.body.store, made.dropped) == (3, False, ["store"])
    assert "n" not in sent(n=3)


def test_the_configuration_says_how_many_answers_are_too_many() -> None:
    assert translated(n=20, profile=Profile(max_choices=20)).plan.choices == 20


@pytest.mark.parametrize(
    ("stop", "planned"), [(None, []), ("", []), ([], []), ([""], []), ("END", ["END"]), (["a", "b"], ["a", "b"])]
)
def test_stop_sequences_are_planned_and_not_sent(stop: Any, planned: list[str]) -> None:
    assert translated(stop=stop).plan.stop == planned
    assert "stop" not in sent(stop=stop)


@pytest.mark.parametrize("fields", [{"n": 2}, {"stop": "END"}])
def test_typed_events_cannot_be_cut_or_multiplied(fields: Json) -> None:
    (name,) = fields
    assert refusal(format_="responses", **fields).error.param == name


def test_probabilities_are_included_and_planned() -> None:
    made = sent(model="gpt-4.1", logprobs=True, top_logprobs=2)
    assert (made["include"], made["top_logprobs"]) == (["message.output_text.logprobs"], 2)
    assert translated(logprobs=True).plan.logprobs
    assert "top_logprobs" not in sent(logprobs=True)
    assert "top_logprobs" not in sent(top_logprobs=0)


# -- what only the Responses API has ----------------------------------------------------------------


def test_responses_fields_go_up_under_their_own_names() -> None:
    fields: Json = {
        "access_programs": ["a"],
        "context_management": [{"type": "compaction"}],
        "max_tool_calls": 3,
        "prompt": {"id": "pmpt_1"},
        "truncation": "auto",
        "prompt_cache_options": {"mode": "explicit"},
        "prompt_cache_retention": "24h",
        "moderation": {"model": "omni-moderation-latest"},
    }
    up = sent(**fields)
    assert {name: up[name] for name in fields} == fields
    assert translated(**fields).dropped == []


def test_the_clients_own_instructions_come_first() -> None:
    assert sent(system("Be kind."), USER, instructions="Be brief.")["instructions"] == "Be brief.\n\nBe kind."


def test_the_clients_own_include_is_kept() -> None:
    wanted = ["web_search_call.action.sources", "reasoning.encrypted_content"]
    assert sent(include=wanted)["include"] == wanted


def test_reasoning_as_the_responses_api_has_it_yields_to_chats_name() -> None:
    reasoning = {"effort": "high", "summary": "auto", "context": "all_turns"}
    assert sent(reasoning=reasoning)["reasoning"] == reasoning
    made = translated(reasoning=reasoning, reasoning_effort="low")
    assert (made.body.reasoning, made.dropped) == (
        Reasoning(effort="low", summary="auto", context="all_turns"),
        ["reasoning.effort"],
    )
    assert "reasoning" not in sent(reasoning={})


@pytest.mark.parametrize(("model", "summary"), [("gpt-5", "auto"), ("gpt-4.1", None)])
def test_summaries_are_asked_for_where_the_configuration_says_so(model: str, summary: str | None) -> None:
    up = sent(model=model, profile=Profile(reasoning_summary="auto"))
    assert up.get("reasoning") == (None if summary is None else {"summary": summary})


def test_encrypted_reasoning_is_not_asked_of_an_upstream_that_has_none() -> None:
    assert "include" not in sent(profile=Profile(encrypted_reasoning=False))


@pytest.mark.parametrize("parent", [{"previous_response_id": "resp_1"}, {"conversation": {"id": "conv_1"}}])
def test_a_named_parent_goes_up_with_what_is_new(parent: Json) -> None:
    (name,) = parent
    up = _sent(body(tool("call_1"), **parent), continues=True)
    assert up[name] == parent[name]
    assert [item["type"] for item in up["input"]] == ["function_call_output"]


def test_a_result_without_its_call_is_refused_where_nothing_stands_before_it() -> None:
    assert refusal(tool("call_1")).error.param == "messages[0].role"


@pytest.mark.parametrize("stored", [False, True])
def test_reasoning_that_is_to_be_sent_again_is_asked_for(stored: bool) -> None:
    assert _sent(body(), store=stored, replays=True)["include"] == [ENCRYPTED_REASONING]
    assert "include" not in _sent(body(model="gpt-4o"), store=stored, replays=True)
    assert "include" not in _sent(body(), store=True)


@pytest.mark.parametrize(
    ("wanted", "sent_up", "dropped"),
    [
        (None, None, []),
        (False, {"include_obfuscation": False}, []),
        (True, None, ["stream_options.include_obfuscation"]),
    ],
)
def test_padding_comes_from_the_upstream_only_unless_unwanted(
    wanted: bool | None, sent_up: Any, dropped: list[str]
) -> None:
    options: Json = {"stream": True, "stream_options": {"include_obfuscation": wanted, "include_usage": True}}
    made = translated(**options)
    assert (sent(**options).get("stream_options"), made.dropped) == (sent_up, dropped)
    assert made.plan.include_usage


def test_what_is_asked_of_parley_itself_never_goes_up() -> None:
    assert "parley" not in sent(parley={"format": "responses"})


# -- the plan ---------------------------------------------------------------------------------------


def test_the_plan_says_how_the_answer_is_to_be_told() -> None:
    made = translated(tools=[TOOL], response_format={"type": "json_schema", "json_schema": {"name": "x"}})
    assert (made.plan.structured, made.plan.functions) == (True, False)
    made = translated(functions=[{"name": "look"}], profile=Profile(reasoning_field="none"))
    assert (made.plan.functions, made.plan.reasoning_field) == (True, "none")
    assert translated(format_="responses").plan.format == "responses"


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
        "seed": st.just(1),
        "top_k": st.just(2),
        "truncation": st.just("auto"),
        "temperature": st.sampled_from([0, 1, 0.5]),
    },
)


def _bytes(history: list[Json], fields: Json) -> bytes:
    made = translated(*history, **fields)
    return encode(made.body, made.forwarded)


@given(HISTORIES, FIELDS)
def test_the_same_request_gives_the_same_bytes(history: list[Json], fields: Json) -> None:
    assert _bytes(history, fields) == _bytes(history, fields)


@given(HISTORIES, FIELDS)
def test_nulls_and_unknown_keys_change_no_byte(history: list[Json], fields: Json) -> None:
    noisy = [{**message, "annotations": [], "refusal": None, "vendor": 1} for message in history]
    nulls: Json = {"stop": None, "max_tokens": None, "user": None, "tool_choice": None, "store": None}
    assert _bytes(noisy, {**fields, **nulls}) == _bytes(history, fields)


@given(HISTORIES, TURNS)
def test_a_longer_history_begins_like_the_shorter(history: list[Json], turn: list[Json]) -> None:
    shorter, longer = sent(*history)["input"], sent(*history, *turn)["input"]
    assert longer[: len(shorter)] == shorter
