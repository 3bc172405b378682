import json
from typing import Any

import msgspec
import pytest

from libs.schemas.events import StreamEvent
from libs.schemas.output import RESPONSE_DECODER
from libs.schemas.plan import StreamPlan
from libs.translate.completion import to_completion
from libs.translate.errors import UpstreamFailed
from libs.translate.fanout import FanOut, merge_completions
from tests.support.answers import Json, added, completed, created, event, failed, message, response, text

USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, "output_tokens_details": {"reasoning_tokens": 1}}
RESULT = {"type": "moderation_result", "model": "m", "flagged": False}
PLAN = StreamPlan(stream=True, choices=2, include_usage=True)


def _feed(fan: FanOut, *fed: tuple[int, StreamEvent]) -> list[Json]:
    made = [chunk for choice, one in fed for chunk in fan.feed(choice, one)]
    plain: list[Json] = json.loads(msgspec.json.encode(made))
    return plain


def _begin(fan: FanOut) -> list[Json]:
    other = event("response.created", response={**response(), "id": "resp_2", "created_at": 9, "model": "other"})
    return _feed(fan, (1, other), (1, added(0, message())), (1, text(0, "b")), (0, created()), (0, added(0, message())))


def _indexes(made: list[Json]) -> list[int]:
    return [chunk["choices"][0]["index"] for chunk in made]


def test_nothing_is_said_until_each_answer_has_begun() -> None:
    fan = FanOut(PLAN)
    assert _feed(fan, (1, created()), (1, added(0, message())), (1, text(0, "b")), (0, created())) == []
    assert not fan.begun
    _feed(fan, (0, added(0, message())))
    assert fan.begun


def test_roles_come_first_in_the_order_of_the_choices() -> None:
    made = _begin(FanOut(PLAN))
    assert _indexes(made) == [0, 1, 1]
    assert ["role" in chunk["choices"][0]["delta"] for chunk in made] == [True, True, False]


def test_all_chunks_are_named_after_the_first_answer() -> None:
    fan = FanOut(PLAN)
    made = [*_begin(fan), *_feed(fan, (1, text(0, "b")), (0, text(0, "a")), (0, completed()), (1, completed()))]
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in made} == {("chatcmpl-1", 1767225600, "m-2026")}


def test_each_choice_ends_and_usage_comes_once() -> None:
    fan = FanOut(PLAN)
    _begin(fan)
    moderation = {"input": RESULT, "output": RESULT}
    made = _feed(fan, (1, completed(usage=USAGE, moderation=moderation)))
    assert [chunk["choices"][0]["finish_reason"] for chunk in made] == ["stop"]
    finish, moderated, used = _feed(fan, (0, completed(usage=USAGE, moderation=moderation)))
    assert (finish["choices"][0]["finish_reason"], moderated["choices"], used["choices"]) == ("stop", [], [])
    assert used["usage"]["total_tokens"] == 10
    assert used["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2
    assert [one is not None for one in fan.responses] == [True, True]


def test_usage_that_one_answer_lacks_is_not_made_up() -> None:
    fan = FanOut(PLAN)
    _begin(fan)
    made = _feed(fan, (0, completed(usage=USAGE)), (1, completed(usage=None)))
    assert all(chunk["choices"] for chunk in made)


def test_a_failure_of_one_is_the_failure_of_all() -> None:
    fan = FanOut(PLAN)
    _feed(fan, (0, created()), (0, added(0, message())))
    with pytest.raises(UpstreamFailed) as first:
        fan.feed(1, failed("rate_limit_exceeded"))
    with pytest.raises(UpstreamFailed) as again:
        fan.feed(0, text(0, "a"))
    assert again.value is first.value and not fan.begun


def test_a_choice_that_is_stopped_ends_alone() -> None:
    fan = FanOut(StreamPlan(stream=True, choices=2, stop=["END"]))
    _begin(fan)
    _feed(fan, (0, text(0, "one END")))
    assert (fan.stream(0).stopped, fan.stream(1).stopped) == (True, False)
    (ended,) = fan.finish(0)
    assert (ended.choices[0].index, ended.choices[0].finish_reason) == (0, "stop")


# -- whole answers ----------------------------------------------------------------------------------


def _completion(content: str, **fields: Any) -> Any:
    decoded = RESPONSE_DECODER.decode(msgspec.json.encode(response(message(content), status="completed", **fields)))
    return to_completion(decoded, PLAN)


def test_whole_answers_become_the_choices_of_one() -> None:
    merged = merge_completions([_completion("a", usage=USAGE), _completion("b", usage=USAGE)])
    assert [(choice.index, choice.message.content) for choice in merged.choices] == [(0, "a"), (1, "b")]
    assert merged.id == "chatcmpl-1" and merged.usage and merged.usage.prompt_tokens == 6


def test_whole_answers_without_usage_have_none() -> None:
    assert not merge_completions([_completion("a", usage=USAGE), _completion("b")]).usage


def test_one_answer_is_itself() -> None:
    one = _completion("a", usage=USAGE, moderation={"input": RESULT, "output": RESULT})
    assert msgspec.json.encode(merge_completions([one])) == msgspec.json.encode(one)
