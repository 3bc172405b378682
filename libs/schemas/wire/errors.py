"""OpenAI's error envelope, the same on both APIs (docs/mapping.md#the-envelope)."""

import msgspec
from msgspec import UNSET, UnsetType


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What stands under `error`; all four keys are always sent."""

    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None


class ErrorEnvelope(msgspec.Struct, frozen=True):
    """A whole error answer, or the data of one error frame in a stream.

    In a frame, where no header can follow, `upstream_error` is what the upstream really said, base64url.
    """

    error: ErrorBody
    upstream_error: str | UnsetType = msgspec.field(name="x-parley-upstream-error", default=UNSET)


class UpstreamErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """`error` as upstreams send it: keys may lack, and `code` may be a number."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class UpstreamErrorEnvelope(msgspec.Struct, frozen=True):
    """An upstream's error answer; `error` itself may be a bare string on compatible servers."""

    error: UpstreamErrorBody | str
