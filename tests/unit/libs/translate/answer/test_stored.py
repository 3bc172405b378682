import json
from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletionDeleted, ChatCompletionStoreMessage

from libs.schemas.wire.output import RESPONSE_DECODER
from libs.translate.answer.stored import (
    INPUT_ITEMS_DECODER,
    INSTRUCTIONS_DECODER,
    STORED_ENCODER,
    to_deleted,
    to_stored_completion,
    to_stored_messages,
)
from libs.translate.errors import UpstreamFailed
from tests.support.answers import Json, call, custom, message, reasoning, response, token


def _item(role: str, *parts: Json, **fields: Any) -> Json:
    return {"type": "message", "id": f"msg_{role}", "role": role, "content": list(parts), **fields}


def _text(text: str) -> Json:
    return {"type": "input_text", "text": text}


def _messages(*items: Json, instructions: str | None = None) -> list[Json]:
    page = INPUT_ITEMS_DECODER.decode(json.dumps({"object": "list", "data": items, "has_more": True}).encode())
    listed = json.loads(STORED_ENCODER.encode(to_stored_messages(page, instructions)))
    assert (listed["object"], listed["has_more"]) == ("list", True)
    found: list[Json] = listed["data"]
    assert (listed["first_id"], listed["last_id"]) == ((found[0]["id"], found[-1]["id"]) if found else (None, None))
    for one in found:
        ChatCompletionStoreMessage.construct(**one)
    return found


def test_one_text_is_content_alone() -> None:
    assert _messages(_item("user", _text("hi"))) == [
        {"id": "msg_user", "role": "user", "content": "hi", "refusal": None, "content_parts": None}
    ]


def test_several_parts_are_told_as_such() -> None:
    picture = {"type": "input_image", "image_url": "https://img.example/1.png", "detail": "low"}
    (made,) = _messages(_item("user", _text("see"), picture, {"type": "input_file", "file_id": "file_1"}))
    assert made["content"] == "see"
    assert made["content_parts"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "https://img.example/1.png", "detail": "low"}},
    ]


def test_a_text_and_the_calls_that_follow_it_are_one_message() -> None:
    output = {"type": "function_call_output", "id": "fco_1", "call_id": "call_1", "output": "21C"}
    asked, answered, result = _messages(
        _item("user", _text("weather?")), reasoning("Hm."), {**message("Looking."), "role": "assistant"},
        call(), custom("call_2"), output,
    )[0:3]  # fmt: skip
    assert asked["role"] == "user"
    assert [one["id"] for one in answered["tool_calls"]] == ["call_1", "call_2"]
    assert answered["content"] == "Looking." and answered["tool_calls"][1]["custom"] == {
        "name": "query",
        "input": "SELECT 1",
    }
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "call_1", "21C")


def test_calls_without_text_are_a_message_too() -> None:
    (made,) = _messages(call())
    assert (made["id"], made["role"], made["content"]) == ("fc_call_1", "assistant", None)


def test_a_call_keeps_its_name_and_arguments() -> None:
    (made,) = _messages(call("call_1", "look", '{"at": 1}'), call("call_2", "see", "{}"))
    assert made["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}},
        {"id": "call_2", "type": "function", "function": {"name": "see", "arguments": "{}"}},
    ]


def test_calls_before_a_text_stay_with_the_message_before_it() -> None:
    called, answered = _messages(call("call_1"), {**message("a"), "role": "assistant"})
    assert (called["id"], called["content"], len(called["tool_calls"])) == ("fc_call_1", None, 1)
    assert answered["content"] == "a" and "tool_calls" not in answered


def test_a_custom_call_is_one() -> None:
    (made,) = _messages(custom("call_1", "query", "SELECT 1"))
    assert made["tool_calls"] == [
        {"id": "call_1", "type": "custom", "custom": {"name": "query", "input": "SELECT 1"}},
    ]


def test_instructions_are_a_message_of_the_system() -> None:
    first, _ = _messages(_item("user", _text("hi")), instructions="Be brief.")
    assert (first["id"], first["role"], first["content"]) == ("instructions", "system", "Be brief.")


def test_each_of_several_answers_keeps_its_text() -> None:
    made = _messages(*({**message(text), "role": "assistant"} for text in ("a", "b", "c")))
    assert [one["content"] for one in made] == ["a", "b", "c"]


def test_a_single_text_has_no_parts_and_a_single_image_has() -> None:
    picture = {"type": "input_image", "image_url": "https://img.example/1.png"}
    (text,), (image,) = _messages(_item("user", _text("a"))), _messages(_item("user", picture))
    assert text["content_parts"] is None
    assert [part["type"] for part in image["content_parts"]] == ["image_url"]
    (texts,) = _messages(_item("user", _text("a"), _text("b")))
    assert [part["text"] for part in texts["content_parts"]] == ["a", "b"]


def test_reasoning_alone_is_no_message() -> None:
    assert _messages(reasoning("Hm.")) == []


def test_answers_that_follow_each_other_stay_apart() -> None:
    first, second = _messages({**message("a"), "role": "assistant"}, call(), {**message("b"), "role": "assistant"})
    assert "tool_calls" in first and "tool_calls" not in second


def test_a_refusal_is_no_content() -> None:
    (made,) = _messages(_item("assistant", {"type": "refusal", "refusal": "No."}))
    assert (made["content"], made["refusal"]) == (None, "No.")


def test_items_may_be_odd() -> None:
    odd: list[Any] = [{"type": "telepathy"}, {"role": "user", "content": "hi"}, 7, {"type": "message", "id": None}]
    assert [one["content"] for one in _messages(*odd)] == ["hi", ""]


def test_instructions_stand_before_the_first_page() -> None:
    told = INSTRUCTIONS_DECODER.decode(b'{"instructions":"Be brief.","tools":[]}').instructions
    assert [one["content"] for one in _messages(_item("user", _text("hi")), instructions=told)] == ["Be brief.", "hi"]
    assert INSTRUCTIONS_DECODER.decode(b'{"instructions":[{"type":"message"}]}').instructions is None


def test_no_items_are_no_messages() -> None:
    assert _messages() == []


def test_a_stored_answer_tells_all_that_is_kept_of_it() -> None:
    item = message("a")
    item["content"][0]["logprobs"] = [token("a")]
    stored = response(item, status="completed", metadata={"a": "b"})
    made = json.loads(STORED_ENCODER.encode(to_stored_completion(RESPONSE_DECODER.decode(json.dumps(stored).encode()))))
    assert (made["id"], made["metadata"]) == ("chatcmpl-1", {"a": "b"})
    assert made["choices"][0]["logprobs"]["content"][0]["token"] == "a"


def test_a_stored_failure_is_a_failure() -> None:
    with pytest.raises(UpstreamFailed):
        to_stored_completion(RESPONSE_DECODER.decode(json.dumps(response(status="failed")).encode()))


def test_a_deletion_is_told_in_the_chat_form() -> None:
    made = msgspec.to_builtins(to_deleted("chatcmpl-1"))
    assert made == {"id": "chatcmpl-1", "object": "chat.completion.deleted", "deleted": True}
    assert ChatCompletionDeleted(**made).deleted
