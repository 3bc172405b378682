"""Every row of docs/mapping.md's tables of answers has its cases, and each shows what it stands for."""

import tomllib

import pytest

from libs.schemas.wire.events import DECODERS, SILENT
from libs.translate.answer.item_fates import FATES
from tests.support import golden

ROWS: dict[str, dict[str, list[str]]] = tomllib.loads((golden.ROOT / "rows" / "answers.toml").read_text())
EVENTS = {name.decode() for name in DECODERS} | {name for name in SILENT if not name.startswith("response.steer.")}


def _shows(cases: list[str], type_: str) -> bool:
    return any(f'"type":"{type_}"'.encode() in golden.read(case, "upstream.sse") for case in cases)


@pytest.mark.parametrize("section", ROWS)
def test_every_row_has_cases(section: str) -> None:
    assert all(ROWS[section].values())
    assert {case for cases in ROWS[section].values() for case in cases} <= set(golden.CASES)


@pytest.mark.parametrize("type_", FATES)
def test_every_type_of_item_has_a_case_that_holds_it(type_: str) -> None:
    assert _shows(ROWS["output-items"][type_], type_)


@pytest.mark.parametrize("type_", sorted(EVENTS))
def test_every_type_of_event_has_a_case_that_holds_it(type_: str) -> None:
    assert _shows(ROWS["stream-events"][type_], type_)
