"""What travels beside a request on the bus, as a Struct and as NATS headers."""

import msgspec

from libs.runtime import tracing
from libs.schemas.subjects import REMAINING_HEADER, REQUEST_ID_HEADER, TENANT_HEADER, TRACEPARENT_HEADER

_MAX_DIGITS = 9


class BusContext(msgspec.Struct, frozen=True, kw_only=True):
    """What travels beside a request: whose it is, until when it counts, which trace it belongs to.

    `deadline` in seconds of this process's monotonic clock; None means the subject's own time-out alone.
    """

    tenant: str = ""
    request_id: str = ""
    traceparent: str = ""
    deadline: float | None = None


def to_headers(context: BusContext, remaining_seconds: float) -> dict[str, str]:
    """Return the headers of one try of a request that the caller waits for so long."""
    remaining = str(max(int(remaining_seconds * 1000), 1))
    headers = {REMAINING_HEADER: remaining, TENANT_HEADER: context.tenant, REQUEST_ID_HEADER: context.request_id}
    traceparent = tracing.current(context.traceparent)
    if traceparent:
        headers[TRACEPARENT_HEADER] = traceparent
    return headers


def from_headers(headers: dict[str, str], read_at: float, timeout_seconds: float) -> BusContext:
    """Return what the headers of a request say that was read at `read_at`; what they do not say is empty.

    Nobody waits longer than the `timeout_seconds` of the subject, whatever the headers say.
    """
    given = headers.get(REMAINING_HEADER, "")
    readable = given.isascii() and given.isdigit() and len(given) <= _MAX_DIGITS
    remaining = min(int(given) / 1000, timeout_seconds) if readable else timeout_seconds
    return BusContext(
        tenant=headers.get(TENANT_HEADER, ""),
        request_id=headers.get(REQUEST_ID_HEADER, ""),
        traceparent=headers.get(TRACEPARENT_HEADER, ""),
        deadline=read_at + remaining,
    )
