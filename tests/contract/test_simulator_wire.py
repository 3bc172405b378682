"""The simulator's wire form, judged by the official SDK and by recorded traffic.

Recordings are read from the directory that PARLEY_RECORDINGS names; without it their tests are skipped.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from typing import Any

import openai
import pytest
import yaml
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from tests.support import recordings
from tests.support.simulator import Json, Simulator, running_simulator, started_simulator

# On the live wire (recorded), but not in the SDK's types; `status` is missing from its custom tool call.
UNTYPED_KEYS = {"obfuscation", "billing", "frequency_penalty", "presence_penalty", "store", "status"}
EVENT_ADAPTER: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
CLOCK: Json = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}
SQL: Json = {"type": "custom", "name": "write_sql"}
SCHEMA: Json = {
    "type": "json_schema",
    "name": "city",
    "schema": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "population": {"type": "integer"}},
        "required": ["name", "population"],
    },
}

SCENARIOS: dict[str, Json] = {
    "text": {"input": "Say hello to Ann"},
    "text_without_reasoning": {"model": "gpt-4o", "input": "Say hello to Ann"},
    "reasoning_summary": {"input": "Think, Ann", "reasoning": {"summary": "auto", "effort": "low"}},
    "one_call": {"input": "What is the weather in Paris?", "tools": [WEATHER]},
    "parallel_calls": {"input": "Use get_weather and get_time for Rome", "tools": [WEATHER, CLOCK]},
    "text_then_call": {"input": '[[text: Let me look.]] [[call: get_weather {"city": "Oslo"}]]', "tools": [WEATHER]},
    "custom_call": {"input": "[[call: write_sql SELECT 1]]", "tools": [SQL]},
    "structured": {"input": "Describe the city of Lima", "text": {"format": SCHEMA}},
    "json_object": {"input": "Answer in json, Ann", "text": {"format": {"type": "json_object"}}},
    "refusal": {"input": "[[refuse]]"},
    "length": {"input": "[[length]] Ann"},
    "content_filter": {"input": "[[content_filter]] Ann"},
    "failed": {"input": "[[fail: rate_limit_exceeded Too much.]]"},
    "long": {"input": "[[words: 500]]"},
}
STATUS = {"length": "incomplete", "content_filter": "incomplete", "failed": "failed"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with started_simulator() as started:
        yield started


@pytest.fixture
def client(simulator: Simulator) -> Iterator[OpenAI]:
    with OpenAI(base_url=simulator.base_url, api_key="test-key", max_retries=0) as made:
        yield made


def stream(simulator: Simulator, body: Json) -> list[Json]:
    answer = simulator.respond({"model": "gpt-5.5", **body, "stream": True})
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    return answer.events()


def untyped(value: Any) -> set[str]:
    """Every key, however deep, that the SDK's models do not know."""
    if isinstance(value, BaseModel):
        found = set(value.model_extra or {})
        return found.union(*(untyped(getattr(value, name)) for name in type(value).model_fields))
    if isinstance(value, list):
        return set().union(*map(untyped, value))
    return set()


def deduplicated(types: Iterable[str]) -> list[str]:
    """Event types with a run of the same one, as deltas make, counted once."""
    return [type for type, _ in groupby(types)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_event_is_one_the_sdk_knows(simulator: Simulator, name: str) -> None:
    for event in stream(simulator, SCENARIOS[name]):
        parsed = EVENT_ADAPTER.validate_python(event)
        assert parsed.type == event["type"]
        assert untyped(parsed) <= UNTYPED_KEYS


@pytest.mark.parametrize("name", SCENARIOS)
def test_events_are_numbered_from_zero_and_end_with_the_status(simulator: Simulator, name: str) -> None:
    events = stream(simulator, SCENARIOS[name])
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == f"response.{STATUS.get(name, 'completed')}"
    assert events[-1]["response"]["status"] == STATUS.get(name, "completed")
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1


@pytest.mark.parametrize("name", SCENARIOS)
def test_frames_name_their_event(simulator: Simulator, name: str) -> None:
    answer = simulator.respond({"model": "gpt-5.5", **SCENARIOS[name], "stream": True})
    frames = answer.body.decode().split("\n\n")
    assert frames.pop() == ""
    for frame in frames:
        first, second = frame.split("\n")
        assert first == f"event: {json.loads(second.removeprefix('data: '))['type']}"
    assert b"[DONE]" not in answer.body


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_whole_body_is_a_response_and_agrees_with_the_stream(simulator: Simulator, name: str) -> None:
    body = simulator.respond({"model": "gpt-5.5", **SCENARIOS[name]}).json()
    assert untyped(Response.model_validate(body)) <= UNTYPED_KEYS
    streamed = stream(simulator, SCENARIOS[name])[-1]["response"]
    assert set(body) - {"billing"} == set(streamed)
    assert _without_ids(body["output"]) == _without_ids(streamed["output"])
    assert body["usage"] == streamed["usage"]


def _without_ids(output: list[Json]) -> list[Json]:
    return [
        {key: value for key, value in item.items() if key not in ("id", "call_id", "encrypted_content")}
        for item in output
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_deltas_join_to_the_final_items(simulator: Simulator, name: str) -> None:
    events = stream(simulator, SCENARIOS[name])
    joined: dict[int, str] = {}
    for event in events:
        if event["type"].endswith(".delta") and "summary" not in event["type"]:
            joined[event["output_index"]] = joined.get(event["output_index"], "") + event["delta"]
    for index, item in enumerate(events[-1]["response"]["output"]):
        if item["type"] != "reasoning":
            assert joined.get(index) == _text_of(item)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert unsealed(done) == unsealed(events[-1]["response"]["output"])


def unsealed(items: list[Json]) -> list[Json]:
    """Items without their sealed content, which every event seals anew."""
    return [{key: value for key, value in item.items() if key != "encrypted_content"} for item in items]


def _text_of(item: Json) -> str:
    part = item["content"][0] if item["type"] == "message" else item
    return str(next(part[key] for key in ("text", "refusal", "arguments", "input") if key in part))


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - set(STATUS)))
def test_the_sdk_helper_rebuilds_every_completed_stream(client: OpenAI, name: str) -> None:
    arguments: Any = {"model": "gpt-5.5", **SCENARIOS[name]}
    with client.responses.stream(**arguments) as events:
        final = events.get_final_response()
    assert final.status == "completed"
    assert final.output


