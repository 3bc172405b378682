from typing import Any

import msgspec
import pytest

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.errors import UpstreamErrorBody
from libs.schemas.wire.events import ErrorEvent
from libs.schemas.wire.output import RESPONSE_DECODER, Response
from libs.translate.answer.finish import (
    Ended,
    ended,
    ended_natively,
    event_failure,
    failure,
    finish_reason,
    response_failure,
)
from tests.support.answers import Json, call, message, response


def _response(**fields: Any) -> Response:
    return RESPONSE_DECODER.decode(msgspec.json.encode(response(**fields)))


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("max_output_tokens", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("max_messages", "length"),
        ("steered", "length"),
        (None, "length"),
    ],
)
@pytest.mark.parametrize("has_calls", [False, True])
def test_an_incomplete_answer_says_why_whatever_it_holds(reason: str | None, expected: str, has_calls: bool) -> None:
    made = _response(status="incomplete", incomplete_details={"reason": reason})
    assert finish_reason(made, has_calls=has_calls) == expected


def test_an_incomplete_answer_without_details_was_cut() -> None:
    assert finish_reason(_response(status="incomplete"), has_calls=False) == "length"


@pytest.mark.parametrize("details", [{}, {"incomplete_details": None}])
def test_a_whole_answer_is_not_taken_for_a_cut_one(details: Any) -> None:
    assert finish_reason(_response(status="completed", **details), has_calls=False) == "stop"


def test_calls_end_an_answer_as_such() -> None:
    assert finish_reason(_response(status="completed"), has_calls=True) == "tool_calls"


@pytest.mark.parametrize(
    ("code", "status", "type_"),
    [
        ("rate_limit_exceeded", 429, "rate_limit_error"),
        ("too_many_requests", 429, "rate_limit_error"),
        ("insufficient_quota", 429, "insufficient_quota"),
        ("context_length_exceeded", 400, "invalid_request_error"),
        ("server_error", 500, "server_error"),
        ("model_error", 500, "server_error"),
        ("never_heard_of", 500, "server_error"),
        (None, 500, "server_error"),
        ("vector_store_timeout", 504, "server_error"),
        ("server_is_overloaded", 503, "service_unavailable_error"),
        ("invalid_prompt", 400, "invalid_request_error"),
        ("bio_policy", 400, "invalid_request_error"),
        ("misalignment_policy_violation", 400, "invalid_request_error"),
        ("data_residency_mismatch", 400, "invalid_request_error"),
        ("invalid_image_format", 400, "invalid_request_error"),
        ("image_too_large", 400, "invalid_request_error"),
        ("invalid_base64_image", 400, "invalid_request_error"),
        ("empty_image_file", 400, "invalid_request_error"),
        ("unsupported_image_media_type", 400, "invalid_request_error"),
        ("failed_to_download_image", 400, "invalid_request_error"),
        ("slow_down", 429, "rate_limit_error"),
        ("credit_balance_exhausted", 429, "insufficient_quota"),
        ("previous_response_not_found", 400, "invalid_request_error"),
        ("invalid_encrypted_content", 400, "invalid_request_error"),
    ],
)
def test_each_failure_has_its_status_and_type(code: str | None, status: int, type_: str) -> None:
    error = failure(UpstreamErrorBody(code=code, message="No."))
    assert (error.status, error.error.type, error.error.code, error.error.message) == (status, type_, code, "No.")


def test_the_upstreams_own_type_is_kept() -> None:
    error = failure(UpstreamErrorBody(code="rate_limit_exceeded", type="tokens"))
    assert (error.status, error.error.type) == (429, "tokens")


def test_where_the_code_says_nothing_the_type_does() -> None:
    assert failure(UpstreamErrorBody(code="new_code", type="invalid_request_error")).status == 400
    assert failure(UpstreamErrorBody(type="rate_limit_error")).status == 429
    assert failure(UpstreamErrorBody(type="new_type")).status == 500


def test_a_code_that_is_a_number_becomes_text() -> None:
    assert failure(UpstreamErrorBody(code=1301)).error.code == "1301"


def test_a_failure_without_message_still_says_something() -> None:
    assert failure(UpstreamErrorBody()).error.message


def test_with_the_plan_a_failure_names_the_clients_fields() -> None:
    plan = StreamPlan(stream=False, message_indexes=[0, 3])
    error = failure(UpstreamErrorBody(code="invalid_prompt", message="input[1] is bad.", param="input[1]"), plan)
    assert (error.error.param, error.error.message) == ("messages[3]", "messages[3] is bad.")


def test_a_failed_response_without_error_is_the_upstreams_fault() -> None:
    assert response_failure(_response(status="failed")).status == 500


