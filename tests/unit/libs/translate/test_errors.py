import msgspec
import pytest

from libs.schemas.wire.errors import ErrorEnvelope
from libs.translate.errors import InvalidRequest, TranslationError


def test_an_invalid_request_is_a_whole_envelope() -> None:
    error = InvalidRequest("No.", "messages[0]", "invalid_value")
    assert error.status == 400
    assert msgspec.to_builtins(ErrorEnvelope(error.error)) == {
        "error": {"message": "No.", "type": "invalid_request_error", "param": "messages[0]", "code": "invalid_value"}
    }


def test_the_message_is_what_the_exception_says() -> None:
    with pytest.raises(TranslationError, match="No such model"):
        raise InvalidRequest("No such model", "model", "model_not_found", status=404)
