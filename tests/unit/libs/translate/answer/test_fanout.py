import json
from typing import Any

import msgspec

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.events import StreamEvent
from libs.schemas.wire.output import RESPONSE_DECODER
from libs.translate.answer.completion import to_completion
from libs.translate.answer.fanout import FanOut, merge_completions
from tests.support.answers import Json, added, completed, created, event, message, response, text

USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, "output_tokens_details": {"reasoning_tokens": 1}}
RESULT = {"type": "moderation_result", "model": "m", "flagged": False}
PLAN = StreamPlan(stream=True, choices=2, include_usage=True)


def _feed(fan: FanOut, *fed: tuple[int, StreamEvent]) -> list[Json]:
    made = [chunk for choice, one in fed for chunk in fan.choices[choice].feed(one)]
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
    assert len(_feed(fan, (0, added(0, message())))) == 3


def test_roles_come_first_in_the_order_of_the_choices() -> None:
    made = _begin(FanOut(PLAN))
    assert _indexes(made) == [0, 1, 1]
    assert ["role" in chunk["choices"][0]["delta"] for chunk in made] == [True, True, False]


def test_all_chunks_are_named_after_the_first_answer() -> None:
    fan = FanOut(PLAN)
    made = [*_begin(fan), *_feed(fan, (1, text(0, "b")), (0, text(0, "a")), (0, completed()), (1, completed()))]
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in made} == {("chatcmpl-1", 1767225600, "m-2026")}


def test_choices_end_together_in_their_order_and_usage_comes_once() -> None:
    fan = FanOut(PLAN)
    _begin(fan)
    moderation = {"input": RESULT, "output": RESULT}
    rest = _feed(fan, (1, completed(message("bcd"), usage=USAGE, moderation=moderation)))
    assert [chunk["choices"][0]["delta"]["content"] for chunk in rest] == ["cd"]
    assert not fan.ended
    *finishes, moderated, used = _feed(fan, (0, completed(usage=USAGE, moderation=moderation)))
    assert [(choice["index"], choice["finish_reason"]) for chunk in finishes for choice in chunk["choices"]] == [
        (0, "stop"),
        (1, "stop"),
    ]
    assert fan.ended and all(stream.is_last for stream in fan.choices)
    assert (moderated["choices"], used["choices"]) == ([], [])
    assert used["usage"]["total_tokens"] == 10
    assert used["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2


def test_usage_that_one_answer_lacks_is_not_made_up() -> None:
    fan = FanOut(PLAN)
    _begin(fan)
    made = _feed(fan, (0, completed(usage=USAGE)), (1, completed(usage=None)))
    assert all(chunk["choices"] for chunk in made)


def test_a_choice_that_is_stopped_ends_alone() -> None:
    fan = FanOut(StreamPlan(stream=True, choices=2, stop=["END"]))
    _begin(fan)
    _feed(fan, (0, text(0, "one END")))
    assert [stream.stopped for stream in fan.choices] == [True, False]
    (ended,) = fan.choices[0].finish()
    assert (ended.choices[0].index, ended.choices[0].finish_reason) == (0, "stop")
    assert (fan.choices[0].leave(), fan.ended) == ([], False)
    *_, last = _feed(fan, (1, completed()))
    assert (last["choices"][0]["index"], fan.ended) == (1, True)


def test_choices_of_which_the_last_is_stopped_end_without_usage() -> None:
    fan = FanOut(StreamPlan(stream=True, choices=2, stop=["END"], include_usage=True))
    _begin(fan)
    assert _feed(fan, (0, completed(usage=USAGE))) == []
    _feed(fan, (1, text(0, "END")))
    fan.choices[1].finish()
    assert [chunk.choices[0].index for chunk in fan.choices[1].leave()] == [0]


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
