"""How a call that ended with no answer is recorded."""

import pytest

from libs.schemas.wire.errors import ErrorBody
from libs.schemas.wire.output import Response, ResponseUsage
from libs.translate.answer.chain_check import NotChained
from libs.translate.errors import AnswerUnusable, InvalidRequest, TranslationError
from services.edge.answering import outcomes
from services.edge.errors import UpstreamTooLarge, UpstreamTruncated
from services.edge.http.exchange import Abort
from services.edge.records.calls import Call, begin
from services.edge.served import ServedRequest
from tests.unit.services.edge.fakes import Client, Stage

PAID = Response(id="resp_1", model="m-1", usage=ResponseUsage(input_tokens=3, output_tokens=2, total_tokens=5))


def error(status: int, code: str | None) -> TranslationError:
    return TranslationError(status, ErrorBody(message="No.", code=code))


def recorded(stage: Stage) -> tuple[str, int, str]:
    [record] = stage.sink.closed
    return record.outcome, record.http_status, record.error_code


def opened(served: ServedRequest) -> Call:
    return begin(
        served, surface="chat", attempt=1, model_requested="m", upstream="one", streamed=False, request_bytes=1
    )


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (error(502, "upstream_unreachable"), ("unreachable", 502, "upstream_unreachable")),
        (error(504, "upstream_timeout"), ("timeout", 504, "upstream_timeout")),
        (UpstreamTruncated(), ("truncated", 502, "upstream_stream_truncated")),
        (UpstreamTooLarge(), ("failed", 502, "upstream_too_large")),
        (error(500, None), ("failed", 500, "")),
        (error(499, None), ("refused", 499, "")),
        (error(429, "slow"), ("refused", 429, "slow")),
        (InvalidRequest("Bad.", "model"), ("refused", 400, "")),
        (AnswerUnusable(429, ErrorBody(message="No.", code="quota")), ("failed", 200, "quota")),
        (NotChained(PAID, "resp_0", delta=False), ("refused", 200, "upstream_not_chained")),
        (NotChained(PAID, "resp_0", delta=True), ("refused", 200, "previous_response_not_found")),
    ],
)
async def test_error_says_how_the_call_ended(failure: TranslationError, expected: tuple[str, int, str]) -> None:
    stage = Stage({})
    record = opened(stage.served())
    outcomes.end_failed(record, failure)
    assert recorded(stage) == expected


async def test_what_an_upstream_could_not_serve_as_it_was_is_refused_whatever_its_status() -> None:
    for failure, outcome in ((error(500, None), "refused"), (error(504, "upstream_timeout"), "timeout")):
        stage = Stage({})
        record = opened(stage.served())
        outcomes.end_failed(record, failure, refused=True)
        assert recorded(stage)[0] == outcome


async def test_answer_that_was_paid_for_is_recorded_with_its_tokens() -> None:
    stage = Stage({})
    record = opened(stage.served())
    outcomes.end_failed(record, AnswerUnusable(502, ErrorBody(message="No."), PAID), PAID)
    [closed] = stage.sink.closed
    assert (closed.response_id, closed.model, closed.output_tokens) == ("resp_1", "m-1", 2)


@pytest.mark.parametrize(
    ("abort", "outcome"),
    [
        (None, "cancelled"),
        ("client_gone", "cancelled"),
        ("reader_stalled", "cancelled"),
        ("shutdown", "cancelled"),
        ("upstream_idle", "timeout"),
        ("unmarked", "failed"),
    ],
)
async def test_reason_of_an_abort_says_how_the_call_ended(abort: Abort | None, outcome: str) -> None:
    stage = Stage({})
    served = stage.served(Client("POST", "/").exchange())
    record = opened(served)
    if abort is not None:
        served.exchange.aborted = abort
    outcomes.end_cancelled(record, served.exchange)
    assert recorded(stage) == (outcome, 0, "")
