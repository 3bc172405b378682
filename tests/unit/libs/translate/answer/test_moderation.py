import json
from typing import Any

import msgspec
import pytest

from libs.schemas.wire.completion import ModerationOut
from libs.schemas.wire.output import RESPONSE_DECODER
from libs.translate.answer.moderation import merge_moderation, to_moderation

RESULT = {"type": "moderation_result", "model": "m", "flagged": False, "categories": {"hate": False}}
ERROR = {"type": "error", "code": "timeout", "message": "Too slow."}


def _moderation(input_: Any, output: Any) -> ModerationOut | None:
    response = {"id": "resp_1", "moderation": {"input": input_, "output": output}}
    return to_moderation(RESPONSE_DECODER.decode(json.dumps(response).encode()).moderation)


def _plain(moderation: ModerationOut | None) -> Any:
    return json.loads(msgspec.json.encode(moderation))


def test_each_side_is_a_list_of_one() -> None:
    wrapped = {"type": "moderation_results", "model": "m", "results": [RESULT]}
    assert _plain(_moderation(RESULT, RESULT)) == {"input": wrapped, "output": wrapped}


def test_a_side_that_failed_stays_as_it_came() -> None:
    assert _plain(_moderation(ERROR, RESULT))["input"] == ERROR


def test_a_side_that_lacks_stays_away() -> None:
    assert set(_plain(_moderation(RESULT, None))) == {"input"}


@pytest.mark.parametrize("nothing", [None, {}, {"input": None, "output": None}])
def test_no_moderation_is_none(nothing: Any) -> None:
    response = RESPONSE_DECODER.decode(json.dumps({"id": "r", "moderation": nothing}).encode())
    assert to_moderation(response.moderation) is None


def _made(output: Any) -> ModerationOut:
    moderation = _moderation(RESULT, output)
    assert moderation is not None
    return moderation


def test_the_outputs_of_several_choices_follow_each_other() -> None:
    second = {**RESULT, "flagged": True}
    merged = _plain(merge_moderation([_made(RESULT), _made(second)]))
    assert merged["output"]["results"] == [RESULT, second]
    assert merged["input"]["results"] == [RESULT]


def test_a_failure_of_one_output_is_told() -> None:
    assert _plain(merge_moderation([_made(RESULT), _made(ERROR)]))["output"] == ERROR


def test_no_choice_with_moderation_has_none() -> None:
    assert merge_moderation([]) is None
