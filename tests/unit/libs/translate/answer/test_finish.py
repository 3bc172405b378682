from typing import Any

import msgspec
import pytest

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.errors import UpstreamErrorBody
from libs.schemas.wire.output import RESPONSE_DECODER, Response
from libs.translate.answer.finish import failure, finish_reason, response_failure
from tests.support.answers import response


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
    plan = StreamPlan(stream=False, items=[0, 3])
    error = failure(UpstreamErrorBody(code="invalid_prompt", message="input[1] is bad.", param="input[1]"), plan)
    assert (error.error.param, error.error.message) == ("messages[3]", "messages[3] is bad.")


def test_a_failed_response_without_error_is_the_upstreams_fault() -> None:
    assert response_failure(_response(status="failed")).status == 500
