from typing import Any

import msgspec
from msgspec import Raw

from libs.schemas.plan import StreamPlan
from libs.translate.answer.text import Text


def _text(**fields: Any) -> Text:
    return Text(StreamPlan(stream=True, **fields))


def _tokens(*tokens: str) -> Raw:
    return Raw(msgspec.json.encode([{"token": token, "logprob": -0.5} for token in tokens]))


def _read(said: Any) -> tuple[str, list[str]]:
    text, tokens = said
    return text, [token.token for token in tokens]


def _cited(start: int, end: int) -> Raw:
    return Raw(msgspec.json.encode({"type": "url_citation", "start_index": start, "end_index": end, "url": "u"}))


def test_parts_of_one_message_run_on_and_messages_are_set_apart() -> None:
    text = _text()
    said = [text.add(key, "a")[0] for key in ((0, 0), (0, 0), (0, 1), (1, 0), (1, 1))]
    assert said == ["a", "a", "a", "\n\na", "a"]


def test_a_message_without_text_sets_nothing_apart() -> None:
    text = _text()
    assert text.add((0, 0), "")[0] == ""
    assert text.add((1, 0), "a")[0] == "a"


def test_json_is_never_set_apart() -> None:
    text = _text(structured=True)
    assert [text.add((index, 0), "{}")[0] for index in (0, 1)] == ["{}", "{}"]


def test_what_came_only_at_the_end_of_a_part_is_said_then() -> None:
    text = _text()
    text.add((0, 0), "He")
    assert text.complete((0, 0), "Hello")[0] == "llo"
    assert text.complete((0, 0), "Hello")[0] == ""
    assert text.complete((1, 0), "Bye")[0] == "\n\nBye"


def test_log_probabilities_are_left_out_unless_they_were_asked_for() -> None:
    assert _read(_text().add((0, 0), "a", _tokens("a"))) == ("a", [])
    assert _read(_text(stop=["x"]).add((0, 0), "a", _tokens("a"))) == ("a", [])
    assert _read(_text(logprobs=True).add((0, 0), "a", _tokens("a"))) == ("a", ["a"])


def test_log_probabilities_without_text_are_passed_on() -> None:
    text = _text(logprobs=True)
    assert _read(text.add((0, 0), "", _tokens("a"))) == ("", ["a"])
    assert _read(text.add((0, 0), "ab")) == ("ab", [])


def test_log_probabilities_that_came_only_at_the_end_are_passed_on_then() -> None:
    text = _text(logprobs=True)
    text.add((0, 0), "a", _tokens("a"))
    text.add((0, 0), "b")
    assert _read(text.complete((0, 0), "abc", _tokens("a", "b", "c"))) == ("c", ["b", "c"])


def test_log_probabilities_of_another_text_are_not_passed_on() -> None:
    text = _text(logprobs=True)
    text.add((0, 0), "ab", _tokens("ab"))
    assert _read(text.complete((0, 0), "abc", _tokens("a", "bc"))) == ("c", [])
    other = _text(logprobs=True)
    other.add((0, 0), "ab")
    assert _read(other.complete((0, 0), "xy", _tokens("xy"))) == ("", [])


def test_a_stop_sequence_ends_the_text_wherever_it_is_cut_in_pieces() -> None:
    text = _text(stop=["END"])
    assert "".join(text.add((0, 0), piece)[0] for piece in ("a E", "N", "D b")) == "a "
    assert text.stopped
    assert text.end()[0] == ""


def test_what_was_held_back_is_released_when_the_message_is_complete() -> None:
    text = _text(stop=["END"])
    assert text.add((0, 0), "a EN")[0] == "a "
    assert text.end()[0] == "EN"
    assert not text.stopped


def test_without_stop_sequences_nothing_is_held_back() -> None:
    for stop in ([], [""]):
        text = _text(stop=stop)
        assert text.add((0, 0), "a EN")[0] == "a EN"
        assert text.end() == ("", ())


def test_log_probabilities_wait_for_their_text() -> None:
    text = _text(stop=["END"], logprobs=True)
    assert _read(text.add((0, 0), "a EN", _tokens("a ", "E", "N"))) == ("a ", ["a "])
    assert _read(text.add((0, 0), "ough", _tokens("ough"))) == ("ENou", ["E", "N"])
    assert _read(text.end()) == ("gh", ["ough"])


def test_log_probabilities_of_what_a_stop_sequence_cut_are_not_passed_on() -> None:
    text = _text(stop=["END"], logprobs=True)
    assert _read(text.add((0, 0), "a END b", _tokens("a", " ", "END", " b"))) == ("a ", ["a", " "])
    assert _read(text.end()) == ("", [])


def test_a_token_cut_inside_a_character_is_not_held_for_longer_than_its_text() -> None:
    text = _text(stop=["END"], logprobs=True)
    assert _read(text.add((0, 0), "é", _tokens("\\xc3", "\\xa9"))) == ("", [])
    assert _read(text.end()) == ("é", ["\\xc3", "\\xa9"])


def test_citations_point_into_the_whole_text() -> None:
    text = _text()
    text.add((0, 0), "abc")
    text.add((0, 1), "de")
    text.add((2, 0), "fg")
    for key in ((0, 0), (0, 1), (2, 0)):
        text.citations.add(key, _cited(0, 1))
    assert [one.url_citation.start_index for one in text.annotations()] == [0, 3, 7]


def test_a_text_that_a_stop_sequence_cut_cites_only_what_is_left_of_it() -> None:
    text = _text(stop=["END"])
    text.add((0, 0), "abcEND")
    for end in (2, 3, 4):
        text.citations.add((0, 0), _cited(0, end))
    assert [one.url_citation.end_index for one in text.annotations()] == [2, 3]


def test_a_text_that_was_held_back_cites_all_of_it() -> None:
    text = _text(stop=["END"])
    text.add((0, 0), "abcEN")
    text.citations.add((0, 0), _cited(0, 5))
    assert len(text.annotations()) == 1


def test_a_torn_character_is_joined() -> None:
    text = _text()
    text.tear()
    assert text.add((0, 0), "a\ud83d")[0] == "a"
    assert text.add((0, 0), "\ude00b")[0] == "\U0001f600b"
