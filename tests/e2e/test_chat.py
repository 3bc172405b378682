"""The official SDK, unchanged but for `base_url`, against the whole cluster."""

import base64
import os
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.support.cluster import Cluster
from tests.support.samples import MODEL, WEATHER_TOOL, tool_result, user


def test_answer_is_a_completion(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=[user("[[text: Good morning.]]")])
    choice = completion.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Good morning.", "stop")
    assert completion.id.startswith("chatcmpl-")
    assert completion.model.startswith(MODEL)
    assert completion._request_id
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert completion.usage.completion_tokens_details is not None
    assert completion.usage.completion_tokens_details.reasoning_tokens


def test_streamed_answer_equals_the_whole_one(client: openai.OpenAI) -> None:
    asked = user("[[text: Zürich 🌍 lies by a lake.]]")
    stream = client.chat.completions.create(
        model=MODEL, messages=[asked], stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Zürich 🌍 lies by a lake."
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage is not None and not chunks[-1].choices


async def test_async_client_streams(cluster: Cluster) -> None:
    async with openai.AsyncOpenAI(base_url=cluster.base_url, api_key="sk-async") as client:
        stream = await client.chat.completions.create(model=MODEL, messages=[user("[[text: Hello.]]")], stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert text == "Hello."


def test_stream_helper_rebuilds_parallel_tool_calls(client: openai.OpenAI) -> None:
    asked = user('[[call: get_weather {"city": "Paris"}]] [[call: get_weather {"city": "Rome"}]]')
    with client.chat.completions.stream(model=MODEL, messages=[asked], tools=[WEATHER_TOOL]) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()
    calls = completion.choices[0].message.tool_calls or []
    assert [call.function.parsed_arguments for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert completion.choices[0].finish_reason == "tool_calls"
    assert "tool_calls.function.arguments.done" in kinds


def test_parse_returns_the_model_that_was_asked_for(client: openai.OpenAI) -> None:
    class Person(BaseModel):
        name: str
        age: int

    completion = client.chat.completions.parse(model=MODEL, messages=[user("Who?")], response_format=Person)
    assert isinstance(completion.choices[0].message.parsed, Person)


def test_five_turns_with_tools_hold_together(client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "system", "content": "You know the weather."}]
    for city in ("Paris", "Rome", "Oslo", "Lima", "Bern"):
        messages.append(user(f"What is the weather in {city}?"))
        asked = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER_TOOL])
        call = (asked.choices[0].message.tool_calls or [])[0]
        assert isinstance(call, openai.types.chat.ChatCompletionMessageFunctionToolCall)
        assert city in call.function.arguments
        messages += [asked.choices[0].message, tool_result(call.id, f"{city}: 21 degrees")]
        told = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER_TOOL])
        assert f"{city}: 21 degrees" in (told.choices[0].message.content or "")
        messages.append(told.choices[0].message)


def test_system_message_goes_up_as_instructions(client: openai.OpenAI, cluster: Cluster) -> None:
    client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "system", "content": "Be brief."}, user("Hi, instructions test")],
        reasoning_effort="low",
        user="u-1",
    )
    body = _last_body(cluster, "Hi, instructions test")
    assert body["instructions"] == "Be brief."
    assert body["store"] is False
    assert body["reasoning"] == {"effort": "low"}
    assert body["user"] == "u-1"


def test_small_image_arrives_whole(client: openai.OpenAI) -> None:
    url = "data:image/png;base64," + base64.b64encode(os.urandom(1000)).decode()
    assert "1 image with 1000 bytes" in _look_at(client, url)


def test_twenty_megabytes_of_image_arrive_whole(client: openai.OpenAI) -> None:
    url = "data:image/png;base64," + base64.b64encode(os.urandom(15_000_000)).decode()
    assert len(url) > 20_000_000
    assert "1 image with 15000000 bytes" in _look_at(client, url)


def test_refusal_is_told(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=[user("[[refuse: I will not.]]")])
    assert completion.choices[0].message.refusal == "I will not."
    assert completion.choices[0].message.content is None


def test_answer_cut_by_the_limit_says_length(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=[user("[[length]]")])
    assert completion.choices[0].finish_reason == "length"


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert MODEL in {model.id for model in client.models.list()}


@pytest.mark.parametrize("field", ["seed", "frequency_penalty"])
def test_what_a_request_loses_is_told(client: openai.OpenAI, field: str) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[user("Hi") | {"name": "ann"}], extra_body={field: 1}
    )
    assert raw.headers["x-parley-dropped"] == f"{field},messages[0].name"


def _look_at(client: openai.OpenAI, url: str) -> str:
    content = [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": url}}]
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": content}],  # type: ignore[misc,list-item]
    )
    return completion.choices[0].message.content or ""


def _last_body(cluster: Cluster, text: str) -> dict[str, Any]:
    bodies = [entry["body"] for entry in cluster.simulator.ledger() if text in str(entry["body"])]
    body: dict[str, Any] = bodies[-1]
    return body


def test_what_an_answer_loses_is_told(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[user("[[use: web_search news]]")])
    assert raw.parse().choices[0].finish_reason == "stop"
    assert "web_search_call" in raw.headers.get("x-parley-dropped", "")
