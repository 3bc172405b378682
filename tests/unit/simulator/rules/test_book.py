"""THE LIST, judged: for each rule a request that breaks it and nothing else, and the words of its refusal."""

import re
from pathlib import Path
from typing import Any

import pytest

from simulator.rules.book import RULES
from tests.unit.simulator.caller import Caller

RESPONSES = "/v1/responses"
CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "Hello"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "x"}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
CHAT_FUNCTION = {"type": "function", "function": {"name": "f"}}
CHAT_CALLS = {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}


def schema(**format: Any) -> dict[str, Any]:
    return {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, **format}}}


def part(**values: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [values]}]}


# Of rules that one request breaks: the path, what the body has on top of a good one, and the refused parameter.
BROKEN: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "unknown_parameter": (RESPONSES, {"tools": [{**FUNCTION, "function": {}}]}, "tools[0].function"),
    "missing_parameter": (RESPONSES, {"input": [{"type": "function_call"}]}, "input[0].call_id"),
    "invalid_type": (RESPONSES, {"tools": None}, "tools"),
    "invalid_value": (RESPONSES, {"include": ["x"]}, "include[0]"),
    "out_of_range": (RESPONSES, {"max_output_tokens": 15}, "max_output_tokens"),
    "string_too_long": (RESPONSES, {"metadata": {"k": "v" * 513}}, "metadata.k"),
    "empty_string": (RESPONSES, {"input": [{**CALL, "call_id": ""}]}, "input[0].call_id"),
    "empty_array": (CHAT, {"messages": []}, "messages"),
    "too_many_properties": (RESPONSES, {"metadata": {str(key): "v" for key in range(17)}}, "metadata"),
    "pattern": (RESPONSES, {"tools": [{**FUNCTION, "name": "a.b"}]}, "tools[0].name"),
    "id_prefix": (RESPONSES, {"input": [{**CALL, "id": "call_1"}]}, "input[0].id"),
    "stream_options": (RESPONSES, {"stream_options": {"include_obfuscation": True}}, "stream_options"),
    "background_unstored": (RESPONSES, {"background": True, "store": False}, "background"),
    "model_not_found": (RESPONSES, {"model": "gpt-4.1-nano-wrong"}, None),
    "not_for_responses": (RESPONSES, {"model": "gpt-4o-search-preview"}, "model"),
    "not_for_chat": (CHAT, {"model": "gpt-5.5-pro"}, "model"),
    "unsupported_parameter": (RESPONSES, {"temperature": 0.5}, "temperature"),
    "unsupported_value": (RESPONSES, {"model": "o3", "reasoning": {"effort": "max"}}, "reasoning.effort"),
    "encrypted_include": (RESPONSES, {"model": "gpt-4o", "include": ["reasoning.encrypted_content"]}, "include"),
    "logprobs_include": (RESPONSES, {"include": ["message.output_text.logprobs"]}, "include"),
    "schemas_unsupported": (RESPONSES, {"model": "gpt-4-turbo", **schema()}, "text.format"),
    "context_length": (RESPONSES, {"model": "sim-small", "input": "x" * 9000}, "input"),
    "chat_tools_with_reasoning": (CHAT, {"tools": [CHAT_FUNCTION]}, "reasoning_effort"),
    "chat_max_tokens": (CHAT, {"max_tokens": 100}, "max_tokens"),
    "chat_sampling": (CHAT, {"temperature": 0.5}, "temperature"),
    "chat_unsupported": (CHAT, {"stop": "x"}, "stop"),
    "image_url_type": (
        RESPONSES,
        part(type="input_image", image_url={"url": "https://example.com"}),
        "input[0].content[0].image_url",
    ),
    "image_url_format": (
        RESPONSES,
        part(type="input_image", image_url="data:application/pdf;base64,AA"),
        "input[0].content[0].image_url",
    ),
    "file_data_format": (
        RESPONSES,
        part(type="input_file", file_data="AAAA", filename="a.pdf"),
        "input[0].content[0].file_data",
    ),
    "media_source": (RESPONSES, part(type="input_image"), "input[0].content[0]"),
    "orphan_output": (RESPONSES, {"input": [USER, OUTPUT]}, "input"),
    "missing_output": (RESPONSES, {"input": [USER, CALL]}, "input"),
    "unapproved": (
        RESPONSES,
        {
            "input": [
                {"type": "mcp_approval_request", "id": "mcpr_1", "arguments": "", "name": "f", "server_label": "s"}
            ]
        },
        "input",
    ),
    "encrypted_content": (RESPONSES, {"input": [{**REASONING, "encrypted_content": "gAAAAx"}, CALL, OUTPUT]}, None),
    "item_not_found": (RESPONSES, {"input": [{"type": "item_reference", "id": "fc_unknown"}]}, "input"),
    "item_not_persisted": (RESPONSES, {"store": False, "input": [REASONING, CALL, OUTPUT]}, "input"),
    "json_word": (RESPONSES, {"text": {"format": {"type": "json_object"}}}, "input"),
    "chat_json_word": (CHAT, {"response_format": {"type": "json_object"}}, "messages"),
    "trigger_last": (RESPONSES, {"input": [{"type": "compaction_trigger"}, USER]}, "input[0]"),
    "chat_orphan_tool": (
        CHAT,
        {"messages": [USER, {"role": "tool", "tool_call_id": "c1", "content": "x"}]},
        "messages.[1].role",
    ),
    "chat_missing_tool": (CHAT, {"messages": [USER, CHAT_CALLS, USER]}, "messages.[1].role"),
    "two_parents": (RESPONSES, {"previous_response_id": "resp_1", "conversation": "conv_1"}, "previous_response_id"),
    "previous_response_id": (RESPONSES, {"previous_response_id": "chatcmpl-1"}, "previous_response_id"),
    "previous_response_not_found": (RESPONSES, {"previous_response_id": "resp_1"}, "previous_response_id"),
    "not_found": (RESPONSES, {"conversation": "conv_1"}, None),
    "too_many_items": ("/v1/conversations", {"items": [USER] * 21}, "items"),
    "tool_choice_unknown": (RESPONSES, {"tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
    "tool_choice_alone": (RESPONSES, {"tool_choice": "required"}, "tool_choice"),
    "mcp_server": (RESPONSES, {"tools": [{"type": "mcp", "server_label": "s"}]}, "tools[0]"),
    "function_schema": (RESPONSES, {"tools": [{**FUNCTION, "strict": True}]}, "tools[0].parameters"),
    "format_schema": (RESPONSES, schema(strict=True), "text.format.schema"),
    "chat_tool_type": (CHAT, {"tools": [{"type": "web_search"}]}, "tools[0].type"),
    "chat_choice_alone": (CHAT, {"tool_choice": "required"}, "tool_choice"),
}
GOOD: dict[str, dict[str, Any]] = {
    RESPONSES: {"model": "gpt-5.5", "input": "Hello"},
    CHAT: {"model": "gpt-5.5", "messages": [USER]},
    "/v1/conversations": {},
}
# Rules that it takes several requests, or no JSON body, to break: each has a test of its own below.
BROKEN_ELSEWHERE = {
    "bad_json",
    "bad_multipart",
    "missing_key",
    "wrong_key",
    "invalid_url",
    "reasoning_alone",
    "reasoning_absent",
    "conversation_locked",
    "cancel_synchronous",
    "stream_not_kept",
}


async def refused(call: Caller, method: str, path: str, body: Any = None, **options: Any) -> tuple[str | None, Any]:
    """The rule that refused the request, and the error in its answer."""
    error = (await call.json(method, path, body, **options))["error"]
    return call.memory.ledger.latest(1)["requests"][0].rule, error


def test_every_rule_has_a_request_that_breaks_it() -> None:
    assert {*BROKEN, *BROKEN_ELSEWHERE} == set(RULES)


def test_every_rule_is_enforced_by_name_and_no_other_name_is() -> None:
    source = Path(__file__).parents[4] / "simulator"
    code = "".join(path.read_text() for path in source.rglob("*.py"))
    named = set(re.findall(r'refuse\(\s*"(\w+)"', code))
    # A pair of call and result names its own rule.
    assert named | {"unapproved", "missing_output"} == set(RULES)


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_rule_is_answered_with_its_error(call: Caller, name: str) -> None:
    path, extra, param = BROKEN[name]
    broken, error = await refused(call, "POST", path, {**GOOD[path], **extra})
    assert (broken, error["param"]) == (name, param), error
    rule = RULES[name]
    assert error["type"] == rule.type and "{" not in error["message"].split("'")[0]
    assert call.memory.ledger.latest(1)["requests"][0].status == rule.status


@pytest.mark.parametrize("path", GOOD)
async def test_the_good_requests_are_good(call: Caller, path: str) -> None:
    status, _, _ = await call("POST", path, GOOD[path])
    assert status == 200


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bad_json", {"body": b"{"}),
        ("missing_key", {"key": None}),
        ("wrong_key", {"key": "invalid-1"}),
        ("invalid_url", {"path": "/v1/nothing"}),
        ("bad_multipart", {"path": "/v1/files", "content_type": "multipart/form-data"}),
    ],
)
async def test_requests_without_form_or_credentials(call: Caller, name: str, options: dict[str, Any]) -> None:
    given = {"method": "POST", "path": RESPONSES, "body": GOOD[RESPONSES], **options}
    broken, error = await refused(call, **given)
    assert broken == name
    assert set(error) == {"message", "type", "param", "code"}


