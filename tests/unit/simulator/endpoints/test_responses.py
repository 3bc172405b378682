"""What an answer depends on besides its input: the account, and what is compacted or withheld."""

import pytest

from tests.unit.simulator.caller import HELLO, RESPONSES, Caller, create


async def test_a_compaction_trigger_and_a_threshold_make_a_compaction_item(call: Caller) -> None:
    asked = await create(call, input=[{"role": "user", "content": "Hello"}, {"type": "compaction_trigger"}])
    grown = await create(call, context_management=[{"type": "compaction", "compact_threshold": 1}])
    assert "compaction" in [item["type"] for item in asked["output"]]
    assert "compaction" in [item["type"] for item in grown["output"]]


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
