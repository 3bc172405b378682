import pytest

from libs.schemas.plan import ReasoningField
from libs.schemas.wire.completion import Delta
from libs.translate.answer.reasoning import Reasoning, ReasoningForm, to_delta


def test_deltas_are_shown_as_they_come() -> None:
    reasoning = Reasoning()
    assert [reasoning.add(0, 0, text, "raw") for text in ("I ", "think")] == ["I ", "think"]
    assert reasoning.complete(0, 0, "I think", "raw") == ""


@pytest.mark.parametrize(("first", "second"), [("raw", "summary"), ("summary", "raw")])
def test_of_an_item_only_the_kind_that_came_first_is_shown(first: ReasoningForm, second: ReasoningForm) -> None:
    reasoning = Reasoning()
    assert reasoning.add(0, 0, "a", first) == "a"
    assert reasoning.add(0, 0, "b", second) == ""
    assert reasoning.complete(0, 0, "bc", second) == ""
    assert reasoning.complete(0, 0, "a, and more", second) == ""
    assert reasoning.add(0, 0, "d", first) == "d"
    assert reasoning.kind(0) == first


def test_the_next_item_may_be_of_the_other_kind() -> None:
    reasoning = Reasoning()
    reasoning.add(0, 0, "a", "raw")
    assert reasoning.add(1, 0, "b", "summary") == "\n\nb"
    assert (reasoning.kind(0), reasoning.kind(1)) == ("raw", "summary")


def test_of_an_item_that_said_nothing_either_kind_may_come() -> None:
    reasoning = Reasoning()
    assert reasoning.add(0, 0, "", "summary") == ""
    assert reasoning.kind(0) == "raw"
    assert reasoning.add(0, 0, "a", "raw") == "a"


def test_parts_of_a_summary_are_paragraphs_and_raw_parts_run_on() -> None:
    summary, raw = Reasoning(), Reasoning()
    assert [summary.add(0, part, "a", "summary") for part in (0, 0, 1)] == ["a", "a", "\n\na"]
    assert [raw.add(0, part, "a", "raw") for part in (0, 0, 1)] == ["a", "a", "a"]


def test_the_rest_of_a_part_follows_its_own_text_alone() -> None:
    reasoning = Reasoning()
    reasoning.add(0, 0, "One", "summary")
    reasoning.add(0, 1, "Tw", "summary")
    assert reasoning.complete(0, 0, "One more", "summary") == ""
    assert reasoning.complete(0, 1, "Two", "summary") == "o"


def test_items_are_paragraphs_of_either_kind() -> None:
    reasoning = Reasoning()
    assert [reasoning.add(index, 0, "a", "raw") for index in (0, 1, 1)] == ["a", "\n\na", "a"]


def test_what_came_only_at_the_end_is_shown_then() -> None:
    reasoning = Reasoning()
    reasoning.add(0, 0, "I th", "summary")
    assert reasoning.complete(0, 0, "I think", "summary") == "ink"
    assert reasoning.complete(0, 1, "More", "summary") == "\n\nMore"
    assert reasoning.complete(0, 1, "More", "summary") == ""


def test_what_was_not_said_does_not_follow() -> None:
    reasoning = Reasoning()
    reasoning.add(0, 0, "I think", "raw")
    assert reasoning.complete(0, 0, "You think so", "raw") == ""


@pytest.mark.parametrize(
    ("field", "delta"),
    [
        ("reasoning_content", Delta(reasoning_content="a")),
        ("reasoning", Delta(reasoning="a")),
        ("both", Delta(reasoning_content="a", reasoning="a")),
        ("none", None),
    ],
)
def test_reasoning_has_the_names_that_the_configuration_says(field: ReasoningField, delta: Delta | None) -> None:
    assert to_delta("a", field) == delta
    assert to_delta("", field) is None
