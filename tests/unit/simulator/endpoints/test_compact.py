from tests.unit.simulator.caller import RESPONSES, Caller, create


async def test_a_context_is_compacted(call: Caller) -> None:
    parent = await create(call)
    compacted = await call.json(
        "POST", f"{RESPONSES}/compact", {"model": "gpt-5.5", "previous_response_id": parent["id"]}
    )
    assert compacted["object"] == "response.compaction"
    assert [item["type"] for item in compacted["output"]] == ["message", "compaction"]
    items = [*compacted["output"], {"role": "user", "content": "Go on"}]
    assert (await create(call, input=items))["status"] == "completed"
