from tests.unit.simulator.caller import HELLO, RESPONSES, Caller, create


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
