from typing import Any

import msgspec

from libs.schemas.wire.output import ResponseUsage
from libs.translate.answer.usage import sum_usage, to_completion_usage

TOTALS = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}


def _usage(**fields: Any) -> Any:
    return msgspec.to_builtins(to_completion_usage(msgspec.convert({**TOTALS, **fields}, ResponseUsage)))


def test_totals_take_their_chat_names() -> None:
    usage = _usage()
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (10, 4, 14)


def test_details_take_their_chat_names() -> None:
    usage = _usage(
        input_tokens_details={"cached_tokens": 8, "cache_write_tokens": 2},
        output_tokens_details={"reasoning_tokens": 3},
    )
    assert usage["prompt_tokens_details"] == {"cached_tokens": 8, "cache_write_tokens": 2, "audio_tokens": 0}
    assert usage["completion_tokens_details"] == {
        "reasoning_tokens": 3,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }


def test_details_that_lack_count_nothing() -> None:
    for fields in ({}, {"input_tokens_details": None, "output_tokens_details": {"reasoning_tokens": None}}):
        usage = _usage(**fields)
        assert usage["prompt_tokens_details"]["cached_tokens"] == 0
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 0
        assert "cache_write_tokens" not in usage["prompt_tokens_details"]


def _several(*answers: dict[str, Any]) -> Any:
    usages = [to_completion_usage(msgspec.convert({**TOTALS, **answer}, ResponseUsage)) for answer in answers]
    return msgspec.to_builtins(sum_usage(usages))


def test_several_answers_cost_what_all_of_them_cost() -> None:
    usage = _several(
        {
            "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 2},
            "output_tokens_details": {"reasoning_tokens": 3},
        },
        {"input_tokens_details": {"cached_tokens": 1}, "output_tokens_details": {"reasoning_tokens": 1}},
    )
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (20, 8, 28)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 9
    assert usage["prompt_tokens_details"]["cache_write_tokens"] == 2
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 4


def test_what_none_of_several_answers_counted_is_not_there() -> None:
    usage = _several({}, {"input_tokens_details": {"cached_tokens": 1}})
    assert "cache_write_tokens" not in usage["prompt_tokens_details"]
