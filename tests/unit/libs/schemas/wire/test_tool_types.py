"""The table of tool types agrees with the shapes, and with the reference."""

from collections import Counter
from pathlib import Path

import pytest

from libs.schemas.wire import events, output
from libs.schemas.wire.chat import CustomTool, FunctionTool, Message
from libs.schemas.wire.tool_types import HOSTED, NESTED, RESULT_FIELDS, RUN_BY_CLIENT, TOOL_TYPES, Item, ToolType
from libs.translate.answer.item_fates import FATES

REFERENCE = (Path(__file__).parents[5] / "API_REFERENCE.md").read_text()
ITEMS = [(tool, item) for tool in TOOL_TYPES for item in tool.items]


def test_each_name_and_each_item_stands_once() -> None:
    names = Counter(name for tool in TOOL_TYPES for name in tool.names)
    types = Counter(name for _, item in ITEMS for name in (item.type, item.result.type if item.result else None))
    assert max(names.values()) == 1 and all(count == 1 for name, count in types.items() if name)


@pytest.mark.parametrize(("tool", "item"), ITEMS, ids=[item.type for _, item in ITEMS])
def test_what_a_client_is_to_answer_is_no_item_of_the_upstreams_own(tool: ToolType, item: Item) -> None:
    """The answer to a question about a call is one, whoever runs the call."""
    if tool.nested:
        assert (tool.runs, item.fate) == ("client", "call")
    if item.fate == "call":
        assert item.result is not None and item.result.fields
    assert FATES[item.type] == item.fate


def test_nested_types_are_those_that_are_decoded() -> None:
    assert {FunctionTool.__struct_config__.tag, CustomTool.__struct_config__.tag} == set(NESTED)
    seen = {output.FunctionCallItem, output.CustomCallItem, output.ApprovalItem}
    assert {known.__struct_config__.tag for known in seen} == {item.type for _, item in ITEMS if item.fate == "call"}


def test_events_that_tell_nothing_are_not_decoded() -> None:
    silent = {f"response.{event}" for _, item in ITEMS for event in item.events}
    assert silent <= events.SILENT and silent.isdisjoint(name.decode() for name in events.DECODERS)


@pytest.mark.parametrize("type_", RESULT_FIELDS)
def test_typed_result_is_read_as_a_message_with_its_fields(type_: str) -> None:
    assert set(RESULT_FIELDS[type_]) <= set(Message.__struct_fields__)
    assert f"`{type_}`" in REFERENCE


def test_reference_names_what_may_come_and_what_needs_a_typed_answer() -> None:
    row = next(line for line in REFERENCE.splitlines() if line.startswith("| `tools` |"))
    assert all(f"`{name.rstrip('*')}`" in row for name in (*NESTED, *HOSTED, *RUN_BY_CLIENT))
