"""What the edge keeps of a model call and of the decision before it."""

import logging
from typing import Any

import msgspec
import pytest

from libs.runtime import logs
from libs.schemas.bus.convert import Converted
from libs.schemas.plan import Continuity
from libs.schemas.records import MAX_TEXT_CHARACTERS, RECORD_ENCODER, CallRecord, HandoffRecord, Record
from libs.schemas.wire.output import Response
from services.edge.http.exchange import Exchange
from services.edge.records import calls, handoffs
from services.edge.tenants import Caller

CALLER = Caller("tenant", "bearer", {})
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Sink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.opened: list[CallRecord] = []
        self.closed: list[Record] = []

    def open(self, record: CallRecord) -> None:
        self.opened.append(record)

    def close(self, record: Record) -> None:
        self.closed.append(record)


async def nothing(*_: Any) -> Any:
    raise AssertionError("nothing is read or sent")


@pytest.fixture
async def exchange() -> Exchange:
    headers = [(b"traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())]
    return Exchange({"type": "http", "headers": headers}, nothing, nothing, "chat")


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


def begun(sink: Sink, exchange: Exchange, attempt: int) -> CallRecord:
    calls.begin(
        sink,
        exchange,
        CALLER,
        surface="chat",
        attempt=attempt,
        model_requested="gpt",
        upstream="openai",
        streamed=False,
        request_bytes=1,
        conversation=converted().conversation,
    )
    return sink.opened[-1]


def told(sink: Sink, exchange: Exchange, attempt: int, **changes: Any) -> HandoffRecord:
    handoffs.tell(sink, exchange, CALLER, converted(**changes), attempt=attempt, session="ses")
    record = sink.closed[-1]
    assert isinstance(record, HandoffRecord)
    return record


async def test_a_handoff_tells_the_decision_and_is_closed_at_once(exchange: Exchange) -> None:
    sink = Sink()
    record = told(sink, exchange, 1)
    assert (sink.opened, len(sink.closed)) == ([], 1)
    assert msgspec.structs.replace(record, event_id="", ts=0) == HandoffRecord(
        event_id="",
        ts=0,
        tenant="tenant",
        request_id=exchange.request_id,
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


async def test_ids_depend_on_request_attempt_and_kind_alone(exchange: Exchange) -> None:
    sink = Sink()
    ids = [record(sink, exchange, attempt).event_id for record in (begun, told) for attempt in (1, 2)]
    assert len(set(ids)) == 4
    assert told(sink, exchange, 2, model="other").event_id == ids[-1]


@pytest.mark.parametrize("name", ["my talk", "pc_0123", ""])
async def test_a_handoff_joins_its_call(exchange: Exchange, name: str) -> None:
    sink = Sink()
    call, handoff = begun(sink, exchange, 1), told(sink, exchange, 1)
    for field in ("tenant", "request_id", "trace_id", "upstream", "conversation"):
        assert getattr(call, field) == getattr(handoff, field)


async def test_what_others_chose_is_cut_in_records_and_lines(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each text that a client or an upstream chooses; a record of megabytes would never reach the stream."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logs.setup("edge")
    sink, long = Sink(), "\x01" * 7_000_000
    fields: dict[str, Any] = {"model_requested": long, "previous_response_id": long, "conversation": long}
    call = calls.begin(
        sink, exchange, CALLER, surface="chat", attempt=1, upstream="u", streamed=True, request_bytes=1, **fields
    )
    call.identify(Response(id=long, model=long))
    call.end("failed", error_code=long, finish_reason=long, response=Response(id=long, model=long))
    told(sink, exchange, 1, model=long, conversation=long)
    handoffs.tell(sink, exchange, CALLER, converted(), attempt=2, session=long)
    for record in (*sink.opened, *sink.closed):
        assert len(RECORD_ENCODER.encode(record)) < 16_000
        assert all(
            len(text) <= MAX_TEXT_CHARACTERS for text in msgspec.structs.astuple(record) if isinstance(text, str)
        )
    logs.Log("parley.edge").info("refused", code=long, param=long)
    assert all(len(line) < 16_000 for line in capsys.readouterr().err.splitlines())
