"""How a response ended, in chat terms: `finish_reason` and the failure table.

Tables of the translation reference: B.3 and G.3.
"""

from libs.schemas.errors import ErrorBody
from libs.schemas.events import ErrorEvent
from libs.schemas.responses import Response, ResponseError
from libs.translate.errors import UpstreamFailed

_INCOMPLETE = {"max_output_tokens": "length", "max_tokens": "length", "content_filter": "content_filter"}

# Upstream failure code -> (HTTP status, error type). What is not here is the upstream's own fault.
_FAILURES: dict[str, tuple[int, str]] = {
    "rate_limit_exceeded": (429, "rate_limit_error"),
    "too_many_requests": (429, "rate_limit_error"),
    "vector_store_timeout": (504, "server_error"),
    "invalid_prompt": (400, "invalid_request_error"),
    "bio_policy": (400, "invalid_request_error"),
    "misalignment_policy_violation": (400, "invalid_request_error"),
    "data_residency_mismatch": (400, "invalid_request_error"),
    "empty_image_file": (400, "invalid_request_error"),
    "unsupported_image_media_type": (400, "invalid_request_error"),
    "failed_to_download_image": (400, "invalid_request_error"),
}
_IMAGE_PREFIXES = ("invalid_image", "image_", "invalid_base64_image")


def finish_reason(response: Response, *, has_calls: bool) -> str:
    """Return the `finish_reason` of a response that did not fail."""
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details else None
        return _INCOMPLETE.get(reason or "", "length")
    return "tool_calls" if has_calls else "stop"


def failure(code: str | int | None, message: str | None, type_: str | None, param: str | None) -> UpstreamFailed:
    """Return the error for a failure that the upstream reported inside an answer."""
    code = None if code is None else str(code)
    status, usual_type = _FAILURES.get(code or "", (500, "server_error"))
    if code is not None and code.startswith(_IMAGE_PREFIXES):
        status, usual_type = 400, "invalid_request_error"
    text = message or "The upstream failed to answer."
    return UpstreamFailed(status, ErrorBody(message=text, type=type_ or usual_type, param=param, code=code))


def response_failure(response: Response) -> UpstreamFailed:
    """Return the error of a response whose status is `failed` or `cancelled`."""
    error = response.error or ResponseError()
    return failure(error.code, error.message, error.type, error.param)


def event_failure(event: ErrorEvent) -> UpstreamFailed:
    """Return the error of an `error` event, flat or nested."""
    if event.error is not None:
        return failure(event.error.code, event.error.message, event.error.type, event.error.param)
    return failure(event.code, event.message, None, event.param)
