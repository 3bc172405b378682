"""One switch gives a chat client the typed events, or the whole Response object."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.support.cluster import Cluster
from tests.support.samples import MODEL, WEATHER_TOOL, user

TYPED = {"x-parley-format": "responses"}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SCENARIOS = [
    "[[text: Hello there.]]",
    '[[call: get_weather {"city": "Paris"}]] [[call: get_weather {"city": "Rome"}]]',
    "[[refuse]]",
    "[[length]]",
    "[[fail: server_error It broke.]]",
    "[[error-midstream]]",
]
# What no two calls share.
VOLATILE = {
    "id",
    "item_id",
    "created_at",
    "completed_at",
    "encrypted_content",
    "obfuscation",
    "call_id",
    "prompt_cache_key",
}


@pytest.fixture
def http(cluster: Cluster) -> Iterator[httpx2.Client]:
    headers = {"authorization": "Bearer sk-format"}
    with httpx2.Client(base_url=cluster.base_url, headers=headers, timeout=30) as client:
        yield client


def events(answer: httpx2.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for frame in answer.text.split("\n\n"):
        if frame and not frame.startswith(":"):
            name, _, data = frame.partition("\n")
            event = json.loads(data.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            found.append(event)
    return found


def stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "..." if key in VOLATILE else stable(inner) for key, inner in value.items()}
    return [stable(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("text", SCENARIOS)
def test_typed_stream_equals_that_of_responses(http: httpx2.Client, text: str) -> None:
    chat = {"model": MODEL, "messages": [user(text)], "tools": [WEATHER_TOOL], "stream": True}
    shown = http.post("/../convert", json=chat).json()["request"]
    through_chat = events(http.post("/chat/completions", json=chat, headers=TYPED))
    directly = events(http.post("/responses", json=shown))
    for event in through_chat:
        if "error" not in event:  # the nested form, which the API sends, is in no type of the SDK
            EVENT.validate_python(event)
    assert stable(through_chat) == stable(directly)


def test_whole_response_object_is_returned(http: httpx2.Client) -> None:
    chat = {"model": MODEL, "messages": [user("[[text: Hello.]]")], "metadata": {"a": "b"}}
    body = http.post("/chat/completions", json=chat, headers=TYPED).json()
    response = Response.model_validate(body)
    assert (response.status, response.output_text, response.metadata) == ("completed", "Hello.", {"a": "b"})
    assert response.usage is not None and response.usage.output_tokens > 0
    assert [item.type for item in response.output] == ["reasoning", "message"]


def test_switch_in_the_body_does_the_same_and_goes_no_further(client: openai.OpenAI, cluster: Cluster) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[user("[[text: Hello.]]")], extra_body={"parley": {"format": "responses"}}
    )
    assert json.loads(raw.text)["object"] == "response"
    assert "parley" not in cluster.simulator.ledger()[-1]["body"]


def test_typed_turn_is_kept_like_any_other(http: httpx2.Client) -> None:
    headers = {**TYPED, "x-parley-conversation": f"c-{uuid4()}"}
    chat: dict[str, Any] = {"model": MODEL, "messages": [user("[[text: Hello.]]")], "stream": True}
    events(http.post("/chat/completions", json=chat, headers=headers))
    chat["messages"] += [{"role": "assistant", "content": "Hello."}, user("Next")]
    answer = http.post("/chat/completions", json=chat, headers=headers)
    assert answer.headers["x-parley-continuity"] == "chain;reason=matched;matched=1"


def test_forgotten_parent_is_mended_before_any_event(http: httpx2.Client, cluster: Cluster) -> None:
    headers = {**TYPED, "x-parley-conversation": f"c-{uuid4()}"}
    chat: dict[str, Any] = {"model": MODEL, "messages": [user("[[text: Hello.]]")], "stream": True}
    first = events(http.post("/chat/completions", json=chat, headers=headers))
    http.delete(f"/responses/{first[0]['response']['id']}")
    chat["messages"] += [{"role": "assistant", "content": "Hello."}, user("Next")]
    answer = http.post("/chat/completions", json=chat, headers=headers)
    assert answer.headers["x-parley-continuity"] == "none;reason=plain_retry;matched=0"
    assert events(answer)[-1]["type"] == "response.completed"


def test_typed_stream_that_breaks_off_ends_with_an_error_event(http: httpx2.Client) -> None:
    chat = {"model": MODEL, "messages": [user("[[words: 30]] [[cut]]")], "stream": True}
    found = events(http.post("/chat/completions", json=chat, headers=TYPED))
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    EVENT.validate_python(found[-1])
    assert (found[-1]["type"], found[-1]["code"]) == ("error", "upstream_stream_truncated")


def test_unknown_format_is_refused(http: httpx2.Client) -> None:
    answer = http.post(
        "/chat/completions", json={"model": MODEL, "messages": [user("x")]}, headers={"x-parley-format": "xml"}
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "x-parley-format")
