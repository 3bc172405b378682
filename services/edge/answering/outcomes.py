"""How a call that ended with no answer is recorded; how an answer ended says `libs/translate/answer/finish.py`."""

from libs.schemas.records import Outcome
from libs.schemas.wire.output import Response
from libs.translate.answer.chain_check import NotChained
from libs.translate.errors import AnswerUnusable, TranslationError
from services.edge.http.exchange import Abort, Exchange
from services.edge.records.calls import Call

_BY_CODE: dict[str, Outcome] = {
    "upstream_unreachable": "unreachable",
    "upstream_timeout": "timeout",
    "upstream_stream_truncated": "truncated",
}
_BY_ABORT: dict[Abort, Outcome] = {
    "client_gone": "cancelled",
    "reader_stalled": "cancelled",
    "shutdown": "cancelled",
    "upstream_idle": "timeout",
    "unmarked": "failed",
}


def end_failed(
    record: Call, error: TranslationError, response: Response | None = None, *, refused: bool = False
) -> None:
    """Close the record of a call that ended with `error`; `response` is what is known of its answer.

    `refused` says that the upstream could not serve the request as it was, whatever its status.
    """
    unusable = isinstance(error, AnswerUnusable)
    outcome = _BY_CODE.get(error.error.code or "")
    if outcome is None:
        failed = (unusable or error.status >= 500) and not isinstance(error, NotChained)
        outcome = "failed" if failed and not refused else "refused"
    record.end(outcome, status=200 if unusable else error.status, error_code=error.error.code, response=response)


def end_cancelled(record: Call, exchange: Exchange) -> None:
    """Close the record of a call whose request was aborted, or whose task was cancelled."""
    record.end(_BY_ABORT[exchange.aborted] if exchange.aborted else "cancelled", status=0)
