"""The simulator beside recorded traffic: recorded requests are taken, recorded errors and keys are the simulator's.

Recordings are read from the directory that PARLEY_RECORDINGS names; without it these tests are skipped.
"""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import recordings
from tests.support.simulator import HttpAnswer, Json, Simulator, started_simulator

pytestmark = recordings.needed
CASSETTES = recordings.found("responses-http/*.yaml")
CHATS = recordings.found("chat/*.yaml")

# Keys that OpenAI has added since a recording was made.
SINCE_ADDED = {"completed_at", "billing", "frequency_penalty", "presence_penalty", "moderation", "tool_usage"}
SINCE_ADDED |= {"prompt_cache_retention", "safety_identifier", "prompt_cache_key", "max_tool_calls", "background"}
# Keys of the recordings that the API no longer sends, or that only say how an answer was made.
SINCE_DROPPED = {"generate_summary", "status_details", "tool_calls", "total_tokens"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with started_simulator() as started:
        yield started


def test_the_directory_of_recordings_is_not_empty() -> None:
    assert CASSETTES and CHATS


def interactions(path: Path) -> list[Json]:
    return list(yaml.safe_load(path.read_text())["interactions"])


def sse(text: str) -> list[Json]:
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(value) for value in data if value != "[DONE]"]


def recorded_answer(exchange: Json) -> Json | None:
    """The recorded body, or the Response in a recorded stream's last event."""
    response = exchange["response"]
    if (body := response.get("parsed_body")) is not None:
        return dict(body)
    events = sse(response["body"]["string"])
    # Reasoning is sealed anew in the last event; clients send back what came with the item.
    output = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    return {**events[-1]["response"], "output": output} if events else None


def adopt(simulator: Simulator, exchange: Json) -> None:
    """Make a recorded answer one of the simulator's own, so that the next recorded request can build on it."""
    answer = recorded_answer(exchange)
    asked = exchange["request"].get("parsed_body") or {}
    if answer is None or answer.get("error"):
        return
    if answer["object"] == "conversation":
        simulator.call("POST", "/_simulator/adopt", {"conversation": answer["id"]})
    elif answer["object"] == "response":
        body = {"response": answer, "input": asked.get("input"), "conversation": asked.get("conversation")}
        assert simulator.call("POST", "/_simulator/adopt", body).status == 200


@pytest.mark.parametrize("path", CASSETTES, ids=lambda path: path.stem)
def test_recorded_requests_get_the_recorded_status_and_error(simulator: Simulator, path: Path) -> None:
    for exchange in interactions(path):
        asked = exchange["request"].get("parsed_body")
        if asked is not None and exchange["request"]["uri"].endswith("/responses"):
            # Answered without calls, which the recorded conversation would not answer.
            answer = simulator.respond(asked, headers={"x-simulator-script": "[[text: Noted.]]"})
            assert answer.status == exchange["response"]["status"]["code"], answer.body
            if answer.status != 200:
                assert answer.json() == exchange["response"]["parsed_body"]
        adopt(simulator, exchange)


@pytest.mark.parametrize("path", CASSETTES, ids=lambda path: path.stem)
def test_answers_have_the_keys_of_the_recorded_ones(simulator: Simulator, path: Path) -> None:
    for exchange in interactions(path)[:1]:
        asked, expected = exchange["request"].get("parsed_body"), recorded_answer(exchange)
        if asked is None or expected is None or expected.get("object") != "response" or asked.get("stream"):
            continue
        actual = simulator.respond(asked).json()
        assert set(actual) - SINCE_ADDED == set(expected) - SINCE_ADDED - SINCE_DROPPED | missing(expected)


def missing(expected: Json) -> set[str]:
    """The oldest recording is an abridged one: what it lacks is not held against the simulator."""
    if "tools" in expected:
        return set()
    return {"service_tier", "store", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p"} | {
        "truncation",
        "user",
    }