def test_the_sdk_reads_a_call_and_continues_the_chain(client: OpenAI) -> None:
    tools: Any = [WEATHER]
    asked = client.responses.create(model="gpt-5.5", input="What is the weather in Paris?", tools=tools)
    call = asked.output[-1]
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
    told = client.responses.create(
        model="gpt-5.5",
        previous_response_id=asked.id,
        tools=tools,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees, sunny"}],
    )
    assert "21 degrees, sunny" in told.output_text
    assert told.usage and asked.usage and told.usage.input_tokens > asked.usage.input_tokens


def test_the_sdk_raises_on_an_error_in_the_middle_of_a_stream(client: OpenAI) -> None:
    with pytest.raises(openai.APIError) as raised:
        for _ in client.responses.create(model="gpt-5", input="[[error-midstream: slow_down Wait.]]", stream=True):
            continue
    assert (raised.value.code, raised.value.message) == ("slow_down", "Wait.")


def test_a_cut_stream_is_a_broken_connection_without_a_terminal_event(client: OpenAI) -> None:
    seen: list[str] = []
    with pytest.raises(openai.APIError):
        for event in client.responses.create(model="gpt-5", input="[[cut]] Ann", stream=True):
            seen.append(event.type)
    assert seen[-1] == "response.output_text.delta"


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_http_errors_have_the_envelope_the_sdk_reads(
    client: OpenAI, status: int, raised: type[openai.APIStatusError]
) -> None:
    with pytest.raises(raised) as caught:
        client.responses.create(model="gpt-5", input=f"[[http: {status} my_code My message.]]")
    assert (caught.value.status_code, caught.value.code) == (status, "my_code")
    assert "My message." in caught.value.message
    assert caught.value.request_id and caught.value.request_id.startswith("req_")


def test_a_rate_limit_says_when_to_retry(simulator: Simulator) -> None:
    answer = simulator.respond({"model": "gpt-5", "input": "[[http: 429]]"})
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"


