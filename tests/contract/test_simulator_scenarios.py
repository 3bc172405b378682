"""Every scenario model and every hosted tool, judged by the official SDK: all 59 event types, each in its place."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from openai.types.responses import Response, ResponseOutputItem, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from simulator.scripts.scenario_models import SCENARIO_MODELS
from tests.support.simulator import Json, Simulator, started_simulator

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ITEMS: TypeAdapter[Any] = TypeAdapter(ResponseOutputItem)
EVENT_TYPES = {
    get_args(member.model_fields["type"].annotation)[0] for member in get_args(get_args(ResponseStreamEvent)[0])
}

# On the live wire (recorded or observed), though the SDK's union has no type for them.
UNTYPED_EVENTS = {
    "keepalive",
    "response.apply_patch_call_operation_diff.delta",
    "response.apply_patch_call_operation_diff.done",
}
UNTYPED_KEYS = {"obfuscation", "billing", "frequency_penalty", "presence_penalty", "store", "status"}

MCP: Json = {"type": "mcp", "server_label": "zip", "server_url": "https://example.com/mcp", "require_approval": "never"}
FUNCTION: Json = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
DEFERRED: Json = {**FUNCTION, "defer_loading": True}
# What a request declares, and the types of the output items that it naturally leads to.
NATURAL: dict[str, tuple[list[Json], list[str]]] = {
    "web_search": ([{"type": "web_search"}], ["reasoning", "web_search_call", "reasoning", "message"]),
    "file_search": (
        [{"type": "file_search", "vector_store_ids": ["vs_1"]}],
        ["reasoning", "file_search_call", "reasoning", "message"],
    ),
    "code_interpreter": (
        [{"type": "code_interpreter", "container": {"type": "auto"}}],
        ["reasoning", "code_interpreter_call", "reasoning", "message"],
    ),
    "image_generation": (
        [{"type": "image_generation", "partial_images": 2}],
        ["reasoning", "image_generation_call", "reasoning", "message"],
    ),
    "mcp": ([MCP], ["mcp_list_tools", "reasoning", "mcp_call", "reasoning", "message"]),
    "mcp_approval": (
        [{**MCP, "require_approval": "always"}],
        ["mcp_list_tools", "reasoning", "mcp_approval_request"],
    ),
    "shell": ([{"type": "shell"}], ["reasoning", "shell_call"]),
    "shell_container": (
        [{"type": "shell", "environment": {"type": "container_auto"}}],
        ["reasoning", "shell_call", "shell_call_output", "reasoning", "message"],
    ),
    "local_shell": ([{"type": "local_shell"}], ["reasoning", "local_shell_call"]),
    "apply_patch": ([{"type": "apply_patch"}], ["reasoning", "apply_patch_call"]),
    "computer": ([{"type": "computer"}], ["reasoning", "computer_call"]),
    "tool_search": (
        [{"type": "tool_search"}, DEFERRED],
        ["reasoning", "tool_search_call", "tool_search_output", "function_call"],
    ),
    "tool_search_client": ([{"type": "tool_search", "execution": "client"}], ["reasoning", "tool_search_call"]),
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with started_simulator() as started:
        yield started


def stream(simulator: Simulator, **body: Any) -> list[Json]:
    answer = simulator.respond({"input": "Hello Ann", "model": "gpt-5.5", **body, "stream": True})
    assert answer.status == 200, answer.body
    return answer.events()


def untyped(value: Any) -> set[str]:
    """Every key, however deep, that the SDK's models do not know."""
    if isinstance(value, BaseModel):
        found = set(value.model_extra or {})
        return found.union(*(untyped(getattr(value, name)) for name in type(value).model_fields))
    if isinstance(value, list):
        return set().union(*map(untyped, value))
    return set()


def unsealed(item: Json) -> Json:
    """An item without its sealed content, which every event seals anew."""
    return {key: value for key, value in item.items() if key != "encrypted_content"}


