"""Requests through the whole application, in process."""

import base64
import hashlib
import json
import os

import pytest

from tests.unit.simulator.caller import HELLO, Caller


async def test_a_large_image_is_counted_whole(call: Caller) -> None:
    image = os.urandom(2_000_000)
    url = "data:image/png;base64," + base64.b64encode(image).decode()
    content = [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": url, "detail": "auto"}]
    answer = await call.json("POST", "/v1/responses", {**HELLO, "input": [{"role": "user", "content": content}]})
    assert "I received 1 image with 2000000 bytes in total." in answer["output"][-1]["content"][0]["text"]
    (entry,) = (await call.json("GET", "/_simulator/ledger"))["requests"]
    recorded = entry["body"]["input"][0]["content"][1]["image_url"]
    assert recorded == {"sha256": hashlib.sha256(url.encode()).hexdigest(), "length": len(url)}


async def test_the_answer_names_the_dated_model(call: Caller) -> None:
    assert (await call.json("POST", "/v1/responses", HELLO))["model"] == "gpt-5.5-2026-08-07"
    dated = {**HELLO, "model": "gpt-5-2025-08-07"}
    assert (await call.json("POST", "/v1/responses", dated))["model"] == "gpt-5-2025-08-07"


@pytest.mark.parametrize("key", [None, "invalid-key"])
async def test_a_missing_or_wrong_key_is_a_401(call: Caller, key: str | None) -> None:
    status, _, pieces = await call("POST", "/v1/responses", HELLO, key)
    assert (status, json.loads(pieces[0])["error"]["code"]) == (401, "invalid_api_key")
    assert key is None or key not in pieces[0].decode()


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b"\xff"])
async def test_a_body_that_is_no_json_object_is_a_400(call: Caller, body: bytes) -> None:
    status, _, pieces = await call("POST", "/v1/responses", body)
    assert status == 400 and "could not parse" in json.loads(pieces[0])["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/nothing"), ("PUT", "/v1/responses"), ("GET", "/")])
async def test_unknown_paths_and_methods_get_openais_404(call: Caller, method: str, path: str) -> None:
    status, headers, pieces = await call(method, path)
    assert status == 404 and headers["x-request-id"].startswith("req_")
    assert json.loads(pieces[0])["error"] == {
        "message": f"Invalid URL ({method} {path})",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


async def test_unstored_and_foreign_responses_are_not_found(call: Caller) -> None:
    unstored = await call.json("POST", "/v1/responses", {**HELLO, "store": False})
    stored = await call.json("POST", "/v1/responses", HELLO)
    for id, key in ((unstored["id"], "k"), (stored["id"], "another")):
        answer = await call.json("POST", "/v1/responses", {**HELLO, "previous_response_id": id}, key)
        assert answer["error"]["code"] == "previous_response_not_found"
        status, _, _ = await call("GET", f"/v1/responses/{id}", None, key)
        assert status == 404
    chained = await call.json("POST", "/v1/responses", {**HELLO, "previous_response_id": stored["id"]})
    assert chained["previous_response_id"] == stored["id"]
    assert chained["usage"]["input_tokens"] > stored["usage"]["input_tokens"]


async def test_a_streamed_response_can_be_chained_on_and_interrupted_ones_can_not(call: Caller) -> None:
    for script, found in (("", True), ("[[cut]]", False), ("[[error-midstream]]", False)):
        _, _, pieces = await call("POST", "/v1/responses", {**HELLO, "stream": True}, x_simulator_script=script)
        data = [line for line in b"".join(pieces).split(b"\n") if line.startswith(b"data: ")]
        id = json.loads(data[0][6:])["response"]["id"]
        status, _, _ = await call("GET", f"/v1/responses/{id}")
        assert (status == 200) is found


async def test_unpaced_events_share_a_write_and_paced_ones_do_not(call: Caller) -> None:
    body = {**HELLO, "stream": True}
    _, _, joined = await call("POST", "/v1/responses", body)
    _, _, paced = await call("POST", "/v1/responses", body, x_simulator_script="[[pace: 0.1ms]]")
    assert len(joined) == 2 and joined[-1] == b""
    assert len(paced) == joined[0].count(b"event: ") + 1


async def test_obfuscation_can_be_turned_off(call: Caller) -> None:
    body = {**HELLO, "stream": True}
    _, _, padded = await call("POST", "/v1/responses", body)
    _, _, bare = await call("POST", "/v1/responses", {**body, "stream_options": {"include_obfuscation": False}})
    assert b"obfuscation" in b"".join(padded) and b"obfuscation" not in b"".join(bare)


async def test_input_items_are_paged_newest_first(call: Caller) -> None:
    items = [{"role": "user", "content": str(number)} for number in range(3)]
    made = await call.json("POST", "/v1/responses", {**HELLO, "input": items})
    path = f"/v1/responses/{made['id']}/input_items?limit=2"
    first = await call.json("GET", path)
    assert [item["content"][0]["text"] for item in first["data"]] == ["2", "1"] and first["has_more"]
    second = await call.json("GET", f"{path}&after={first['last_id']}")
    assert [item["content"][0]["text"] for item in second["data"]] == ["0"] and not second["has_more"]


async def test_the_ledger_tells_what_was_answered_and_can_be_cleared(call: Caller) -> None:
    made = await call.json("POST", "/v1/responses", HELLO)
    await call("POST", "/v1/responses", {**HELLO, "input": "[[http: 429]]"})
    entries = (await call.json("GET", "/_simulator/ledger"))["requests"]
    assert [entry["status"] for entry in entries] == [200, 429]
    assert [entry["response_id"] for entry in entries] == [made["id"], None]
    assert entries[0]["body"] == HELLO and entries[0]["finished"] and not entries[0]["disconnected"]
    assert (await call.json("DELETE", "/_simulator/ledger"))["requests"] == []