# A recorded stream, and a request that leads to the same items.
FUNCTION: Json = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
STREAMS: dict[str, Json] = {
    "openai-apply-patch-tool.1": {"model": "gpt-4.1", "tools": [{"type": "apply_patch"}]},
    "openai-client-tool-search.1": {"model": "gpt-4.1", "tools": [{"type": "tool_search", "execution": "client"}]},
    "openai-file-search-tool.1": {
        "model": "gpt-5",
        "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}],
        "input": "[[cite-file: file-1 a.pdf]] Look in the file",
    },
    "openai-local-shell-tool.1": {"model": "gpt-5", "tools": [{"type": "local_shell"}]},
    "openai-mcp-tool-approval.1": {
        "model": "gpt-5",
        "tools": [{"type": "mcp", "server_label": "zip1", "server_url": "https://example.com"}],
    },
    "openai-shell-container.1": {
        "model": "gpt-4.1",
        "tools": [{"type": "shell", "environment": {"type": "container_auto"}}],
    },
    "openai-tool-search.1": {
        "model": "gpt-4.1",
        "tools": [{"type": "tool_search"}, {**FUNCTION, "defer_loading": True}],
    },
}


def recorded_events(name: str) -> list[Json]:
    lines = (recordings.FOLDER / "responses" / f"{name}.chunks.txt").read_text().splitlines()
    return [json.loads(line) for line in lines]


def order(events: list[Json]) -> list[str]:
    """Event types, a run of one type counted once, and annotations, whose place is the text's, left out."""
    types = [event["type"] for event in events if event["type"] != "response.output_text.annotation.added"]
    return [type for type, _ in groupby(types)]


@pytest.mark.parametrize("name", STREAMS)
def test_order_and_keys_of_hosted_tools_equal_the_recorded_stream(simulator: Simulator, name: str) -> None:
    expected = recorded_events(name)
    answer = simulator.respond({"input": "Hello", **STREAMS[name], "stream": True})
    actual = answer.events()
    assert order(actual) == order(expected)
    assert {event["type"]: set(event) for event in actual} == {event["type"]: set(event) for event in expected}
    for ours, theirs in zip(items_in(actual), items_in(expected), strict=True):
        assert set(ours) == set(theirs)


def items_in(events: list[Json]) -> list[Json]:
    return [event["item"] for event in events if "item" in event]


def test_an_image_is_generated_in_the_recorded_order(simulator: Simulator) -> None:
    expected = recorded_events("openai-image-generation-tool.1")
    body = {"model": "gpt-5", "input": "Draw a cat", "tools": [{"type": "image_generation"}], "stream": True}
    actual = simulator.respond(body).events()
    both = {event["type"] for event in expected} & {event["type"] for event in actual}
    ours, theirs = ([event for event in events if "image" in event["type"]] for events in (actual, expected))
    assert order(ours) == order(theirs)
    keys = ({e["type"]: set(e) for e in events if e["type"] in both} for events in (actual, expected))
    assert next(keys) == next(keys)


def test_the_temperature_of_a_reasoning_model_is_refused_as_recorded(simulator: Simulator) -> None:
    expected = json.loads((recordings.FOLDER / "responses/reasoning-model-temperature-error.json").read_text())
    answer = simulator.respond({"model": "o3", "input": "Hello", "temperature": 0.5})
    assert (answer.status, answer.json()) == (400, expected)


@pytest.mark.parametrize("path", CHATS, ids=lambda path: path.stem)
def test_recorded_chat_requests_get_the_recorded_form_natively(simulator: Simulator, path: Path) -> None:
    (exchange,) = interactions(path)
    asked = json.loads(exchange["request"]["body"])
    answer = simulator.call("POST", "/v1/chat/completions", asked)
    assert answer.status == exchange["response"]["code"], answer.body
    recorded = exchange["response"]["body"]
    if asked.get("stream"):
        assert chunk_forms(answer) == forms(sse(recorded))
    elif answer.status == 200:
        assert completion_form(answer.json()) == completion_form(json.loads(recorded))
    else:
        assert answer.json() == json.loads(recorded)


def chunk_forms(answer: HttpAnswer) -> list[Any]:
    assert answer.body.endswith(b"data: [DONE]\n\n")
    return forms(answer.events())


def forms(chunks: list[Json]) -> list[Any]:
    """The keys of every chunk: deltas of content and annotations, which depend on the answer, left out."""
    seen = [(sorted(chunk), sorted(key for choice in chunk["choices"] for key in choice)) for chunk in chunks]
    return [form for form, _ in groupby(seen)]


def completion_form(completion: Json) -> Any:
    (choice,) = completion["choices"]
    message = set(choice["message"]) - {"tool_calls"}
    return set(completion) - {"service_tier"}, set(choice), message, _numbers(completion["usage"])


def _numbers(usage: Json) -> Any:
    return {name: set(value) if isinstance(value, dict) else None for name, value in usage.items()}
