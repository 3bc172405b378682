"""One record per continuity decision, kept before the call that it was made for goes upstream.

Nothing here waits for anything, and nothing here can fail a request.
"""

import time

from libs.runtime import tracing
from libs.schemas.bus.convert import Converted, Refused
from libs.schemas.records import HandoffRecord, cut
from services.edge.records.calls import event_id
from services.edge.served import ServedRequest


def record_handoff(served: ServedRequest, converted: Converted | Refused, *, attempt: int, session: str) -> None:
    """Record how a request continues, or why it cannot; a refusal that is about another thing is no decision.

    `attempt` counts from 1 within a request, `session` is the client's hint.
    """
    continuity = converted.continuity
    if continuity is None:
        return
    record = HandoffRecord(
        event_id=event_id(served.request_id, str(attempt), "handoff"),
        ts=time.time_ns() // 1_000_000,
        tenant=served.tenant,
        request_id=served.request_id,
        trace_id=tracing.trace_id(served.exchange.traceparent),
        upstream=converted.upstream,
        model=cut(converted.model),
        mode=continuity.mode,
        reason=continuity.reason,
        matched=continuity.matched,
        new_items=continuity.new_items,
        conversation=cut(converted.conversation),
        session=cut(session),
    )
    served.edge.sink.close(record)
