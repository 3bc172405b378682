"""No request makes the simulator fail: whatever stands at whatever place is answered, or refused in OpenAI's form."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.simulator.caller import Caller

ODD: list[Any] = [None, "", "x", 0, -1, 1.5, True, [], ["x"], [None], {}, {"x": 1}, {"type": []}]
RESPONSES: dict[str, Any] = {
    "model": "gpt-5.5",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "https://a/b.png"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]},
    ],
    "tools": [
        {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}},
        {"type": "custom", "name": "g", "format": {"type": "text"}},
        {"type": "web_search", "user_location": {"type": "approximate"}},
        {"type": "mcp", "server_label": "s", "server_url": "https://a", "allowed_tools": ["x"]},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "metadata": {"a": "b"},
    "context_management": [{"type": "compaction", "compact_threshold": 1}],
    "stream": True,
    "stream_options": {"include_obfuscation": False},
}
CHAT: dict[str, Any] = {
    "model": "gpt-5",
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "n": 2,
    "stream": True,
    "stream_options": {"include_usage": True},
}


CHAT_4O: dict[str, Any] = {
    **CHAT,
    "model": "gpt-4o",
    "stop": ["never"],
    "logprobs": True,
    "top_logprobs": 1,
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
    },
    "response_format": {"type": "text"},
    "web_search_options": {},
    "logit_bias": {},
    "user": "u",
}
CHAT_FUNCTIONS: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "Hello"}],
    "functions": [{"name": "f", "parameters": {"type": "object", "properties": {}}}],
    "function_call": "auto",
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in children:
        yield from places(inner, (*path, key))


def changed(body: Any, path: tuple[Any, ...], odd: Any) -> Any:
    copy = json.loads(json.dumps(body))
    target = copy
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = odd
    return copy


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/responses", RESPONSES), *(("/v1/chat/completions", body) for body in (CHAT, CHAT_4O, CHAT_FUNCTIONS))],
)
async def test_odd_values_anywhere_never_break_the_simulator(path: str, body: Any) -> None:
    call = Caller()
    assert (await call("POST", path, body))[0] == 200
    for place in places(body):
        for odd in ODD:
            status, _, pieces = await call("POST", path, changed(body, place, odd))
            assert status != 500, (place, odd, pieces)
            if status != 200:
                assert set(json.loads(pieces[0])["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("script", ["[[output: {broken]]", "[[output: []]]", "[[use: nothing]]", "[[http: x]]"])
async def test_odd_directives_are_answered(script: str) -> None:
    status, _, pieces = await Caller()("POST", "/v1/responses", {"model": "gpt-5.5", "input": script})
    assert status == (500 if "http" in script else 400) and b'"error"' in pieces[0]
