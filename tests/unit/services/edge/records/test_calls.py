"""What the edge keeps of a model call and of the decision before it."""

import logging
from typing import Any

import msgspec
import pytest

from libs.runtime import logs
from libs.schemas.bus.convert import Converted
from libs.schemas.plan import Continuity
from libs.schemas.records import MAX_TEXT_CHARACTERS, RECORD_ENCODER, CallRecord, HandoffRecord
from libs.schemas.wire.output import Response
from services.edge.records import calls, handoffs
from services.edge.served import ServedRequest
from tests.unit.services.edge.fakes import CALLER, Client, Sink, Stage

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def stage() -> Stage:
    return Stage({})


@pytest.fixture
async def served(stage: Stage) -> ServedRequest:
    return stage.served(Client("POST", "/", traceparent=f"00-{TRACE}-b7ad6b7169203331-01").exchange())


@pytest.fixture
def sink(stage: Stage) -> Sink:
    return stage.sink


def converted(**changes: Any) -> Converted:
    """A Converted of which only what a handoff tells is filled in: the plan has no part in it."""
    fields: dict[str, Any] = {
        "upstream": "openai",
        "model": "gpt",
        "body": b"",
        "plan": None,
        "continuity": Continuity(mode="chain", reason="matched", matched=3, new_items=2),
        "conversation": "my talk",
    }
    return Converted(**{**fields, **changes})


def begun(sink: Sink, served: ServedRequest, attempt: int) -> CallRecord:
    calls.begin(
        served,
        surface="chat",
        attempt=attempt,
        model_requested="gpt",
        upstream="openai",
        streamed=False,
        request_bytes=1,
        conversation=converted().conversation,
    )
    return sink.opened[-1]


def told(sink: Sink, served: ServedRequest, attempt: int, **changes: Any) -> HandoffRecord:
    handoffs.record_handoff(served, converted(**changes), attempt=attempt, session="ses")
    record = sink.closed[-1]
    assert isinstance(record, HandoffRecord)
    return record


async def test_a_handoff_tells_the_decision_and_is_closed_at_once(sink: Sink, served: ServedRequest) -> None:
    record = told(sink, served, 1)
    assert (sink.opened, len(sink.closed)) == ([], 1)
    assert msgspec.structs.replace(record, event_id="", ts=0) == HandoffRecord(
        event_id="",
        ts=0,
        tenant=CALLER.tenant,
        request_id=served.request_id,
        trace_id=TRACE,
        upstream="openai",
        model="gpt",
        mode="chain",
        reason="matched",
        matched=3,
        new_items=2,
        conversation="my talk",
        session="ses",
    )


async def test_ids_depend_on_request_attempt_and_kind_alone(sink: Sink, served: ServedRequest) -> None:
    ids = [record(sink, served, attempt).event_id for record in (begun, told) for attempt in (1, 2)]
    assert len(set(ids)) == 4
    assert told(sink, served, 2, model="other").event_id == ids[-1]


@pytest.mark.parametrize("name", ["my talk", "pc_0123", ""])
async def test_a_handoff_joins_its_call(sink: Sink, served: ServedRequest, name: str) -> None:
    call, handoff = begun(sink, served, 1), told(sink, served, 1)
    for field in ("tenant", "request_id", "trace_id", "upstream", "conversation"):
        assert getattr(call, field) == getattr(handoff, field)


async def test_what_others_chose_is_cut_in_records_and_lines(
    sink: Sink, served: ServedRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each text that a client or an upstream chooses; a record of megabytes would never reach the stream."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logs.setup("edge")
    long = "\x01" * 7_000_000
    fields: dict[str, Any] = {"model_requested": long, "previous_response_id": long, "conversation": long}
    call = calls.begin(served, surface="chat", attempt=1, upstream="u", streamed=True, request_bytes=1, **fields)
    call.identify(Response(id=long, model=long))
    call.end("failed", error_code=long, finish_reason=long, response=Response(id=long, model=long))
    told(sink, served, 1, model=long, conversation=long)
    handoffs.record_handoff(served, converted(), attempt=2, session=long)
    for record in (*sink.opened, *sink.closed):
        assert len(RECORD_ENCODER.encode(record)) < 16_000
        assert all(
            len(text) <= MAX_TEXT_CHARACTERS for text in msgspec.structs.astuple(record) if isinstance(text, str)
        )
    logs.Log("parley.edge").info("refused", code=long, param=long)
    assert all(len(line) < 16_000 for line in capsys.readouterr().err.splitlines())
