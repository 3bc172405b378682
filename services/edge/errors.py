"""The ways in which a request of the edge's clients fails, each with the status and the body that they get."""

from libs.schemas.bus.convert import Refused
from libs.schemas.wire.errors import ErrorBody, UpstreamErrorBody
from libs.translate.errors import TranslationError

KEY_REFUSED = "upstream_key_refused"


class UpstreamUnreachable(TranslationError):
    """No connection, or one that broke before the answer began."""

    def __init__(self) -> None:
        super().__init__(
            502,
            ErrorBody(message="The upstream could not be reached.", type="server_error", code="upstream_unreachable"),
        )


class UpstreamTimeout(TranslationError):
    """No answer began in time."""

    def __init__(self) -> None:
        super().__init__(
            504,
            ErrorBody(message="The upstream did not answer in time.", type="server_error", code="upstream_timeout"),
        )


class UpstreamMalformed(TranslationError):
    """The answer cannot be read: it is no JSON, no Response object, or broke off."""

    def __init__(self) -> None:
        message = "The upstream's answer cannot be read."
        super().__init__(502, ErrorBody(message=message, type="server_error", code="upstream_malformed"))


class UpstreamTooLarge(TranslationError):
    """The answer, or one event of it, is longer than may be held in memory."""

    def __init__(self) -> None:
        message = "The upstream's answer is larger than Parley reads."
        super().__init__(502, ErrorBody(message=message, type="server_error", code="upstream_too_large"))


class UpstreamTruncated(TranslationError):
    """A stream ended without its terminal event; what came of it may not pass for whole.

    See docs/mapping.md#failures-in-a-stream.
    """

    def __init__(self) -> None:
        message = "The upstream closed the stream before the answer was complete."
        super().__init__(502, ErrorBody(message=message, type="server_error", code="upstream_stream_truncated"))


class UpstreamRefused(TranslationError):
    """The upstream answered with an error status; `headers` go to the client, `upstream_error` is what it said."""

    def __init__(
        self, status: int, error: ErrorBody, headers: dict[str, str], upstream_error: UpstreamErrorBody
    ) -> None:
        super().__init__(status, error)
        self.headers = headers
        self.upstream_error = upstream_error


class UpstreamKeyRefused(TranslationError):
    """The upstream refused Parley's own key."""

    def __init__(self) -> None:
        message = "The upstream refused the key of this deployment. Its operator must replace it."
        super().__init__(502, ErrorBody(message=message, type="server_error", code=KEY_REFUSED))


class StateUnavailable(TranslationError):
    """The state service does not answer, and the request is about what it holds."""

    def __init__(self) -> None:
        error = ErrorBody(
            message="Parley cannot reach its conversations at this moment. Try again shortly.",
            type="service_unavailable_error",
            code="state_unavailable",
        )
        super().__init__(503, error)


class Overloaded(TranslationError):
    """The cluster cannot convert a request at this moment; nothing was sent upstream."""

    def __init__(self) -> None:
        error = ErrorBody(
            message="Parley cannot take your request at this moment. Try again shortly.",
            type="service_unavailable_error",
            code="server_is_overloaded",
        )
        super().__init__(503, error)


class UpstreamUnknown(TranslationError):
    """The converter chose an upstream that is not in this edge's configuration: the two have not the same."""

    def __init__(self) -> None:
        error = ErrorBody(
            message="Parley's own services do not agree on its upstreams. Try again shortly.",
            type="service_unavailable_error",
            code="upstream_unknown",
        )
        super().__init__(503, error)


class ConversionRefused(TranslationError):
    """The converter refused the request, as `refused` says."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.status, refused.error)
        self.refused = refused
