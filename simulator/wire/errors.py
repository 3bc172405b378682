"""OpenAI's error envelope, and the failures a script can ask for by their status.

An `ApiError` is raised anywhere below an endpoint and becomes the answer in one place, `app`. What the simulator
refuses on its own account is in `rules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.wire.json import Json

INVALID_REQUEST = "invalid_request_error"


class ApiError(Exception):
    """An answer that is an error: an HTTP status and OpenAI's envelope (docs/mapping.md#the-envelope).

    `rule` is the name of the broken rule in `rules.book`, "" for a failure that a script asked for.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = INVALID_REQUEST,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        rule: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.param = param
        self.code = code
        self.headers = dict(headers or {})
        self.rule = rule

    def fields(self) -> Json:
        """What stands under `error`: all four keys, always."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def body(self) -> Json:
        return {"error": self.fields()}


@dataclass(frozen=True)
class HttpFailure:
    """How one status looks when a script asks for it (docs/mapping.md#statuses-and-retries)."""

    type: str
    code: str | None
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


_EXHAUSTED = {
    "retry-after": "1",
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "1s",
}
HTTP_FAILURES: dict[int, HttpFailure] = {
    400: HttpFailure(INVALID_REQUEST, "invalid_prompt", "The prompt was refused."),
    401: HttpFailure(INVALID_REQUEST, "invalid_api_key", "Incorrect API key provided."),
    403: HttpFailure(INVALID_REQUEST, "unsupported_country_region_territory", "Country, region or territory refused."),
    404: HttpFailure(INVALID_REQUEST, "model_not_found", "The model does not exist."),
    408: HttpFailure("server_error", None, "The request took too long to arrive."),
    409: HttpFailure(INVALID_REQUEST, "conflict", "The resource is being changed by another request."),
    413: HttpFailure(INVALID_REQUEST, "request_too_large", "The request body is too large."),
    429: HttpFailure("requests", "rate_limit_exceeded", "Rate limit reached for requests.", _EXHAUSTED),
    500: HttpFailure("server_error", "server_error", "The server had an error while processing your request."),
    502: HttpFailure("server_error", None, "Bad gateway."),
    503: HttpFailure("service_unavailable_error", "server_is_overloaded", "The server is overloaded. Try again later."),
    504: HttpFailure("server_error", None, "The server did not answer in time."),
}


def scripted(status: int, code: str | None, message: str | None) -> ApiError:
    """The error a script asked for; a status without its own row looks like a 500."""
    failure = HTTP_FAILURES.get(status, HTTP_FAILURES[500])
    return ApiError(
        message or failure.message,
        status=status,
        type=failure.type,
        code=code or failure.code,
        headers=failure.headers,
    )
