"""The native chat endpoint: choices, stops, logprobs, tools of both kinds, and its streams beside its whole answers."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.unit.simulator.caller import Caller

PATH = "/v1/chat/completions"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SQL = {"type": "custom", "custom": {"name": "write_sql"}}

CASES: dict[str, dict[str, Any]] = {
    "text": {},
    "refusal": {"content": "[[refuse: No.]]"},
    "length": {"content": "[[length]] Ann"},
    "content_filter": {"content": "[[content_filter]] Ann"},
    "tool": {"tools": [WEATHER], "content": "Weather in Rome?"},
    "custom": {"tools": [SQL], "content": "[[call: write_sql SELECT 1]]"},
    "two_choices": {"n": 2},
    "logprobs": {"logprobs": True, "top_logprobs": 1},
    "stop": {"stop": ["simulator"]},
    "cited": {"web_search_options": {}, "model": "gpt-4o-search-preview", "content": "[[use: web_search x]] News?"},
}


def to_body(content: str = "Hello Ann", **extra: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **extra}


async def whole(**body: Any) -> ChatCompletion:
    return ChatCompletion.model_validate(await Caller().json("POST", PATH, to_body(**body)), strict=True)


async def chunks(**body: Any) -> list[ChatCompletionChunk]:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    _, _, pieces = await Caller()("POST", PATH, {**to_body(**body), **options})
    lines = b"".join(pieces).decode().splitlines()
    assert lines[-2] == "data: [DONE]"
    return [ChatCompletionChunk.model_validate(json.loads(line[6:]), strict=True) for line in lines[:-2] if line]


# The SDK's chunks have no member for a custom call: a gap in the specification, not in the stream.
@pytest.mark.parametrize("name", sorted(set(CASES) - {"custom"}))
async def test_a_stream_says_what_the_whole_answer_says(name: str) -> None:
    expected, streamed = await whole(**CASES[name]), await chunks(**CASES[name])
    assert streamed[-1].usage == expected.usage and not streamed[-1].choices
    for choice in expected.choices:
        deltas = [c for chunk in streamed for c in chunk.choices if c.index == choice.index]
        text = "".join(delta.delta.content or "" for delta in deltas)
        assert text == (choice.message.content or "")
        assert "".join(delta.delta.refusal or "" for delta in deltas) == (choice.message.refusal or "")
        assert [delta.finish_reason for delta in deltas if delta.finish_reason] == [choice.finish_reason]
        arguments = [
            call.function.arguments or ""
            for delta in deltas
            for call in delta.delta.tool_calls or ()
            if call.function is not None
        ]
        calls = [call for call in choice.message.tool_calls or () if call.type == "function"]
        assert "".join(arguments) == "".join(call.function.arguments for call in calls)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("text", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool", "tool_calls"),
        ("custom", "tool_calls"),
    ],
)
async def test_finish_reasons(name: str, reason: str) -> None:
    assert (await whole(**CASES[name])).choices[0].finish_reason == reason


async def test_custom_tools_keep_their_kind() -> None:
    message = (await Caller().json("POST", PATH, to_body(**CASES["custom"])))["choices"][0]["message"]
    (call,) = message["tool_calls"]
    assert (call["type"], call["custom"]) == ("custom", {"name": "write_sql", "input": "SELECT 1"})


async def test_a_request_of_before_tools_is_answered_in_its_own_form() -> None:
    body: dict[str, Any] = {"functions": [WEATHER["function"]], "content": "Weather in Rome?"}
    choice = (await whole(**body)).choices[0]
    assert choice.finish_reason == "function_call" and choice.message.tool_calls is None
    assert choice.message.function_call and choice.message.function_call.arguments == '{"city":"Rome"}'
    deltas = [chunk.choices[0].delta.function_call for chunk in await chunks(**body) if chunk.choices]
    assert "".join(delta.arguments or "" for delta in deltas if delta) == '{"city":"Rome"}'


async def test_every_choice_is_counted_and_announced_before_any_text() -> None:
    one, two = await whole(), await whole(n=2)
    assert one.usage and two.usage and two.usage.completion_tokens == 2 * one.usage.completion_tokens
    first, second, *_ = await chunks(n=2)
    assert [chunk.choices[0].index for chunk in (first, second)] == [0, 1]
    assert first.choices[0].delta.role == second.choices[0].delta.role == "assistant"


async def test_a_stop_ends_the_text_before_itself() -> None:
    content = (await whole(**CASES["stop"])).choices[0].message.content or ""
    assert content and "simulator" not in content


async def test_logprobs_join_to_the_text_and_citations_nest() -> None:
    choice = (await whole(**CASES["logprobs"])).choices[0]
    assert choice.logprobs and choice.logprobs.content
    assert "".join(entry.token for entry in choice.logprobs.content) == choice.message.content
    (annotation,) = (await whole(**CASES["cited"])).choices[0].message.annotations or []
    assert annotation.url_citation.url.startswith("https://")


async def test_a_tool_result_is_quoted_in_the_next_answer() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "21 degrees"},
    ]
    answer = await Caller().json("POST", PATH, {"model": "gpt-4o", "messages": messages, "tools": [WEATHER]})
    assert "21 degrees" in answer["choices"][0]["message"]["content"]


async def test_functions_with_reasoning_need_the_responses_api() -> None:
    refused = await Caller().json("POST", PATH, to_body(model="gpt-5.6-sol", tools=[WEATHER]))
    assert refused["error"]["param"] == "reasoning_effort"
    assert refused["error"]["message"].startswith("Function tools with reasoning_effort are not supported for gpt-5.6")
    body = to_body(model="gpt-5.6-sol", tools=[WEATHER], reasoning_effort="none")
    assert (await Caller().json("POST", PATH, body))["choices"][0]["finish_reason"] == "tool_calls"