def test_stored_responses_are_retrieved_listed_and_deleted(client: OpenAI) -> None:
    made = client.responses.create(model="gpt-5", input="Remember Ann")
    assert client.responses.retrieve(made.id).output_text == made.output_text
    listed = client.responses.input_items.list(made.id)
    assert [item.type for item in listed.data] == ["message"]
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_chat_completions_stream_and_answer_natively(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "Hello Ann"}])
    chunks = list(
        client.chat.completions.create(
            model="gpt-5",
            messages=[{"role": "user", "content": "Hello Ann"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert "Ann" in text and text == whole.choices[0].message.content
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
    assert chunks[-1].usage == whole.usage and not chunks[-1].choices


def test_relayed_endpoints_answer_the_sdk(client: OpenAI) -> None:
    assert "gpt-5" in [model.id for model in client.models.list()]
    assert client.models.retrieve("gpt-5").id == "gpt-5"
    content = os.urandom(300_000)
    uploaded = client.files.create(file=("a.bin", content), purpose="user_data")
    assert (uploaded.bytes, uploaded.filename) == (len(content), "a.bin")
    assert uploaded.id in [file.id for file in client.files.list()]
    vectors = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"]).data
    assert len(vectors) == 2 and vectors[0].embedding != vectors[1].embedding


async def test_a_client_that_leaves_is_noticed_in_the_middle_of_a_pause() -> None:
    async with running_simulator() as simulator:
        async with openai.AsyncOpenAI(base_url=simulator.base_url, api_key="k", max_retries=0) as client:
            events = await client.responses.create(model="gpt-5", input="[[stall: 60s]] Ann", stream=True)
            async for event in events:
                if event.type == "response.output_text.delta":
                    break
            await events.close()
        entry = simulator.wait_for_request(lambda entry: bool(entry["disconnected"]))
        assert (entry["status"], entry["finished"]) == (200, False)


def test_the_process_stops_cleanly_in_the_middle_of_a_stream() -> None:
    with ExitStack() as stack:
        with started_simulator() as simulator:
            client = stack.enter_context(OpenAI(base_url=simulator.base_url, api_key="k", max_retries=0))
            events = client.responses.create(model="gpt-5", input="[[stall: 60s]] Ann", stream=True)
            assert next(iter(events)).type == "response.created"
        # Leaving the block stopped the process and asserted that its exit status was 0.
        with pytest.raises(openai.APIError):
            list(events)


def recorded_exchange(name: str, position: int) -> tuple[Json, list[Json]]:
    """A recorded streaming exchange: the request body, and the events of its answer."""
    cassette = yaml.safe_load((recordings.FOLDER / "responses-http" / name).read_text())
    exchange = cassette["interactions"][position]
    lines = exchange["response"]["body"]["string"].splitlines()
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    return exchange["request"]["parsed_body"], data


def recorded_chunks(name: str) -> list[Json]:
    """The first response of a recorded stream."""
    events: list[Json] = []
    for line in (recordings.FOLDER / "responses" / name).read_text().splitlines():
        events.append(json.loads(line))
        if events[-1]["type"] in ("response.completed", "response.failed"):
            break
    return events


def key_sets(events: list[Json]) -> dict[str, set[str]]:
    return {event["type"]: set(event) for event in events}


@recordings.needed
@pytest.mark.parametrize("position", [0, 1])
def test_order_and_keys_equal_the_recorded_stream(simulator: Simulator, position: int) -> None:
    asked, expected = recorded_exchange("test_openai_responses_phase_streamed_on_part_start.yaml", position)
    script = '[[text: One moment please.]] [[call: get_capital {"country": "PotatoLand"}]]'
    if position == 1:
        script = "[[text: The capital is known.]] [[reasoning: 0]]"
    body = {name: asked[name] for name in ("instructions", "tools", "tool_choice", "include")}
    actual = stream(simulator, {**body, "input": script})
    assert deduplicated(e["type"] for e in actual) == deduplicated(e["type"] for e in expected)
    assert key_sets(actual) == key_sets(expected)
    for ours, theirs in zip(_structures(actual), _structures(expected), strict=True):
        assert ours == theirs


def _structures(events: list[Json]) -> Iterator[Any]:
    """The nested keys of what an event carries: responses, items and parts, without strings and numbers."""
    for event in events:
        for key in ("response", "item", "part"):
            if key in event:
                yield event["type"], _shape(event[key])


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        return [_shape(inner) for inner in value]
    return None


@recordings.needed
def test_reasoning_summary_order_equals_the_recorded_stream(simulator: Simulator) -> None:
    expected = recorded_chunks("openai-reasoning-encrypted-content.1.chunks.txt")
    body = {"input": "Use get_weather for Rome", "reasoning": {"summary": "detailed"}, "tools": [WEATHER]}
    actual = stream(simulator, body)
    assert deduplicated(e["type"] for e in actual) == deduplicated(e["type"] for e in expected)
    assert key_sets(actual) == key_sets(expected)


@recordings.needed
def test_the_error_event_equals_the_recorded_one(simulator: Simulator) -> None:
    expected = recorded_chunks("openai-error.1.chunks.txt")
    actual = stream(simulator, {"input": "[[error-midstream: insufficient_quota Paid out.]]"})
    assert [e["type"] for e in actual[-2:]] == [e["type"] for e in expected[-2:]]
    assert _shape(actual[-2]) == _shape(expected[-2])
    assert set(actual[-1]["response"]) >= set(expected[-1]["response"])


@recordings.needed
def test_recorded_requests_are_accepted(simulator: Simulator) -> None:
    """What clients really sent, and OpenAI took, the simulator takes too."""
    asked, _ = recorded_exchange("test_openai_responses_stream.yaml", 0)
    assert simulator.respond(asked).status == 200
    continued, _ = recorded_exchange("test_openai_responses_stream.yaml", 1)
    # Recorded before OpenAI limited call ids to 64 characters; this one is shorter.
    assert simulator.respond(continued).status == 200
