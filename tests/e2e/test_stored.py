"""Stored completions, as the official SDK asks for them."""

from typing import Any

import openai
import pytest

from tests.support.samples import MODEL, WEATHER_TOOL, user


def stored(client: openai.OpenAI, text: str, **fields: Any) -> str:
    messages: Any = [{"role": "system", "content": "Be kind."}, user(text)]
    completion_id: str = client.chat.completions.create(model=MODEL, messages=messages, store=True, **fields).id
    return completion_id


def test_stored_completion_is_retrieved(client: openai.OpenAI) -> None:
    completion_id = stored(client, "[[text: Kept.]]")
    completion = client.chat.completions.retrieve(completion_id)
    assert (completion.id, completion.object) == (completion_id, "chat.completion")
    assert completion.choices[0].message.content == "Kept."
    assert completion.usage is not None and completion.usage.total_tokens > 0


def test_stored_tool_call_is_retrieved(client: openai.OpenAI) -> None:
    completion = client.chat.completions.retrieve(stored(client, "Weather in Paris?", tools=[WEATHER_TOOL]))
    [call] = completion.choices[0].message.tool_calls or []
    assert call.type == "function" and "Paris" in call.function.arguments
    assert completion.choices[0].finish_reason == "tool_calls"


def test_messages_of_a_stored_completion_are_listed(client: openai.OpenAI) -> None:
    messages = client.chat.completions.messages.list(stored(client, "What was asked?")).data
    assert [(message.role, message.content) for message in messages][-1] == ("user", "What was asked?")
    assert all(message.id for message in messages)


def test_deleted_completion_is_gone(client: openai.OpenAI) -> None:
    completion_id = stored(client, "[[text: Gone.]]")
    deleted = client.chat.completions.delete(completion_id)
    assert (deleted.id, deleted.deleted) == (completion_id, True)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(completion_id)


def test_completion_that_was_not_stored_is_not_found(client: openai.OpenAI) -> None:
    completion_id = client.chat.completions.create(model=MODEL, messages=[user("Hi")]).id
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.retrieve(completion_id)
    assert caught.value.code == "not_found"


@pytest.mark.parametrize("completion_id", ["nonsense", "chatcmpl-", "chatcmpl-0000"])
def test_unknown_completion_is_not_found(client: openai.OpenAI, completion_id: str) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(completion_id)


def test_list_and_update_are_not_there(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as listed:
        client.chat.completions.list()
    assert listed.value.status_code == 404
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.update("chatcmpl-1", metadata={"a": "b"})


def test_stored_completion_of_another_key_is_not_found(client: openai.OpenAI) -> None:
    completion_id = stored(client, "[[text: Mine.]]")
    with pytest.raises(openai.NotFoundError):
        client.with_options(api_key="sk-somebody-else").chat.completions.retrieve(completion_id)
