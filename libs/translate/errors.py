"""The two ways a translation ends early, each with the status and body the client gets."""

from libs.schemas.errors import ErrorBody


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


class UpstreamFailed(TranslationError):
    """The upstream reported a failure inside an answer (translation reference G.3)."""
