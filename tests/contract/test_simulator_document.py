"""docs/simulator.md holds the code's own tables: a rule or directive cannot be added without being told."""

import pytest

from simulator.document import PATH, rewritten


def test_the_document_is_what_the_code_says() -> None:
    text = PATH.read_text()
    assert rewritten(text) == text, "run python -m simulator.document"


def test_a_document_without_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="rules"):
        rewritten(PATH.read_text().replace("<!-- rules -->", ""))
