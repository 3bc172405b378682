"""W3C trace context through every hop, and spans where an OTLP endpoint is configured.

Without one no span is recorded, but each request still has a trace id, which its records and log
lines share.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
_TRACER = trace.get_tracer("parley")
_HEADER = "traceparent"


def setup(service: str, environ: Mapping[str, str]) -> None:
    """Record and export spans when `OTEL_EXPORTER_OTLP_ENDPOINT` is set; do nothing otherwise."""
    if not environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    # Imported here: the exporter takes 100 ms to load, and most local runs have no collector.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"parley-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def span(name: str, traceparent: str, kind: SpanKind = SpanKind.INTERNAL) -> AbstractContextManager[Span]:
    """Start a span below `traceparent`, and make it the current one."""
    parent: Context = _PROPAGATOR.extract({_HEADER: traceparent})
    return _TRACER.start_as_current_span(name, context=parent, kind=kind)


def current(otherwise: str) -> str:
    """Return the current span's `traceparent`, or `otherwise` where no span is recorded."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get(_HEADER, otherwise)


def accept(header: str | None) -> str:
    """Return a caller's `traceparent` if it is well-formed, else an empty string."""
    if header is None:
        return ""
    context = trace.get_current_span(_PROPAGATOR.extract({_HEADER: header})).get_span_context()
    return header if context.is_valid else ""


def new() -> str:
    """Return a fresh, unsampled `traceparent`: its trace id ties records and log lines together."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00"


def trace_id(traceparent: str) -> str:
    """Return the 32 hex digits that name the trace."""
    return traceparent[3:35]
