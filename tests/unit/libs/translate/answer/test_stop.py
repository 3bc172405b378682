import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.translate.answer.stop import StopFilter


def _cut(stops: list[str], *pieces: str) -> str:
    stop = StopFilter(stops)
    return "".join([*map(stop.feed, pieces), stop.flush()])


@pytest.mark.parametrize(
    ("stops", "pieces", "expected"),
    [
        (["END"], ["one END two"], "one "),
        (["END"], ["one E", "N", "D two"], "one "),
        (["END"], ["one E", "N", "two"], "one ENtwo"),
        (["END"], ["one EN"], "one EN"),
        (["b", "a"], ["xab"], "x"),
        (["ab", "b"], ["xab"], "x"),
        (["\n\n"], ["one\n", "\ntwo"], "one"),
        (["🌊"], ["é🌊x"], "é"),
        (["END"], ["END"], ""),
        (["", "x"], ["ax"], "a"),
        (["aab"], ["aaa", "ab"], "aa"),
    ],
)
def test_a_text_ends_before_the_stop_sequence(stops: list[str], pieces: list[str], expected: str) -> None:
    assert _cut(stops, *pieces) == expected


def test_the_sequence_that_is_complete_first_counts() -> None:
    assert _cut(["abcdef", "cd"], "abcdef") == _cut(["abcdef", "cd"], *"abcdef") == "ab"


def test_no_more_is_held_back_than_may_begin_a_sequence() -> None:
    stop = StopFilter(["four", "x"])
    assert stop.feed("abcdef") == "abc"
    assert stop.feed("g") == "d"
    assert stop.flush() == "efg"


def test_one_character_holds_nothing_back() -> None:
    assert StopFilter(["x"]).feed("abc") == "abc"


def test_nothing_comes_after_the_end() -> None:
    stop = StopFilter(["x"])
    assert stop.feed("axb") == "a" and stop.stopped
    assert stop.feed("c") == "" and stop.flush() == ""


@given(st.lists(st.text("ab", max_size=3), max_size=4), st.text("abc", max_size=20), st.data())
def test_a_text_is_cut_alike_however_it_comes(stops: list[str], text: str, data: st.DataObject) -> None:
    edges = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=6))})
    pieces = [text[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    given_stops = [stop for stop in stops if stop]
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in given_stops if stop in text]
    assert _cut(stops, *pieces) == text[: min(ends)[1] if ends else None]
