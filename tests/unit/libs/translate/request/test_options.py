"""What a client asks of Parley is merged by one table."""

from typing import Any, get_args

import msgspec
import pytest

from libs.schemas.bus.convert import ClientOptions
from libs.schemas.config import Conversation
from libs.schemas.wire.chat import ParleyOptions
from libs.translate.request.options import OPTIONS, merged


def test_table_has_each_field_of_both_structs() -> None:
    """What the edge adds of its own is no wish of a client."""
    assert {option.field for option in OPTIONS} == set(ClientOptions.__struct_fields__) - {"unchained", "unchained_at"}
    assert {option.body for option in OPTIONS} - {""} == set(ParleyOptions.__struct_fields__)
    assert {option.setting for option in OPTIONS} - {""} <= set(Conversation.__struct_fields__)


def test_a_word_is_allowed_in_the_body_where_it_is_in_a_header() -> None:
    allowed = {field.name: get_args(get_args(field.type)[0]) for field in msgspec.structs.fields(ParleyOptions)}
    assert {option.body: tuple(option.words) for option in OPTIONS if option.body} == allowed


@pytest.mark.parametrize(
    ("outside", "body", "expected"),
    [
        ({}, None, {}),
        ({"format": "responses", "delta": True, "retain": False}, {}, {}),
        ({}, {"format": "responses"}, {"format": "responses"}),
        ({"format": "responses"}, {"format": "chat"}, {"format": "chat"}),
        ({}, {"history": "delta"}, {"delta": True}),
        ({"delta": True}, {"history": "whole"}, {"delta": True}),
        ({}, {"retain": "none"}, {"retain": False}),
        ({"retain": False}, {"retain": "all"}, {"retain": False}),
        ({"conversation": "c", "hint": "h"}, {"history": "delta"}, {"delta": True}),
    ],
)
def test_one_word_counts_where_two_are_said(outside: Any, body: Any, expected: Any) -> None:
    options = None if body is None else ParleyOptions(**body)
    assert merged(ClientOptions(**outside), options) == ClientOptions(**{**outside, **expected})
