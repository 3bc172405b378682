"""Which ids a request names, and what can be read in two ways is refused."""

import gc
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from libs.translate.errors import InvalidRequest
from services.edge.ownership import named_ids
from services.edge.ownership.named_ids import Named


def names(body: Any, *, shareable: bool = True) -> set[tuple[str, str]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = named_ids.of_body(raw, shareable=shareable).named
    # What is not looked into must name nothing.
    assert not found or named_ids.may_name(raw, shareable=shareable)
    return {(named.id_type, named.id) for named in found}


TEXT = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"input": "hi"}, set()),
        ({"previous_response_id": None, "conversation": None, "input": [TEXT]}, set()),
        ({"previous_response_id": "resp_1"}, {("response", "resp_1")}),
        ({"previous_response_id": 17}, {("response", "17")}),
        ({"conversation": "conv_1"}, {("conversation", "conv_1")}),
        ({"conversation": {"id": "conv_1"}}, {("conversation", "conv_1")}),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, {("item", "msg_1")}),
        ({"input": [{"id": "msg_1"}]}, {("item", "msg_1")}),
        ({"input": [{"type": None, "id": "msg_1"}]}, {("item", "msg_1")}),
        ({"input": [{"role": "user", "id": "msg_1"}]}, {("item", "msg_1")}),
        ({"items": [{"type": "item_reference", "id": "msg_1"}]}, {("item", "msg_1")}),
        ({"messages": [{"type": "item_reference", "id": "msg_1"}]}, {("item", "msg_1")}),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, {("item", "rs_1")}),
        ({"input": [{"type": "reasoning", "id": "rs_1", "encrypted_content": None}]}, {("item", "rs_1")}),
        ({"input": [{"type": "reasoning", "id": "rs_1", "encrypted_content": "x"}]}, set()),
        ({"input": [{"type": "reasoning", "id": "rs_1", "content": [{"type": "reasoning_text"}]}]}, set()),
        ({"input": [{"type": "image_generation_call", "id": "ig_1"}]}, {("item", "ig_1")}),
        ({"input": [{"type": "image_generation_call", "id": "ig_1", "result": "iVBO"}]}, set()),
        ({"input": [{"type": "message", "id": "msg_1", "role": "assistant", "content": []}]}, set()),
        ({"input": [{"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}]}, set()),
        ({"input": [{**TEXT, "id": "msg_1"}]}, set()),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, {("audio", "audio_1")}),
        ({"prompt": {"id": "pmpt_1", "variables": {"file_id": "text"}}}, {("prompt", "pmpt_1")}),
        ({"prompt": "Once upon a time"}, set()),
        ({"tools": [{"vector_store_ids": ["vs_1", "vs_2"]}]}, {("vector_store", "vs_1"), ("vector_store", "vs_2")}),
        ({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, {("container", "cntr_1")}),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["f"]}}]}, {("file", "f")}),
        ({"tools": [{"type": "shell", "environment": {"container_id": "c"}}]}, {("container", "c")}),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, {("file", "f")}),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, {("file", "f")}),
        ({"input": [{"type": "computer_call_output", "output": {"file_id": "f"}}]}, {("file", "f")}),
        ({"metadata": {"file_id": "text", "conversation": "text"}}, set()),
        ({"tools": [{"type": "function", "parameters": {"properties": {"file_id": {"examples": ["f"]}}}}]}, set()),
        ([{"previous_response_id": "resp_1"}], set()),
    ],
)  # fmt: skip
def test_ids_of_a_body(body: Any, expected: set[tuple[str, str]]) -> None:
    assert names(body) == expected


def test_ids_that_a_request_gives_to_its_own_items_are_told() -> None:
    items = [{"type": "message", "id": "msg_1", "role": "user", "content": "x"}, {"id": 7}, TEXT, "x"]
    assert named_ids.of_body(json.dumps({"input": items[:1], "items": items[2:]}).encode(), shareable=False).given == {
        "msg_1"
    }


def test_what_is_shared_is_not_looked_for() -> None:
    body = {"previous_response_id": "resp_1", "tools": [{"vector_store_ids": ["vs_1"]}]}
    assert names(body, shareable=False) == {("response", "resp_1")}


@pytest.mark.parametrize(
    "body",
    [
        b'{"previous_response_id":"resp_1","previous_response_id":null}',
        b'{"previous_response_\\u0069d":"resp_1","previous_response_id":null}',
        b'{"Previous_Response_Id":"resp_1"}',
        '{"previou\u017f_response_id":"resp_1"}'.encode(),
        b'{"conversation":{"id":"conv_1","id":"conv_2"}}',
        b'{"conversation":["conv_1"]}',
        b'{"previous_response_id":{"id":"resp_1"}}',
        b'{"previous_response_id":true}',
        b'{"input":[{"Type":"message","id":"msg_1","role":"user","content":"x"}]}',
        b'{"input":[{"type":"item_reference","ID":"msg_1"}]}',
        b'{"input":[],"Input":[{"type":"item_reference","id":"msg_1"}]}',
        b'{"input":[{"type":"item_reference","id":["msg_1"]}]}',
        b'{"tools":[{"Vector_Store_Ids":["vs_1"]}]}',
        b'{"conversation":"x"',
        b'\xff\xfe{"conversation":"x"}',
        b'{"conversation":NaN}',
        b"[" * 100_000,
        json.dumps({"input": [{"type": "item_reference", "id": f"msg_{n}"} for n in range(2000)]}).encode(),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        named_ids.of_body(body, shareable=True)
    assert caught.value.status == 400
    assert named_ids.may_name(body, shareable=True) or body.startswith(b"[[")


def test_ids_of_a_query() -> None:
    query = b"previous_response_id=resp_1&previous_response_id=resp_2&conversation_id=conv_1&conversation_id=a%20name"
    assert named_ids.of_query(query) == [
        Named("response", "resp_1", "previous_response_id"),
        Named("response", "resp_2", "previous_response_id"),
        Named("conversation", "conv_1", "conversation"),
    ]


ADVERSARIAL: dict[str, Callable[[int], bytes]] = {
    "objects": lambda size: b'{"id":1,"input":[' + b'{"a":1},' * (size // 8) + b"1]}",
    "lists": lambda size: b'{"id":1,"input":[' + b"[[]]," * (size // 5) + b"1]}",
    "keys": lambda size: b'{"id":1,' + b",".join(b'"k%d":1' % number for number in range(size // 10)) + b"}",
    "escapes": lambda size: b'{"id":1,"input":[' + b'"\\u0041",' * (size // 9) + b"1]}",
    "references": lambda size: b'{"input":[' + b'{"id":"m","role":"user","content":"x"},' * (size // 39) + b"1]}",
    "marks": lambda size: b'{"metadata":"' + b"conversatio" * (size // 11) + b'"}',
}


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_reading_takes_time_that_grows_with_the_body_alone(kind: str) -> None:
    def seconds(size: int) -> float:
        body, best = ADVERSARIAL[kind](size), float("inf")
        gc.disable()  # its turns take what the heap of the tests takes
        for _ in range(5):
            started = time.thread_time()
            if named_ids.may_name(body, shareable=True):
                named_ids.of_body(body, shareable=True)
            best = min(best, time.thread_time() - started)
        gc.enable()
        return best

    assert seconds(256 * 1024) <= 6 * max(seconds(64 * 1024), 0.001)
