"""The tables of fields, judged by the official SDK's types: nothing missing, nothing added but what is said here."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses import ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParamsBase, ToolChoice
from openai.types.responses.response_includable import ResponseIncludable
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from openai.types.responses.tool_param import ToolParam
from openai.types.shared import ChatModel, ResponsesModel
from openai.types.shared_params.reasoning import Reasoning

from simulator.checks import chat_request, models
from simulator.checks.fields import Field
from simulator.checks.item_fields import ITEM_FIELDS
from simulator.checks.parameters import INCLUDABLE, PARAMETERS, REASONING
from simulator.checks.tool_fields import CHOICE_FIELDS, TOOL_FIELDS

# On the wire (recorded or guided), but not in the SDK's types.
UNTYPED_ITEM_KEYS = {"custom_tool_call": {"status"}}
UNTYPED_CHOICES = {"web_search"}


def literals(hint: Any) -> Iterator[str]:
    for argument in get_args(hint):
        if isinstance(argument, str):
            yield argument
        else:
            yield from literals(argument)


def members(union: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every type name of a union of typed dictionaries, with the hints of its keys."""
    for member in get_args(union):
        if get_origin(member) is Literal:
            continue
        hints = get_type_hints(member)
        yield from ((name, hints) for name in literals(hints["type"]))


def keys(union: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, hints in members(union):
        found.setdefault(name, set()).update(hints)
    return found


def nullable(union: Any) -> set[tuple[str, str]]:
    return {(name, key) for name, hints in members(union) for key, hint in hints.items() if takes_null(hint)}


def takes_null(hint: Any) -> bool:
    return type(None) in get_args(hint)


def test_parameters_are_the_sdks() -> None:
    assert set(PARAMETERS) == {*ResponseCreateParamsBase.__annotations__, "stream"}
    hints = get_type_hints(ResponseCreateParamsBase)
    assert {name for name, field in PARAMETERS.items() if field.nullable} - {"stream"} == {
        name for name, hint in hints.items() if takes_null(hint)
    }
    assert set(REASONING) == set(get_type_hints(Reasoning))
    assert set(INCLUDABLE) == set(get_args(ResponseIncludable))


def test_chat_parameters_are_the_sdks() -> None:
    assert set(chat_request.PARAMETERS) == {*CompletionCreateParamsBase.__annotations__, "stream"}


def test_item_keys_are_the_sdks() -> None:
    expected = keys(ResponseInputItemParam)
    for type, extra in UNTYPED_ITEM_KEYS.items():
        expected[type] |= extra
    assert {type: set(fields) for type, fields in ITEM_FIELDS.items()} == expected


def test_items_take_null_where_the_sdk_says_optional() -> None:
    # A call id may be null for a result that is paired by its name, which the simulator does not do.
    expected = nullable(ResponseInputItemParam) - {("function_call_output", "call_id")}
    assert nullable_fields(ITEM_FIELDS) == expected


def test_tool_keys_are_the_sdks() -> None:
    assert {type: set(fields) for type, fields in TOOL_FIELDS.items()} == keys(ToolParam)
    assert nullable_fields(TOOL_FIELDS) - {("function", "strict"), ("custom", "description")} == nullable(ToolParam) - {
        ("function", "strict")
    }


def nullable_fields(table: Mapping[str, Mapping[str, Field]]) -> set[tuple[str, str]]:
    return {(type, name) for type, fields in table.items() for name, field in fields.items() if field.nullable}


def test_tool_choices_are_the_sdks() -> None:
    expected = keys(ToolChoice)
    assert set(CHOICE_FIELDS) - UNTYPED_CHOICES == set(expected)
    assert all(set(CHOICE_FIELDS[type]) == names for type, names in expected.items())


@pytest.mark.parametrize("name", sorted({*literals(ResponsesModel), *literals(ChatModel)}))
def test_every_model_of_the_sdk_exists(name: str) -> None:
    assert models.find(name).endpoints


def test_the_models_of_both_endpoints_are_the_sdks_chat_models() -> None:
    chat_only = {name for name in literals(ChatModel) if models.RESPONSES not in models.find(name).endpoints}
    assert chat_only == {name for name in literals(ChatModel) if "audio" in name or "search" in name}


def test_the_sdk_still_knows_59_event_types() -> None:
    (union, *_) = get_args(ResponseStreamEvent)
    assert len(get_args(union)) == 59
