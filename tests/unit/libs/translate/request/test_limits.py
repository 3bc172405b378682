from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from libs.schemas.config import Profile
from libs.schemas.wire.chat import ChatRequest
from libs.translate.errors import InvalidRequest
from libs.translate.request.limits import (
    MAX_OUTPUT_TOKENS,
    OutputLimit,
    to_choices,
    to_output_limit,
    to_stops,
    to_top_logprobs,
)

PROFILE = Profile(min_output_tokens=16, max_choices=8)


def _chat(**fields: Any) -> ChatRequest:
    return msgspec.convert({"model": "m", "messages": [], **fields}, ChatRequest)


def _refused(function: Callable[..., Any], *arguments: Any) -> tuple[str | None, str | None, str]:
    with pytest.raises(InvalidRequest) as caught:
        function(*arguments)
    error = caught.value.error
    return error.param, error.code, error.message


# -- how much ---------------------------------------------------------------------------------------


def test_without_a_limit_none_goes_up() -> None:
    assert to_output_limit(_chat(), PROFILE) == OutputLimit(None, "max_completion_tokens", [])


@pytest.mark.parametrize("name", ["max_completion_tokens", "max_tokens", "max_output_tokens"])
def test_a_limit_is_taken_under_each_of_its_names(name: str) -> None:
    assert to_output_limit(_chat(**{name: 100}), PROFILE) == OutputLimit(100, name, [])


def test_of_several_limits_the_first_counts_and_the_others_are_named() -> None:
    limit = to_output_limit(_chat(max_tokens=100, max_completion_tokens=200), PROFILE)
    assert limit == OutputLimit(200, "max_completion_tokens", ["max_tokens"])


@pytest.mark.parametrize(
    ("asked", "sent", "dropped"), [(1, 16, True), (15, 16, True), (16, 16, False), (17, 17, False)]
)
def test_a_limit_below_the_least_of_the_upstream_is_raised_and_named(asked: int, sent: int, dropped: bool) -> None:
    limit = to_output_limit(_chat(max_tokens=asked), PROFILE)
    assert limit == OutputLimit(sent, "max_tokens", ["max_tokens"] if dropped else [])


def test_what_is_dropped_besides_a_raised_limit_is_named_too() -> None:
    limit = to_output_limit(_chat(max_tokens=5, max_completion_tokens=6), PROFILE)
    assert limit == OutputLimit(16, "max_completion_tokens", ["max_completion_tokens", "max_tokens"])


@pytest.mark.parametrize("tokens", [0, -1])
def test_a_limit_below_one_is_refused(tokens: int) -> None:
    refused = _refused(to_output_limit, _chat(max_tokens=tokens), PROFILE)
    assert refused == ("max_tokens", "integer_below_min_value", "Invalid 'max_tokens': must be at least 1.")


def test_a_limit_that_no_reader_keeps_exactly_is_refused() -> None:
    assert to_output_limit(_chat(max_tokens=MAX_OUTPUT_TOKENS), PROFILE).tokens == 2**53 - 1
    refused = _refused(to_output_limit, _chat(max_tokens=2**53), PROFILE)
    assert refused == ("max_tokens", "invalid_value", "Invalid 'max_tokens': must be at most 9007199254740991.")


# -- how many ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "choices"), [(None, 1), (1, 1), (2, 2), (8, 8)])
def test_choices_are_as_many_as_asked_for(n: int | None, choices: int) -> None:
    assert to_choices(_chat(n=n), PROFILE, "chat") == choices


@pytest.mark.parametrize(
    ("n", "code", "message"),
    [
        (0, "integer_below_min_value", "Invalid 'n': must be at least 1."),
        (9, "integer_above_max_value", "Invalid 'n': must be at most 8."),
    ],
)
def test_too_few_or_too_many_choices_are_refused(n: int, code: str, message: str) -> None:
    assert _refused(to_choices, _chat(n=n), PROFILE, "chat") == ("n", code, message)


def test_one_typed_answer_only() -> None:
    assert to_choices(_chat(n=1), PROFILE, "responses") == 1
    assert _refused(to_choices, _chat(n=2), PROFILE, "responses")[0] == "n"


# -- where it stops ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop", "stops"),
    [(None, []), ([], []), ("", []), (["", "a"], ["a"]), ("a", ["a"]), (["a", "b", "c", "d"], ["a", "b", "c", "d"])],
)
def test_stop_sequences_are_taken_in_both_forms(stop: Any, stops: list[str]) -> None:
    assert to_stops(_chat(stop=stop), "chat") == stops


def test_more_than_four_stop_sequences_are_refused() -> None:
    param, code, message = _refused(to_stops, _chat(stop=["a", "b", "c", "d", ""]), "chat")
    assert (param, code) == ("stop", "array_above_max_length")
    assert message == "Invalid 'stop': array too long. Expected at most 4 sequences, but got 5 instead."


@pytest.mark.parametrize(("stop", "where"), [("x" * 1025, "stop"), (["a", "x" * 1025], "stop[1]")])
def test_a_stop_sequence_that_is_too_long_is_refused_by_its_place(stop: Any, where: str) -> None:
    param, code, message = _refused(to_stops, _chat(stop=stop), "chat")
    assert (param, code) == (where, "string_above_max_length")
    assert message == f"Invalid '{where}': expected at most 1024 characters, got 1025."


def test_a_stop_sequence_of_the_greatest_length_is_taken() -> None:
    assert to_stops(_chat(stop="x" * 1024), "chat") == ["x" * 1024]


def test_a_typed_answer_is_not_cut() -> None:
    assert to_stops(_chat(stop=[""]), "responses") == []
    assert _refused(to_stops, _chat(stop=["a"]), "responses")[0] == "stop"


# -- alternatives -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, None),
        ({"logprobs": True}, None),
        ({"top_logprobs": 0}, None),
        ({"logprobs": False, "top_logprobs": 0}, None),
        ({"logprobs": True, "top_logprobs": 0}, 0),
        ({"logprobs": True, "top_logprobs": 1}, 1),
        ({"logprobs": True, "top_logprobs": 20}, 20),
    ],
)
def test_alternatives_are_as_many_as_asked_for(fields: dict[str, Any], wanted: int | None) -> None:
    assert to_top_logprobs(_chat(**fields)) == wanted


def test_alternatives_without_log_probabilities_are_refused() -> None:
    param, code, message = _refused(to_top_logprobs, _chat(top_logprobs=1))
    assert (param, code) == ("top_logprobs", "invalid_value")
    assert message == "Invalid value for 'top_logprobs': it is only allowed when 'logprobs' is true."


@pytest.mark.parametrize("wanted", [-1, 21])
def test_too_few_or_too_many_alternatives_are_refused(wanted: int) -> None:
    param, code, message = _refused(to_top_logprobs, _chat(logprobs=True, top_logprobs=wanted))
    assert (param, code, message) == ("top_logprobs", "invalid_value", "Invalid 'top_logprobs': must be from 0 to 20.")
