"""What travels beside a request on the bus, as a Struct and as NATS headers."""

import msgspec

from libs.runtime import tracing
from libs.schemas.subjects import REMAINING_HEADER, REQUEST_ID_HEADER, TENANT_HEADER, TRACEPARENT_HEADER

_MAX_DIGITS = 9


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What travels beside a request: whose it is, until when it counts, which trace it belongs to.

    `deadline` in seconds of this process's monotonic clock; None means the subject's own time-out alone.
    """

    tenant: str = ""
    request_id: str = ""
    traceparent: str = ""
    deadline: float | None = None


def to_headers(call: Call, remaining_seconds: float) -> dict[str, str]:
    """Return the headers of one try of a request that the caller waits for so long."""
    remaining = str(max(int(remaining_seconds * 1000), 1))
    headers = {REMAINING_HEADER: remaining, TENANT_HEADER: call.tenant, REQUEST_ID_HEADER: call.request_id}
    traceparent = tracing.current(call.traceparent)
    if traceparent:
        headers[TRACEPARENT_HEADER] = traceparent
    return headers


def from_headers(headers: dict[str, str], read_at: float, timeout_seconds: float) -> Call:
    """Return what the headers of a request say that was read at `read_at`; what they do not say is empty.

    Nobody waits longer than the `timeout_seconds` of the subject, whatever the headers say.
    """
    told = headers.get(REMAINING_HEADER, "")
    readable = told.isascii() and told.isdigit() and len(told) <= _MAX_DIGITS
    remaining = min(int(told) / 1000, timeout_seconds) if readable else timeout_seconds
    return Call(
        tenant=headers.get(TENANT_HEADER, ""),
        request_id=headers.get(REQUEST_ID_HEADER, ""),
        traceparent=headers.get(TRACEPARENT_HEADER, ""),
        deadline=read_at + remaining,
    )
