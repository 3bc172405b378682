"""docs/parity.md names nothing that is not there: no example, test, header, field or path."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from libs.schemas.wire import chat
from libs.schemas.wire.chat import ChatRequest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/parity.md"
REFERENCE = (ROOT / "API_REFERENCE.md").read_text()
# Where the fields of an object in the body are declared.
OBJECTS: dict[str, type[msgspec.Struct]] = {"reasoning": chat.ReasoningOptions, "parley": chat.ParleyOptions}


class Row(NamedTuple):
    ability: str
    asked_by: list[str]
    examples: list[str]
    tests: list[str]


def rows() -> list[Row]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [
        Row(
            ability,
            re.findall(r"`([^`]+)`", asked_by),
            re.findall(r"\]\(([^)]+)\)", example),
            re.findall(r"`([^`]+)`", test),
        )
        for ability, asked_by, example, test in cells
    ]


@cache
def functions(path: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if hasattr(node, "name")}


def is_there(name: str) -> bool:
    """Whether a header, a path or a field of the body is documented, and a field is in the Struct of its object."""
    if name.startswith("x-") or " " in name:
        method, _, path = name.rpartition(" ")
        return any(path in line and method in line for line in REFERENCE.splitlines() if line.startswith("| `"))
    field, _, inner = name.partition(".")
    known = inner in OBJECTS[field].__struct_fields__ if inner else True
    return field in ChatRequest.__struct_fields__ and known


def test_the_page_has_rows() -> None:
    assert len(rows()) > 20


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.ability)
def test_what_a_row_names_exists(row: Row) -> None:
    assert [name for name in row.asked_by if not is_there(name)] == []
    assert row.examples and all((PAGE.parent / example).is_file() for example in row.examples)
    assert row.tests
    for test in row.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file(), path
        assert name in functions(path), test


def test_an_example_says_what_its_row_says() -> None:
    """A header of ours that a row names, for a request or in an answer, is used by its example."""
    for row in rows():
        texts = "".join((PAGE.parent / example).read_text() for example in row.examples)
        assert [name for name in row.asked_by if name.startswith("x-") and name not in texts] == []


def test_every_link_of_the_page_leads_somewhere() -> None:
    assert [link for link in re.findall(r"\]\(([^)#]+)", PAGE.read_text()) if not (PAGE.parent / link).exists()] == []
