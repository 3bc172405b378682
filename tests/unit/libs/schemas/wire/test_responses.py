import json
from typing import Any

import pytest

from libs.schemas.wire.output import (
    RESPONSE_DECODER,
    FunctionCallItem,
    MessageItem,
    OutputItem,
    ReasoningItem,
    UnknownItem,
    decode_item,
)


def _decode(item: Any) -> OutputItem:
    return decode_item(json.dumps(item).encode())


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"type": "message", "content": [{"type": "output_text", "text": "a"}]}, MessageItem),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "async": False}, FunctionCallItem),
        ({"type": "reasoning", "summary": [], "encrypted_content": "x"}, ReasoningItem),
    ],
)
def test_an_item_is_read_by_its_type(item: Any, kind: type) -> None:
    assert type(_decode(item)) is kind


def test_an_item_of_a_new_type_is_unknown() -> None:
    assert _decode({"type": "telepathy", "thought": 1}) == UnknownItem("telepathy")


@pytest.mark.parametrize(
    ("item", "type_"),
    [
        ({"type": "message", "content": 7}, "message"),
        ({"type": "function_call", "name": "f"}, "function_call"),
        ({"id": "x"}, ""),
        ({"type": None}, ""),
        (None, ""),
        ([], ""),
        ("message", ""),
    ],
)
def test_an_item_that_cannot_be_read_is_unknown(item: Any, type_: str) -> None:
    assert _decode(item) == UnknownItem(type_)


def test_one_strange_item_never_costs_the_whole_response() -> None:
    data = {"id": "resp_1", "output": [7, {"type": "telepathy"}, {"type": "message", "content": []}], "new_field": {}}
    response = RESPONSE_DECODER.decode(json.dumps(data).encode())
    assert [type(decode_item(raw)) for raw in response.output] == [UnknownItem, UnknownItem, MessageItem]
