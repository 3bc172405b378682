"""docs/simulator.md holds the code's own tables: a rule or directive cannot be added without being told."""

import re

import pytest

from simulator.document import PATH, rewritten
from tests.unit.test_import_rule import ROOMS

SIMULATOR = PATH.parents[1] / "simulator"


def test_the_document_is_what_the_code_says() -> None:
    text = PATH.read_text()
    assert rewritten(text) == text, "run python -m simulator.document"


def test_a_document_without_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="rules"):
        rewritten(PATH.read_text().replace("<!-- rules -->", ""))


def test_the_document_names_every_room_from_the_top_down_and_a_file_in_each() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| `(\w+)/(\w+\.py)` \|$", PATH.read_text(), re.MULTILINE)
    rooms = [room for room in ROOMS["simulator"] if (SIMULATOR / room).is_dir()]
    assert [room for room, _, _ in rows] == rooms[::-1]
    assert [room for room, folder, file in rows if room != folder or not (SIMULATOR / folder / file).is_file()] == []
