"""Trace context goes through, with or without a collector."""

import pytest

from libs.runtime import tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_well_formed_header_is_accepted() -> None:
    assert tracing.accept(PARENT) == PARENT


@pytest.mark.parametrize("header", [None, "", "nonsense", PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32)])
def test_anything_else_is_not(header: str | None) -> None:
    assert tracing.accept(header) == ""


def test_new_context_is_well_formed_and_its_own() -> None:
    assert tracing.accept(tracing.new())
    assert tracing.trace_id(tracing.new()) != tracing.trace_id(tracing.new())


def test_trace_id_survives_a_span_without_a_collector() -> None:
    with tracing.span("work", PARENT):
        assert tracing.trace_id(tracing.current("")) == tracing.trace_id(PARENT)


def test_current_falls_back_where_there_is_no_span() -> None:
    assert tracing.current("fallback") == "fallback"
