"""What the simulator keeps: responses, conversations, background answers, accounts; and what tests can do to it."""

import json
from typing import Any

import pytest

from tests.unit.simulator.caller import Caller

RESPONSES = "/v1/responses"
HELLO = {"model": "gpt-5.5", "input": "Hello"}


@pytest.fixture
def call() -> Caller:
    return Caller()


async def create(call: Caller, **body: Any) -> Any:
    return await call.json("POST", RESPONSES, {**HELLO, **body})


async def test_a_background_response_is_polled_to_its_end(call: Caller) -> None:
    made = await create(call, background=True, input="[[polls: 2]] Hello")
    assert (made["status"], made["output"], made["background"]) == ("queued", [], True)
    polled = [await call.json("GET", f"{RESPONSES}/{made['id']}") for _ in range(4)]
    assert [body["status"] for body in polled] == ["in_progress", "in_progress", "completed", "completed"]
    assert polled[-1]["output"][-1]["type"] == "message"


async def test_an_unfinished_background_response_is_no_parent_and_a_finished_one_is(call: Caller) -> None:
    made = await create(call, background=True, input="[[polls: 0]] Hello")
    refused = await create(call, previous_response_id=made["id"])
    assert refused["error"]["code"] == "previous_response_not_found"
    await call.json("GET", f"{RESPONSES}/{made['id']}")
    assert (await create(call, previous_response_id=made["id"]))["status"] == "completed"


async def test_cancelling_is_idempotent_and_final(call: Caller) -> None:
    made = await create(call, background=True)
    path = f"{RESPONSES}/{made['id']}"
    bodies = [await call.json("POST", f"{path}/cancel") for _ in range(2)]
    assert [body["status"] for body in bodies] == ["cancelled", "cancelled"]
    assert (await call.json("GET", path))["status"] == "cancelled"


async def events(call: Caller, method: str, path: str, body: Any = None) -> list[Any]:
    _, _, pieces = await call(method, path, body)
    lines = b"".join(pieces).decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


async def test_a_background_stream_is_resumed_where_it_broke(call: Caller) -> None:
    body = {**HELLO, "background": True, "stream": True, "input": "[[cut]] Hello"}
    broken = await events(call, "POST", RESPONSES, body)
    assert broken[1]["type"] == "response.queued" and broken[-1]["type"] == "response.output_text.delta"
    path = f"{RESPONSES}/{broken[0]['response']['id']}?stream=true"
    rest = await events(call, "GET", f"{path}&starting_after={broken[-1]['sequence_number']}")
    whole = await events(call, "GET", path)
    assert broken + rest == whole and whole[-1]["type"] == "response.completed"
    bare = await events(call, "GET", f"{path}&include_obfuscation=false")
    assert not any("obfuscation" in event for event in bare)


async def test_input_items_are_listed_by_after_limit_order_and_include(call: Caller) -> None:
    image = {"type": "input_image", "image_url": "https://example.com/a.png"}
    items = [{"role": "user", "content": [image]}, {"role": "user", "content": "b"}, {"role": "user", "content": "c"}]
    made = await create(call, input=items)
    path = f"{RESPONSES}/{made['id']}/input_items"
    listed = await call.json("GET", f"{path}?order=asc")
    ids = [item["id"] for item in listed["data"]]
    assert listed["data"][0]["content"][0]["image_url"] is None
    page = await call.json("GET", f"{path}?order=asc&limit=1&after={ids[0]}")
    assert ([item["id"] for item in page["data"]], page["has_more"]) == ([ids[1]], True)
    shown = await call.json("GET", f"{path}?order=asc&include=message.input_image.image_url")
    assert shown["data"][0]["content"][0]["image_url"] == image["image_url"]
    for wrong in ("limit=0", "limit=x", "order=up", "include=x", "after=msg_unknown"):
        assert "error" in await call.json("GET", f"{path}?{wrong}")


async def test_a_conversation_remembers_what_was_said_in_it(call: Caller) -> None:
    made = await call.json(
        "POST", "/v1/conversations", {"items": [{"role": "user", "content": "I am Ann"}], "metadata": {"a": "b"}}
    )
    assert set(made) == {"id", "object", "created_at", "metadata"}
    first = await create(call, conversation=made["id"], input="One")
    second = await create(call, conversation={"id": made["id"]}, input="Two")
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]
    listed = await call.json("GET", f"/v1/conversations/{made['id']}/items?order=asc&limit=100")
    assert [item["type"] for item in listed["data"]] == ["message", *["message", "reasoning", "message"] * 2]


async def test_conversation_items_are_added_read_and_removed(call: Caller) -> None:
    made = await call.json("POST", "/v1/conversations", b"")
    path = f"/v1/conversations/{made['id']}"
    added = await call.json("POST", f"{path}/items", {"items": [{"role": "user", "content": "Hello"}]})
    (item,) = added["data"]
    assert await call.json("GET", f"{path}/items/{item['id']}") == item
    assert (await call.json("DELETE", f"{path}/items/{item['id']}"))["id"] == made["id"]
    assert (await call.json("GET", f"{path}/items"))["data"] == []
    assert (await call.json("POST", path, {"metadata": {"k": "v"}}))["metadata"] == {"k": "v"}
    assert (await call.json("DELETE", path))["object"] == "conversation.deleted"
    status, _, _ = await call("GET", path)
    assert status == 404


