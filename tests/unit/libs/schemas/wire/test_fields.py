"""The table of chat request fields is whole, and agrees with what stands elsewhere."""

import re
from pathlib import Path

import pytest

from libs.schemas.wire.chat import ChatEnvelope, ChatRequest
from libs.schemas.wire.fields import FIELDS
from libs.schemas.wire.responses import ResponsesRequest

SECTION = (Path(__file__).parents[5] / "API_REFERENCE.md").read_text().partition("## Chat request fields")[2]
ROWS = re.findall(r"^\| (`.+?) \| (.+) \|$", SECTION.partition("\n## ")[0], re.MULTILINE)
TOLD = {"drop": "dropped", "refuse": "refused", "native": "`native`", "forward": ""}


def test_table_has_each_field_in_the_order_of_the_request() -> None:
    assert [name for name, field in FIELDS.items() if field.fate != "part"] == list(ChatRequest.__struct_fields__)


def test_edge_reads_what_the_table_says() -> None:
    assert {name for name, field in FIELDS.items() if field.on_edge} == set(ChatEnvelope.__struct_fields__)


def test_each_field_goes_to_one_that_the_upstream_has() -> None:
    goes = {name: (field.to or name).partition(".")[0] for name, field in FIELDS.items() if field.fate == "translated"}
    emitted = {"logprobs": "include"}
    assert {emitted.get(name, to) for name, to in goes.items()} <= set(ResponsesRequest.__struct_fields__)


@pytest.mark.parametrize("name", FIELDS)
def test_reference_says_what_becomes_of_each_field(name: str) -> None:
    field = FIELDS[name]
    told = next(becomes for names, becomes in ROWS if f"`{name}`" in names)
    if field.policy is not None:
        assert TOLD[field.policy] in told
    if field.fate == "same":
        assert "the same" in told
    if field.fate == "refused":
        assert "refused" in told
    if field.to and field.to not in FIELDS:
        assert f"`{field.to}`" in told
