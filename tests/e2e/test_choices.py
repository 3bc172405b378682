"""n answers to one request, and answers that a stop sequence ends."""

import openai
import pytest

from tests.support.cluster import Cluster
from tests.support.samples import MODEL, WEATHER_TOOL, user


def test_n_answers_come_as_choices_and_are_counted_together(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[user("[[text: Hello.]]")], n=3)
    completion = raw.parse()
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert {choice.message.content for choice in completion.choices} == {"Hello."}
    one = client.chat.completions.create(model=MODEL, messages=[user("[[text: Hello.]]")])
    assert completion.usage is not None and one.usage is not None
    assert completion.usage.completion_tokens == 3 * one.usage.completion_tokens
    assert raw.headers["x-parley-fanout"] == "3"


def test_n_streams_are_rebuilt_by_the_sdk(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=[user("[[words: 40]]")], n=2, stream_options={"include_usage": True}
    ) as stream:
        chunks = [event.chunk for event in stream if event.type == "chunk"]
        completion = stream.get_final_completion()
    assert [len((choice.message.content or "").split()) for choice in completion.choices] == [40, 40]
    assert [choice.finish_reason for choice in completion.choices] == ["stop", "stop"]
    assert {chunk.id for chunk in chunks} == {completion.id}
    assert chunks[-1].usage is not None and not chunks[-1].choices
    assert [choice.index for chunk in chunks[:2] for choice in chunk.choices if choice.delta.role] == [0, 1]


def test_n_tool_calls_stream(client: openai.OpenAI) -> None:
    asked = [user("Weather in Paris?")]
    with client.chat.completions.stream(model=MODEL, messages=asked, n=2, tools=[WEATHER_TOOL]) as stream:
        for _ in stream:
            pass
        completion = stream.get_final_completion()
    assert [len(choice.message.tool_calls or []) for choice in completion.choices] == [1, 1]


@pytest.mark.parametrize("stream", [False, True])
def test_failure_of_one_is_the_failure_of_all(client: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=MODEL, messages=[user("[[fail: server_error No.]]")], n=2, stream=stream)
    assert caught.value.code == "server_error"


def test_refusal_of_the_upstream_keeps_its_headers(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=MODEL, messages=[user("[[http: 429]]")], n=2, stream=True)
    assert caught.value.response.headers["retry-after"]


def test_more_choices_than_are_allowed_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=[user("Hi")], n=100)
    assert caught.value.param == "n"


def test_stop_cuts_a_whole_answer(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=[user("[[text: One two three four]]")], stop=" thr"
    )
    assert (completion.choices[0].message.content, completion.choices[0].finish_reason) == ("One two", "stop")


@pytest.mark.parametrize("usage", [False, True])
@pytest.mark.parametrize("n", [1, 2])
def test_stop_cuts_a_stream_and_its_usage_still_comes(
    client: openai.OpenAI, cluster: Cluster, usage: bool, n: int
) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[user("[[text: One two three four five six seven]] [[pace: 5ms]]")],
        stop=["thr", "never"],
        n=n,
        stream=True,
        extra_body={"stream_options": {"include_usage": True}} if usage else None,
    )
    chunks = list(raw.parse())
    texts, finishes = [""] * n, [""] * n
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finishes[choice.index] += choice.finish_reason or ""
    assert (texts, finishes) == (["One two "] * n, ["stop"] * n)
    assert any(chunk.usage for chunk in chunks) is usage
