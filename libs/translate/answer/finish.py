"""How a response ended: its outcome, its `finish_reason`, and the failure table.

The tables are docs/mapping.md#finish-reasons, #failure-codes. Clients, records and what is kept all read an ending
here.
"""

from collections.abc import Collection, Sequence

import msgspec
from msgspec import Raw

from libs.schemas.plan import StreamPlan
from libs.schemas.records import Outcome
from libs.schemas.wire.errors import ErrorBody, UpstreamErrorBody
from libs.schemas.wire.events import ErrorEvent
from libs.schemas.wire.output import Response, ResponseError
from libs.translate.answer.error_paths import to_chat_param, to_chat_text
from libs.translate.answer.item_fates import losses, tool_call_ids
from libs.translate.errors import UpstreamFailed

_INCOMPLETE = {"max_output_tokens": "length", "max_tokens": "length", "content_filter": "content_filter"}

# Upstream failure code -> (HTTP status, error type) (docs/mapping.md#failure-codes). What is not here is the upstream's
# own fault.
_FAILURES: dict[str, tuple[int, str]] = {
    "rate_limit_exceeded": (429, "rate_limit_error"),
    "too_many_requests": (429, "rate_limit_error"),
    "slow_down": (429, "rate_limit_error"),
    "insufficient_quota": (429, "insufficient_quota"),
    "credit_balance_exhausted": (429, "insufficient_quota"),
    "server_is_overloaded": (503, "service_unavailable_error"),
    "vector_store_timeout": (504, "server_error"),
    "context_length_exceeded": (400, "invalid_request_error"),
    "previous_response_not_found": (400, "invalid_request_error"),
    "invalid_encrypted_content": (400, "invalid_request_error"),
    "invalid_prompt": (400, "invalid_request_error"),
    "bio_policy": (400, "invalid_request_error"),
    "misalignment_policy_violation": (400, "invalid_request_error"),
    "data_residency_mismatch": (400, "invalid_request_error"),
    "empty_image_file": (400, "invalid_request_error"),
    "unsupported_image_media_type": (400, "invalid_request_error"),
    "failed_to_download_image": (400, "invalid_request_error"),
}
_OWN_FAULT = (500, "server_error")
# Where the code says nothing, the type may.
_UNNAMED = {"invalid_request_error": (400, "invalid_request_error"), "rate_limit_error": (429, "rate_limit_error")}
_IMAGE_PREFIXES = ("invalid_image", "image_", "invalid_base64_image")

_FAILED = frozenset({"failed", "cancelled"})
_UNFINISHED = frozenset({"queued", "in_progress"})
# Reasons for which the chat endpoint itself cuts an answer.
_CUT = frozenset({"length", "content_filter"})


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer ended. `tool_calls` counts the calls that the client is to run.

    `losses` names what a chat client does not get, such as `output[1].web_search_call`. `error_code` is the
    upstream's, None where it named none.
    """

    outcome: Outcome
    finish_reason: str = ""
    tool_calls: int = 0
    losses: Sequence[str] = ()
    error_code: str | None = None


def ended(
    response: Response, output: Sequence[Raw], plan: StreamPlan | None = None, *, cut_after: int | None = None
) -> Ended:
    """Return how a response ended that has this output; `plan` is that of a chat answer, None for one as it came.

    `cut_after` says that a stop sequence cut the text, after so many calls. An answer that is still being worked on
    ended nothing yet: it counts as one that came, without a `finish_reason`.
    """
    code = None if response.error is None or response.error.code is None else str(response.error.code)
    if failed(response):
        return Ended(outcome="failed", error_code=code)
    is_cut = cut_after is not None
    calls = len(tool_call_ids(output)) if cut_after is None else cut_after
    functions = plan is not None and plan.functions
    reason = finish_reason(response, has_calls=calls > 0, functions=functions, stopped=is_cut)
    return Ended(
        outcome="incomplete" if response.status == "incomplete" and not is_cut else "ok",
        finish_reason="" if is_unfinished(response.status) else reason,
        tool_calls=calls,
        losses=() if plan is None else losses(output, plan),
        error_code=code,
    )


def ended_natively(reasons: Collection[str], tool_calls: int) -> Ended:
    """Return how an answer of the upstream's own chat endpoint ended; `reasons` are those of its choices."""
    is_cut = not _CUT.isdisjoint(reasons)
    return Ended(
        outcome="incomplete" if is_cut else "ok",
        finish_reason=next((reason for reason in reasons if reason), ""),
        tool_calls=tool_calls,
    )


def is_unfinished(status: str | None) -> bool:
    """Whether the upstream still works on a response of this status (docs/mapping.md#response-status)."""
    return status in _UNFINISHED


def failed(response: Response) -> bool:
    """Whether a response is an error to a chat client; some servers send no more than the error.

    See docs/mapping.md#response-status.
    """
    return response.status in _FAILED or (response.error is not None and not response.output)


def finish_reason(response: Response, *, has_calls: bool, functions: bool = False, stopped: bool = False) -> str:
    """Return the `finish_reason` of a response that did not fail (docs/mapping.md#finish-reasons).

    A text that a stop sequence cut was complete before the upstream then ran into a limit. A forced
    tool is no exception: agents look for `tool_calls`.
    """
    if response.status == "incomplete" and not stopped:
        reason = response.incomplete_details.reason if response.incomplete_details else None
        return _INCOMPLETE.get(reason or "", "length")
    if not has_calls:
        return "stop"
    return "function_call" if functions else "tool_calls"


def failure(
    error: UpstreamErrorBody, plan: StreamPlan | None = None, response: Response | None = None
) -> UpstreamFailed:
    """Return what a failure inside an answer means; with the plan, in terms of the client's own request.

    See docs/mapping.md#paths-in-errors.
    """
    code = None if error.code is None else str(error.code)
    status, usual_type = _FAILURES.get(code or "", _UNNAMED.get(error.type or "", _OWN_FAULT))
    if code is not None and code.startswith(_IMAGE_PREFIXES):
        status, usual_type = 400, "invalid_request_error"
    text, param = error.message or "The upstream failed to answer.", error.param
    if plan is not None:
        text, param = to_chat_text(text, plan), to_chat_param(param, plan)
    upstream_error = ErrorBody(message=text, type=error.type or usual_type, param=param, code=code)
    return UpstreamFailed(status, upstream_error, response)


def response_failure(response: Response, plan: StreamPlan | None = None) -> UpstreamFailed:
    """Return the error of a response whose status is `failed` or `cancelled`."""
    error = response.error or ResponseError()
    upstream_error = UpstreamErrorBody(message=error.message, type=error.type, param=error.param, code=error.code)
    return failure(upstream_error, plan, response)


def event_failure(event: ErrorEvent, plan: StreamPlan | None = None) -> UpstreamFailed:
    """Return the error of an `error` event in any of its shapes."""
    error = event.error
    if isinstance(error, str):
        error = UpstreamErrorBody(message=error)
    return failure(error or UpstreamErrorBody(message=event.message, param=event.param, code=event.code), plan)
