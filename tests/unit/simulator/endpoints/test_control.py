"""What tests can ask of the simulator itself, and do to it."""

from tests.unit.simulator.caller import HELLO, RESPONSES, Caller, create


async def test_responses_expire_on_demand(call: Caller) -> None:
    kept, gone = await create(call), await create(call)
    assert await call.json("POST", "/_simulator/expire", {"response_ids": [gone["id"]]}) == {"expired": 1}
    assert "error" in await create(call, previous_response_id=gone["id"])
    assert (await create(call, previous_response_id=kept["id"]))["status"] == "completed"
    assert (await call.json("POST", "/_simulator/expire"))["expired"] == 2
    assert "error" in await create(call, previous_response_id=kept["id"])


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
