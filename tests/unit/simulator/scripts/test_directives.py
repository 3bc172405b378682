import pytest

from simulator.scripts.directives import Directive, compact_json, parse, seconds


def test_directives_are_read_in_order_and_taken_out_of_the_text() -> None:
    found, left = parse("Hello [[pace: 20ms]] Ann [[refuse]]")
    assert found == [Directive("pace", "20ms"), Directive("refuse", "")]
    assert left == "Hello  Ann"


def test_a_text_value_keeps_its_spaces_and_lines() -> None:
    assert parse("[[text:  two spaces\nand a line ]]")[0] == [Directive("text", " two spaces\nand a line ")]


def test_json_in_a_value_may_hold_closing_brackets() -> None:
    found, left = parse('[[call: f {"a": [[1]]}]] after')
    assert found == [Directive("call", 'f {"a": [[1]]}')]
    assert left == "after"


@pytest.mark.parametrize("text", ["[[refuse", "[[refuse it]]", "[[Refuse]]", "[[]]"])
def test_what_is_no_directive_stays_text(text: str) -> None:
    assert parse(text) == ([], text)


def test_unknown_names_stay_text_when_the_known_ones_are_given() -> None:
    assert parse("[[link]] [[refuse]]", {"refuse"}) == ([Directive("refuse")], "[[link]]")


@pytest.mark.parametrize(("value", "expected"), [("20ms", 0.02), ("5s", 5.0), ("0.5", 0.5), ("soon", 0.0)])
def test_durations(value: str, expected: float) -> None:
    assert seconds(value) == pytest.approx(expected)


def test_json_is_written_without_spaces_and_other_text_as_it_is() -> None:
    assert compact_json('{"a": "é"}') == '{"a":"é"}'
    assert compact_json("{broken") == "{broken"