def test_a_failed_response_keeps_all_that_its_error_says() -> None:
    plan = StreamPlan(stream=False, message_indexes=[0, 3])
    error = {"code": "invalid_prompt", "message": "input[1] is bad.", "type": "bad", "param": "input[1]"}
    made = _response(status="failed", error=error)
    failed = response_failure(made, plan)
    assert (failed.error.code, failed.error.type) == ("invalid_prompt", "bad")
    assert (failed.error.param, failed.error.message) == ("messages[3]", "messages[3] is bad.")
    assert failed.response is made


@pytest.mark.parametrize(
    "event",
    [
        ErrorEvent(code="invalid_prompt", message="input[1] is bad.", param="input[1]"),
        ErrorEvent(error=UpstreamErrorBody(code="invalid_prompt", message="input[1] is bad.", param="input[1]")),
    ],
)
def test_an_error_event_means_the_same_flat_and_nested(event: ErrorEvent) -> None:
    failed = event_failure(event, StreamPlan(stream=True, message_indexes=[0, 3]))
    assert (failed.status, failed.error.code) == (400, "invalid_prompt")
    assert (failed.error.param, failed.error.message) == ("messages[3]", "messages[3] is bad.")


def test_an_error_event_may_be_a_bare_text() -> None:
    failed = event_failure(ErrorEvent(error="input[1] is bad."), StreamPlan(stream=True, message_indexes=[0, 3]))
    assert (failed.status, failed.error.code, failed.error.message) == (500, None, "messages[3] is bad.")


def _ended(*items: Json, plan: StreamPlan | None = None, cut_after: int | None = None, **fields: Any) -> Ended:
    made = _response(**fields, output=list(items))
    return ended(made, made.output, plan, cut_after=cut_after)


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        ("completed", "ok", "stop"),
        ("incomplete", "incomplete", "length"),
        ("queued", "ok", ""),
        ("in_progress", "ok", ""),
        ("failed", "failed", ""),
        ("cancelled", "failed", ""),
        (None, "ok", "stop"),
    ],
)
def test_each_status_has_its_outcome(status: str | None, outcome: str, reason: str) -> None:
    answer = _ended(message("Hi"), status=status)
    assert (answer.outcome, answer.finish_reason, answer.tool_calls) == (outcome, reason, 0)


@pytest.mark.parametrize(("code", "told"), [("server_error", "server_error"), (1301, "1301"), (None, None)])
def test_a_failed_answer_ends_with_the_code_of_the_upstream(code: Any, told: str | None) -> None:
    answer = _ended(status="failed", error={"code": code, "message": "No."})
    assert (answer.outcome, answer.error_code) == ("failed", told)


def test_an_answer_that_came_in_spite_of_an_error_did_not_fail() -> None:
    answer = _ended(message("Hi"), status="completed", error={"code": "odd", "message": "No."})
    assert (answer.outcome, answer.finish_reason, answer.error_code) == ("ok", "stop", "odd")


def test_an_error_with_nothing_else_is_a_failure() -> None:
    assert _ended(status=None, error={"code": "odd", "message": "No."}).outcome == "failed"


def test_the_calls_of_an_answer_are_counted() -> None:
    answer = _ended(call("call_1"), call("call_2"), status="completed")
    assert (answer.finish_reason, answer.tool_calls) == ("tool_calls", 2)


def test_the_legacy_form_ends_with_its_own_reason() -> None:
    answer = _ended(call(), status="completed", plan=StreamPlan(stream=False, functions=True))
    assert answer.finish_reason == "function_call"


@pytest.mark.parametrize(("calls_before", "reason"), [(0, "stop"), (1, "tool_calls")])
def test_what_comes_after_a_stop_sequence_does_not_count(calls_before: int, reason: str) -> None:
    answer = _ended(call("call_1"), message("Hi"), call("call_2"), status="incomplete", cut_after=calls_before)
    assert (answer.outcome, answer.finish_reason, answer.tool_calls) == ("ok", reason, calls_before)


def test_only_a_chat_answer_loses_items() -> None:
    search = {"type": "web_search_call", "id": "ws_1"}
    assert _ended(search, status="completed", plan=StreamPlan(stream=False)).losses == ["output[0].web_search_call"]
    assert _ended(search, status="completed").losses == ()


@pytest.mark.parametrize(
    ("reasons", "outcome", "reason"),
    [
        (["stop"], "ok", "stop"),
        (["length"], "incomplete", "length"),
        (["content_filter"], "incomplete", "content_filter"),
        (["stop", "length"], "incomplete", "stop"),
        (["", "tool_calls"], "ok", "tool_calls"),
        ([], "ok", ""),
    ],
)
def test_an_answer_of_the_chat_endpoint_ended_as_its_choices_say(reasons: list[str], outcome: str, reason: str) -> None:
    answer = ended_natively(reasons, 2)
    assert (answer.outcome, answer.finish_reason, answer.tool_calls) == (outcome, reason, 2)
