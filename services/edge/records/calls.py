"""One record per model call: opened in the spool when the upstream call starts, closed at its end.

A call that is never closed is found at the next start and becomes `lost`. Nothing here waits for
anything, and nothing here can fail a request.
"""

import time
from hashlib import blake2b
from uuid import UUID

import msgspec

from libs.runtime import metrics, tracing
from libs.runtime.logs import Log
from libs.schemas.records import CallRecord, Outcome, Surface, cut
from libs.schemas.wire.output import Response, ResponseUsage
from libs.translate.answer.finish import Ended
from services.edge.edge import RecordSink
from services.edge.http.exchange import Exchange
from services.edge.served import ServedRequest

log = Log("parley.edge")


class Call:
    """The record of one call in the making. `end` counts once; later ones change nothing."""

    def __init__(self, sink: RecordSink, exchange: Exchange, record: CallRecord) -> None:
        self._sink = sink
        self._exchange = exchange
        self._record = record
        self._ttft_ms: float | None = None
        self._ended = False
        sink.open(record)

    def first_output(self) -> None:
        """The first byte of the answer goes out."""
        if self._ttft_ms is None:
            self._ttft_ms = self._exchange.milliseconds()
            metrics.FIRST_OUTPUT_SECONDS.labels(self._record.surface).observe(self._ttft_ms / 1000)

    @property
    def has_output(self) -> bool:
        """Whether something of the answer has come for the client."""
        return self._ttft_ms is not None

    def identify(self, response: Response) -> None:
        """The upstream has named the response: what is known even if no end ever comes."""
        if not self._record.response_id and not self._ended:
            self._record = msgspec.structs.replace(
                self._record, response_id=cut(response.id), model=cut(response.model)
            )

    def answered(self, how: Ended, response: Response) -> None:
        """Close the record of a call that was answered."""
        self.end(
            how.outcome,
            error_code=how.error_code,
            response=response,
            finish_reason=how.finish_reason,
            tool_calls=how.tool_calls,
        )

    def end(
        self,
        outcome: Outcome,
        *,
        status: int = 200,
        error_code: str | None = None,
        response: Response | None = None,
        finish_reason: str = "",
        tool_calls: int = 0,
    ) -> None:
        """Close the record with what is known of the answer; `status` is the upstream's."""
        if self._ended:
            return
        self._ended = True
        usage = (response.usage if response is not None else None) or ResponseUsage()
        given, made = usage.input_tokens_details, usage.output_tokens_details
        duration = self._exchange.milliseconds()
        record = msgspec.structs.replace(
            self._record,
            model=cut(response.model) if response is not None else self._record.model,
            outcome=outcome,
            http_status=status,
            error_code=cut(error_code or ""),
            finish_reason=cut(finish_reason),
            response_id=cut(response.id) if response is not None else self._record.response_id,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=(given.cached_tokens if given else None) or 0,
            reasoning_tokens=(made.reasoning_tokens if made else None) or 0,
            ttft_ms=self._ttft_ms,
            duration_ms=duration,
            tool_calls=tool_calls,
            response_bytes=self._exchange.sent_bytes,
        )
        self._sink.close(record)
        _count(record)


def event_id(*parts: str) -> str:
    """Return the id of a record, always the same for what tells it from all others."""
    return str(UUID(bytes=blake2b("/".join(parts).encode(), digest_size=16).digest()))


def begin(
    served: ServedRequest,
    *,
    surface: Surface,
    attempt: int,
    model_requested: str,
    upstream: str,
    streamed: bool,
    request_bytes: int,
    previous_response_id: str | None = None,
    conversation: str | None = None,
) -> Call:
    """Open the record of a call that is about to go upstream; `attempt` counts from 1 within a request."""
    exchange = served.exchange
    record = CallRecord(
        event_id=event_id(exchange.request_id, str(attempt)),
        ts=time.time_ns() // 1_000_000,
        tenant=served.tenant,
        surface=surface,
        model_requested=cut(model_requested),
        upstream=upstream,
        streamed=streamed,
        outcome="lost",
        request_id=exchange.request_id,
        trace_id=tracing.trace_id(exchange.traceparent),
        previous_response_id=cut(previous_response_id or ""),
        conversation=cut(conversation or ""),
        request_bytes=request_bytes,
    )
    return Call(served.edge.sink, exchange, record)


def _count(record: CallRecord) -> None:
    metrics.CALL_OUTCOMES.labels(record.surface, record.outcome).inc()
    metrics.CALL_SECONDS.labels(record.surface).observe(record.duration_ms / 1000)
    for kind in ("input", "output", "cached", "reasoning"):
        metrics.TOKENS.labels(kind).inc(getattr(record, f"{kind}_tokens"))
    log.info(
        "call",
        request_id=record.request_id,
        trace_id=record.trace_id,
        surface=record.surface,
        upstream=record.upstream,
        model=record.model or record.model_requested,
        outcome=record.outcome,
        status=record.http_status,
        code=record.error_code,
        ttft_ms=record.ttft_ms and round(record.ttft_ms, 1),
        duration_ms=round(record.duration_ms, 1),
    )
