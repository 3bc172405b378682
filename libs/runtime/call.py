"""What travels beside a request on the bus, as a Struct and as NATS headers."""

import msgspec

from libs.runtime import tracing
from libs.schemas.subjects import DEADLINE_HEADER, REQUEST_ID_HEADER, TENANT_HEADER, TRACEPARENT_HEADER


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What travels beside a request: whose it is, until when it counts, which trace it belongs to.

    `deadline` in Unix milliseconds; 0 means the subject's own time-out alone.
    """

    tenant: str = ""
    request_id: str = ""
    traceparent: str = ""
    deadline: int = 0


def to_headers(call: Call, deadline: int) -> dict[str, str]:
    """Return the headers of one try of a request; `deadline`, in Unix milliseconds, is that of the try."""
    headers = {DEADLINE_HEADER: str(deadline), TENANT_HEADER: call.tenant, REQUEST_ID_HEADER: call.request_id}
    traceparent = tracing.current(call.traceparent)
    if traceparent:
        headers[TRACEPARENT_HEADER] = traceparent
    return headers


def from_headers(headers: dict[str, str]) -> Call:
    """Return what the headers of a request say; what they do not say is empty."""
    deadline = headers.get(DEADLINE_HEADER, "")
    return Call(
        tenant=headers.get(TENANT_HEADER, ""),
        request_id=headers.get(REQUEST_ID_HEADER, ""),
        traceparent=headers.get(TRACEPARENT_HEADER, ""),
        deadline=int(deadline) if deadline.isdigit() else 0,
    )
