import pytest

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.errors import UpstreamErrorBody
from libs.translate.answer.upstream_errors import is_stale, read_error, to_chat_error

PLAN = StreamPlan(stream=True, message_indexes=[0, 2, 2, 3], renames={"max_output_tokens": "max_tokens"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"No.","type":"t","param":"p","code":"c"}}', "No."),
        (b'{"error":{"message":"No.","code":1301,"extra":[]}}', "No."),
        (b'{"error":"No."}', "No."),
        (b'{"detail":"No."}', "No."),
        (b'{"message":"No."}', "No."),
        (b'{"detail":[{"loc":["body"],"msg":"No."}]}', None),
        (b'{"error":null}', None),
        (b"<html>502 Bad Gateway</html>", None),
        (b"[]", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
    ],
)
def test_an_error_is_read_as_far_as_it_can_be(body: bytes, message: str | None) -> None:
    assert read_error(body).message == message


def test_all_that_an_error_says_is_kept() -> None:
    error = to_chat_error(400, read_error(b'{"error":{"message":"No.","type":"t","param":"p","code":7}}'), PLAN)
    assert (error.message, error.type, error.param, error.code) == ("No.", "t", "p", "7")


@pytest.mark.parametrize(
    ("status", "type_"),
    [
        (400, "invalid_request_error"),
        (401, "invalid_request_error"),
        (404, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_an_error_that_says_nothing_is_told_by_its_status(status: int, type_: str) -> None:
    error = to_chat_error(status, UpstreamErrorBody(), PLAN)
    assert error.type == type_ and str(status) in error.message


def test_a_message_names_the_clients_own_fields() -> None:
    told = "Invalid 'input[1].content': 'max_output_tokens' and 'reasoning.effort' with 'tools[0].name' are wrong."
    assert to_chat_error(400, UpstreamErrorBody(message=told), PLAN).message == (
        "Invalid 'messages[2].content': 'max_tokens' and 'reasoning_effort' with 'tools[0].function.name' are wrong."
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("previous_response_not_found", "x"),
        ("invalid_encrypted_content", None),
        (None, "Previous response with id 'resp_x' not found."),
        ("invalid_request_error", "Invalid `previous_response_id`."),
        (None, "Unsupported parameter: 'previous_response_id'"),
        (None, "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."),
        (None, "ITEM with ID 'rs_1' was deleted or NOT FOUND."),
        (None, "No tool output found for function call call_1."),
        (None, "No tool call found for function call output with call_id call_1."),
        (None, "The encrypted content could not be verified."),
    ],
)
def test_an_upstream_that_forgot_is_understood(code: str | None, message: str | None) -> None:
    assert is_stale(UpstreamErrorBody(code=code, message=message))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, None),
        ("model_not_found", "The model 'x' was not found."),
        (None, "Unsupported parameter: 'stop'"),
        (None, "File not found: an item with id 'x'."),
    ],
)
def test_another_error_is_not_taken_for_it(code: str | None, message: str | None) -> None:
    assert not is_stale(UpstreamErrorBody(code=code, message=message))