async def test_reasoning_and_its_item_go_together(call: Caller) -> None:
    body = {"model": "gpt-5.5", "input": "Use f", "tools": [FUNCTION]}
    reasoning, item = (await call.json("POST", RESPONSES, body))["output"]
    result = {**OUTPUT, "call_id": item["call_id"]}
    start = [{"role": "user", "content": "Use f"}]
    whole = {**body, "input": [*start, reasoning, item, result]}
    assert (await call.json("POST", RESPONSES, whole))["status"] == "completed"
    bare = {name: value for name, value in item.items() if name != "id"}
    alone, _ = await refused(call, "POST", RESPONSES, {**body, "input": [*start, reasoning, bare, result]})
    absent, _ = await refused(call, "POST", RESPONSES, {**body, "input": [*start, item, result]})
    assert (alone, absent) == ("reasoning_alone", "reasoning_absent")
    plain = {**body, "input": [*start, bare, result]}
    assert (await call.json("POST", RESPONSES, plain))["status"] == "completed"


async def test_a_busy_conversation_is_locked(call: Caller) -> None:
    made = await call.json("POST", "/v1/conversations", {})
    account = str(call.memory.ledger.latest(1)["requests"][0].account)
    conversation = call.memory.conversations.find(account, made["id"])
    conversation.lock()
    body = {**GOOD[RESPONSES], "conversation": made["id"]}
    broken, error = await refused(call, "POST", RESPONSES, body)
    assert (broken, error["code"], error["param"]) == ("conversation_locked", "conversation_locked", "conversation")
    conversation.release()
    assert (await call.json("POST", RESPONSES, body))["conversation"] == {"id": made["id"]}


async def test_only_background_responses_are_cancelled_and_streamed_again(call: Caller) -> None:
    made = await call.json("POST", RESPONSES, GOOD[RESPONSES])
    path = f"{RESPONSES}/{made['id']}"
    assert (await refused(call, "POST", f"{path}/cancel"))[0] == "cancel_synchronous"
    assert (await refused(call, "GET", f"{path}?stream=true"))[0] == "stream_not_kept"
