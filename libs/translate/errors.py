"""The ways a translation ends early: with the status and body the client gets, or with another way to be served."""

from collections.abc import Iterable

from libs.schemas.wire.errors import ErrorBody
from libs.schemas.wire.output import Response


class TranslationError(Exception):
    """Base; `status` is the HTTP status that fits, `error` what stands in the envelope."""

    def __init__(self, status: int, error: ErrorBody) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error


class InvalidRequest(TranslationError):
    """The client's request is at fault; `param` is a path in chat terms, such as `messages[2].content`."""

    def __init__(self, message: str, param: str | None, code: str | None = None, status: int = 400) -> None:
        super().__init__(status, ErrorBody(message=message, param=param, code=code))


class AnswerUnusable(TranslationError):
    """The upstream answered, and the client cannot have it; `response` is what is known of the answer, if anything."""

    def __init__(self, status: int, error: ErrorBody, response: Response | None = None) -> None:
        super().__init__(status, error)
        self.response = response


class UpstreamFailed(AnswerUnusable):
    """The upstream reported a failure inside an answer (docs/mapping.md#failure-codes)."""


class NeedsNative(Exception):
    """The request can only be served by the upstream's own chat endpoint; `reason` names the field that says so."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def missing(param: str) -> InvalidRequest:
    """Return the refusal of a request without `param`."""
    return InvalidRequest(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def unsupported(param: str) -> InvalidRequest:
    """Return the refusal of a field that has no counterpart and may not be ignored."""
    return InvalidRequest(f"Unsupported parameter: '{param}'.", param, "unsupported_parameter")


def unexpected(value: str, param: str, supported: Iterable[str]) -> InvalidRequest:
    """Return the refusal of a value that is none of `supported`."""
    listed = ", ".join(f"'{known}'" for known in supported)
    return InvalidRequest(f"Invalid value: '{value}'. Supported values are: {listed}.", param, "invalid_value")
