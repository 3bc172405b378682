"""OpenAI's error envelope and the errors the API answers with, each by its own name.

An `ApiError` is raised anywhere below an endpoint and becomes the answer in one place, `app`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deploy.local.simulator.wire import Json

INVALID_REQUEST = "invalid_request_error"


class ApiError(Exception):
    """An answer that is an error: an HTTP status and OpenAI's envelope (translation reference G.1)."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = INVALID_REQUEST,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def fields(self) -> Json:
        """What stands under `error`: all four keys, always."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def body(self) -> Json:
        return {"error": self.fields()}


def bad_json() -> ApiError:
    return ApiError("We could not parse the JSON body of your request. The body must be one JSON object.")


def missing_key() -> ApiError:
    return ApiError("Missing bearer authentication in header", status=401, code="invalid_api_key")


def wrong_key(key: str) -> ApiError:
    shown = key[:3] + "*" * 8
    return ApiError(f"Incorrect API key provided: {shown}.", status=401, code="invalid_api_key")


def invalid_url(method: str, path: str) -> ApiError:
    return ApiError(f"Invalid URL ({method} {path})", status=404)


def unknown_parameter(param: str) -> ApiError:
    return ApiError(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")


def missing_parameter(param: str) -> ApiError:
    return ApiError(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def invalid_type(param: str, expected: str, got: str) -> ApiError:
    message = f"Invalid type for '{param}': expected {expected}, but got {got} instead."
    return ApiError(message, param=param, code="invalid_type")


def invalid_value(param: str, value: object, supported: Iterable[str]) -> ApiError:
    *first, last = (f"'{name}'" for name in supported)
    names = f"{', '.join(first)}{',' if len(first) > 1 else ''} and {last}" if first else last
    message = f"Invalid value: '{value}'. Supported values are: {names}."
    return ApiError(message, param=param, code="invalid_value")


def out_of_range(param: str, kind: str, side: str, sign: str, bound: float, got: float) -> ApiError:
    """`kind` is integer or decimal, `side` is below_min or above_max."""
    words = {"below_min": "below minimum", "above_max": "above maximum"}[side]
    message = f"Invalid '{param}': {kind} {words} value. Expected a value {sign} {bound}, but got {got} instead."
    return ApiError(message, param=param, code=f"{kind}_{side}_value")


def string_too_long(param: str, limit: int, length: int) -> ApiError:
    message = (
        f"Invalid '{param}': string too long. Expected a string with maximum length {limit}, "
        f"but got a string with length {length} instead."
    )
    return ApiError(message, param=param, code="string_above_max_length")


def model_not_found(model: str) -> ApiError:
    message = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError(message, status=404, code="model_not_found")


def previous_response_not_found(response_id: str) -> ApiError:
    """Unknown, deleted, unstored and foreign ids are one and the same to the caller (translation reference E)."""
    return ApiError(
        f"Previous response with id '{response_id}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def not_found(kind: str, id: str) -> ApiError:
    return ApiError(f"{kind} with id '{id}' not found.", status=404)


@dataclass(frozen=True)
class HttpFailure:
    """How one status looks when a script asks for it (translation reference G.2)."""

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