def judge(events: list[Json]) -> None:
    """Numbered without a gap, every event and item of a known type with known keys, every item announced and done."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    for event in events:
        if event["type"] not in UNTYPED_EVENTS and "error" not in event:
            assert untyped(EVENTS.validate_python(event)) <= UNTYPED_KEYS, event
    final = events[-1]["response"]
    added = {e["output_index"]: e["item"] for e in events if e["type"] == "response.output_item.added"}
    done = {e["output_index"]: e["item"] for e in events if e["type"] == "response.output_item.done"}
    assert list(added) == list(range(len(added)))
    if final["status"] in ("completed", "incomplete"):
        assert [unsealed(done[index]) for index in added] == [unsealed(item) for item in final["output"]]
    for index, item in done.items():
        assert (item["type"], item["id"]) == (added[index]["type"], added[index]["id"])
        assert untyped(ITEMS.validate_python(item)) <= UNTYPED_KEYS
    for event in events:
        if "output_index" in event and "item_id" in event:
            assert event["item_id"] == added[event["output_index"]]["id"]


@pytest.mark.parametrize("model", SCENARIO_MODELS)
def test_every_scenario_model_streams_what_the_sdk_knows(simulator: Simulator, model: str) -> None:
    judge(stream(simulator, model=model))


@pytest.mark.parametrize("model", sorted(set(SCENARIO_MODELS) - {"sim-error", "sim-error-flat"}))
def test_every_scenario_model_answers_whole_with_the_same_output(simulator: Simulator, model: str) -> None:
    body = simulator.respond({"model": model, "input": "Hello Ann"}).json()
    assert untyped(Response.model_validate(body)) <= UNTYPED_KEYS
    streamed = stream(simulator, model=model)[-1]["response"]
    assert [item["type"] for item in body["output"]] == [item["type"] for item in streamed["output"]]
    assert (body["status"], body["usage"]) == (streamed["status"], streamed["usage"])


def test_the_scenario_models_and_tools_show_all_event_types(simulator: Simulator) -> None:
    seen: set[str] = set()
    for model in SCENARIO_MODELS:
        seen.update(event["type"] for event in stream(simulator, model=model))
    compacting = {"context_management": [{"type": "compaction", "compact_threshold": 1}]}
    seen.update(event["type"] for event in stream(simulator, **compacting))
    assert seen - UNTYPED_EVENTS == EVENT_TYPES


@pytest.mark.parametrize("name", NATURAL)
def test_a_declared_hosted_tool_is_used(simulator: Simulator, name: str) -> None:
    tools, expected = NATURAL[name]
    events = stream(simulator, tools=tools)
    judge(events)
    assert [item["type"] for item in events[-1]["response"]["output"]] == expected


@pytest.mark.parametrize("name", ["web_search", "file_search"])
def test_what_was_found_is_cited_in_the_text(simulator: Simulator, name: str) -> None:
    events = stream(simulator, tools=NATURAL[name][0])
    (added,) = [event for event in events if event["type"] == "response.output_text.annotation.added"]
    (part,) = events[-1]["response"]["output"][-1]["content"]
    assert part["annotations"] == [added["annotation"]]


def test_an_approved_mcp_call_is_made_with_its_approval(simulator: Simulator) -> None:
    tools = NATURAL["mcp_approval"][0]
    asked = stream(simulator, tools=tools)[-1]["response"]
    request = asked["output"][-1]
    answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
    told = stream(simulator, tools=tools, previous_response_id=asked["id"], input=[answer])[-1]["response"]
    (call,) = [item for item in told["output"] if item["type"] == "mcp_call"]
    assert call["approval_request_id"] == request["id"]
    denied = stream(simulator, tools=tools, previous_response_id=asked["id"], input=[{**answer, "approve": False}])
    assert [item["type"] for item in denied[-1]["response"]["output"]] == ["reasoning", "message"]


@pytest.mark.parametrize(
    ("include", "name", "shown"),
    [
        ("file_search_call.results", "file_search", lambda item: item["results"]),
        ("code_interpreter_call.outputs", "code_interpreter", lambda item: item["outputs"]),
        ("web_search_call.action.sources", "web_search", lambda item: item["action"].get("sources")),
    ],
)
def test_results_are_shown_when_included(simulator: Simulator, include: str, name: str, shown: Any) -> None:
    tools, _ = NATURAL[name]

    def item(**body: Any) -> Any:
        return next(i for i in stream(simulator, tools=tools, **body)[-1]["response"]["output"] if "_call" in i["type"])

    assert shown(item()) is None and shown(item(include=[include]))


def test_logprobs_are_in_deltas_and_with_bytes_in_the_part(simulator: Simulator) -> None:
    body = {"model": "gpt-4o", "include": ["message.output_text.logprobs"], "top_logprobs": 2}
    events = stream(simulator, input="[[text: Zürich lies by a lake.]]", **body)
    judge(events)
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert all(event["logprobs"][0]["token"] == event["delta"] for event in deltas)
    assert "bytes" not in deltas[0]["logprobs"][0]
    full = events[-1]["response"]["output"][0]["content"][0]["logprobs"]
    assert "".join(bytes(entry["bytes"]).decode() for entry in full) == "Zürich lies by a lake."
    assert all(len(entry["top_logprobs"]) == 2 for entry in full)


def test_overlapping_items_interleave_and_each_is_whole(simulator: Simulator) -> None:
    events = stream(simulator, model="sim-overlapping-tools")
    order = [e["output_index"] for e in events if e["type"] == "response.function_call_arguments.delta"]
    assert order != sorted(order)
    for item in events[-1]["response"]["output"][1:]:
        joined = "".join(
            e["delta"] for e in events if e["type"].endswith("arguments.delta") and e["item_id"] == item["id"]
        )
        assert joined == item["arguments"]


def test_a_keepalive_takes_a_number_of_its_own(simulator: Simulator) -> None:
    events = stream(simulator, model="sim-queued")
    assert [event["type"] for event in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert {"type", "sequence_number"} == set(next(event for event in events if event["type"] == "keepalive"))


def test_the_two_shapes_of_a_mid_stream_error(simulator: Simulator) -> None:
    nested, flat = (stream(simulator, model=model)[-2] for model in ("sim-error", "sim-error-flat"))
    assert (nested["error"]["code"], flat["code"]) == ("server_error", "server_error")
    assert "error" not in flat and "code" not in nested


def test_reasoning_is_sealed_unasked_by_new_models_and_on_request_by_old_ones(simulator: Simulator) -> None:
    def reasoning(**body: Any) -> Json:
        return dict(stream(simulator, **body)[-1]["response"]["output"][0])

    assert set(reasoning(model="gpt-5.5")) == {"id", "type", "content", "encrypted_content", "summary"}
    assert set(reasoning(model="gpt-5")) == {"id", "type", "summary"}
    asked = reasoning(model="gpt-5", include=["reasoning.encrypted_content"])
    assert set(asked) == {"id", "type", "encrypted_content", "summary"}


def test_an_open_strict_makes_optional_properties_required(simulator: Simulator) -> None:
    properties = {"city": {"type": "string"}, "unit": {"type": "string"}}
    tool = {**FUNCTION, "parameters": {"type": "object", "properties": properties, "required": ["city"]}}

    def made(**extra: Any) -> tuple[bool, set[str]]:
        final = stream(simulator, tools=[{**tool, **extra}])[-1]["response"]
        return final["tools"][0]["strict"], set(json.loads(final["output"][-1]["arguments"]))

    assert made() == (True, {"city", "unit"})
    assert made(strict=False) == (False, {"city"})


def test_sealed_content_is_good_when_its_item_is_done_and_not_before(simulator: Simulator) -> None:
    events = stream(simulator, input="Use get_weather", tools=[FUNCTION])
    items = [event["item"] for event in events if "item" in event and event["item"]["type"] == "reasoning"]
    announced, done = (item["encrypted_content"] for item in items)
    reasoning, call = events[-1]["response"]["output"]
    assert len({announced, done, reasoning["encrypted_content"]}) == 3
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "x"}
    statuses = [
        simulator.respond(
            {"model": "gpt-5.5", "input": [{**reasoning, "encrypted_content": token}, call, result]}
        ).status
        for token in (announced, done, reasoning["encrypted_content"])
    ]
    assert statuses == [400, 200, 200]
