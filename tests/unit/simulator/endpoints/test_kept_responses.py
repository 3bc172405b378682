"""Responses that are kept: polled, cancelled, resumed, their input listed."""

import json
from typing import Any

from tests.unit.simulator.caller import HELLO, RESPONSES, Caller, create


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
