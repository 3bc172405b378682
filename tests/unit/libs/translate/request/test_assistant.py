from typing import Any

import pytest

from libs.schemas.config import Profile
from libs.translate.errors import NeedsNative
from tests.support.chats import BRIDGED, USER, Json, assistant, calling, items, made_input, refusal, tool

SPOKEN: Json = {"id": "audio_1", "transcript": "Yes.", "data": "AA==", "expires_at": 1}

# -- reasoning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_echoed_reasoning_goes_to_an_upstream_with_open_reasoning(name: str) -> None:
    made = items(USER, {**calling("a"), name: "Hm."}, tool("a"), profile=Profile(open_reasoning=True))
    assert made[1] == {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    assert [item["type"] for item in made[2:]] == ["function_call", "function_call_output"]


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"reasoning_content": "Hm."}, ["messages[1].reasoning_content"]),
        ({"reasoning_details": [{"x": 1}]}, ["messages[1].reasoning_details"]),
        ({"reasoning_content": None, "reasoning": "", "reasoning_details": []}, []),
    ],
)
def test_echoed_reasoning_is_dropped_elsewhere_and_told(fields: Json, dropped: list[str]) -> None:
    assert made_input(USER, assistant("Yes.", **fields)).dropped == dropped


# -- spoken answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, "Yes."])
def test_what_was_said_stands_for_its_sound(content: Any) -> None:
    made = made_input(USER, assistant(content, audio=SPOKEN))
    assert made.dropped == ["messages[1].audio"]
    assert items(USER, assistant(content, audio=SPOKEN)) == items(USER, assistant("Yes."))


def test_sound_that_nothing_stands_for_is_for_the_chat_endpoint() -> None:
    spoken = assistant(audio={"id": "audio_1"})
    with pytest.raises(NeedsNative) as raised:
        items(USER, spoken)
    assert raised.value.reason == "messages[1].audio"
    assert refusal(USER, spoken, profile=BRIDGED).error.param == "messages[1].audio"