async def test_a_conversation_is_free_again_after_a_refusal_and_a_broken_stream(call: Caller) -> None:
    made = await call.json("POST", "/v1/conversations", {})
    for body in ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, {"input": "[[cut]]"}):
        await call("POST", RESPONSES, {**HELLO, **body, "stream": True, "conversation": made["id"]})
    assert (await create(call, conversation=made["id"]))["status"] == "completed"


async def test_input_tokens_are_counted_and_a_context_is_compacted(call: Caller) -> None:
    counted = await call.json("POST", f"{RESPONSES}/input_tokens", HELLO)
    assert counted == {"object": "response.input_tokens", "input_tokens": counted["input_tokens"]}
    parent = await create(call)
    compacted = await call.json(
        "POST", f"{RESPONSES}/compact", {"model": "gpt-5.5", "previous_response_id": parent["id"]}
    )
    assert compacted["object"] == "response.compaction"
    assert [item["type"] for item in compacted["output"]] == ["message", "compaction"]
    items = [*compacted["output"], {"role": "user", "content": "Go on"}]
    assert (await create(call, input=items))["status"] == "completed"


async def test_a_compaction_trigger_and_a_threshold_make_a_compaction_item(call: Caller) -> None:
    asked = await create(call, input=[{"role": "user", "content": "Hello"}, {"type": "compaction_trigger"}])
    grown = await create(call, context_management=[{"type": "compaction", "compact_threshold": 1}])
    assert "compaction" in [item["type"] for item in asked["output"]]
    assert "compaction" in [item["type"] for item in grown["output"]]


async def test_responses_expire_on_demand(call: Caller) -> None:
    kept, gone = await create(call), await create(call)
    assert await call.json("POST", "/_simulator/expire", {"response_ids": [gone["id"]]}) == {"expired": 1}
    assert "error" in await create(call, previous_response_id=gone["id"])
    assert (await create(call, previous_response_id=kept["id"]))["status"] == "completed"
    assert (await call.json("POST", "/_simulator/expire"))["expired"] == 2
    assert "error" in await create(call, previous_response_id=kept["id"])


@pytest.mark.parametrize("header", [{"openai_organization": "org-2"}, {"openai_project": "proj-2"}])
async def test_organizations_and_projects_are_accounts_of_their_own(call: Caller, header: dict[str, str]) -> None:
    made = await create(call)
    body = {**HELLO, "previous_response_id": made["id"]}
    assert "error" in await call.json("POST", RESPONSES, body, **header)
    theirs = await call.json("POST", RESPONSES, HELLO, **header)
    replayed = {**HELLO, "input": [*theirs["output"], {"role": "user", "content": "And?"}]}
    assert (await create(call, **replayed))["error"]["code"] == "invalid_encrypted_content"
    assert (await call.json("POST", RESPONSES, replayed, **header))["status"] == "completed"


async def test_replayed_reasoning_can_be_withheld(call: Caller) -> None:
    made = await create(call)
    items = [*made["output"], {"role": "user", "content": "[[withhold: model_mismatch]] And?"}]
    told = await create(call, input=items)
    assert told["input_transformations"] == [
        {"id": made["output"][0]["id"], "action": "removed", "type": "reasoning", "reason": "model_mismatch"}
    ]


async def test_the_ledger_tells_what_tests_of_continuity_ask(call: Caller) -> None:
    made = await create(call)
    items = [*made["output"], {"role": "user", "content": "And?"}]
    await create(call, input=items, store=False, include=["reasoning.encrypted_content"])
    await create(call, previous_response_id="resp_unknown")
    replayed, chained = (await call.json("GET", "/_simulator/ledger?limit=2"))["requests"]
    assert [item["type"] for item in replayed["items"]] == ["reasoning", "message", "message"]
    assert [item.get("id") for item in replayed["items"]] == [*(item["id"] for item in made["output"]), None]
    assert len(replayed["items"][0]["encrypted_content"]) == 8
    assert (replayed["store"], replayed["include"]) == (False, ["reasoning.encrypted_content"])
    assert chained["previous_response_id"] == "resp_unknown"
    assert (chained["rule"], chained["status"], chained["store"]) == ("previous_response_not_found", 400, None)


async def test_a_reset_forgets_everything(call: Caller) -> None:
    made = await create(call)
    await call.json("POST", "/_simulator/reset")
    assert "error" in await create(call, previous_response_id=made["id"])
    assert len((await call.json("GET", "/_simulator/ledger"))["requests"]) == 1


async def test_rate_limits_and_prices_come_from_the_table_of_models(call: Caller) -> None:
    _, headers, _ = await call("POST", RESPONSES, HELLO)
    assert int(headers["x-ratelimit-remaining-tokens"]) < int(headers["x-ratelimit-limit-tokens"])
    shown = await call.json("GET", "/_simulator/models")
    assert all(model["output_price"] > 0 for model in shown["families"].values())
    listed = {model["id"] for model in (await call.json("GET", "/v1/models"))["data"]}
    assert {"gpt-4o", "sim-parallel-tools"} <= listed
