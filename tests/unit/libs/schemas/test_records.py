"""What follows from the declaration of a record type; what others rely on across releases is pinned."""

import msgspec
import pytest

from libs.schemas.records import (
    RECORD_DECODER,
    RECORD_ENCODER,
    RECORD_TYPES,
    CallRecord,
    HandoffRecord,
    Record,
    columns,
    kind,
    subject,
    table,
)
from libs.schemas.subjects import RECORDS

HANDOFF = HandoffRecord(
    event_id="h", ts=1, tenant="t", request_id="r", upstream="u", model="m", mode="chain", reason="matched"
)


def test_what_releases_beside_each_other_agree_on_stays_as_it_is() -> None:
    assert {kind(one): (one, subject(kind(one)), table(one)) for one in RECORD_TYPES} == {
        "call": (CallRecord, "parley.records.call", "calls"),
        "handoff": (HandoffRecord, "parley.records.handoff", "handoffs"),
    }
    assert RECORD_ENCODER.encode(HANDOFF).startswith(b'{"kind":"handoff",')
    assert RECORD_DECODER.decode(RECORD_ENCODER.encode(HANDOFF)) == HANDOFF


@pytest.mark.parametrize("record_type", RECORD_TYPES)
def test_records_of_each_type_reach_their_stream(record_type: type[Record]) -> None:
    (kept,) = RECORDS.subjects
    assert kept.endswith(".>") and subject(kind(record_type)).startswith(kept.removesuffix(">"))


@pytest.mark.parametrize("record_type", RECORD_TYPES)
def test_a_field_that_may_be_left_out_is_empty(record_type: type[Record]) -> None:
    """A table gives a column that an older release does not fill its type's own default."""
    for field in msgspec.structs.fields(record_type):
        assert field.default is msgspec.NODEFAULT or not field.default, field.name


def test_a_field_without_a_column_is_refused() -> None:
    odd = msgspec.defstruct("Odd", [("name", str)])
    with pytest.raises(TypeError, match="Odd.name names no column"):
        columns(odd)
