from typing import Any

import msgspec
from msgspec import Raw

from libs.translate.answer.annotations import Citations, TextKey


def _cited(start: int, end: int, url: str = "https://a", **fields: Any) -> Raw:
    given = {"type": "url_citation", "start_index": start, "end_index": end, "url": url, "title": "A", **fields}
    return Raw(msgspec.json.encode(given))


def _shown(citations: Citations, starts: dict[TextKey, int], end: int | None = None) -> list[Any]:
    return [msgspec.to_builtins(one.url_citation) for one in citations.annotations(starts, end)]


def test_a_citation_points_into_the_whole_text() -> None:
    citations = Citations()
    citations.add((0, 0), _cited(1, 3))
    assert _shown(citations, {(0, 0): 10}) == [{"start_index": 11, "end_index": 13, "url": "https://a", "title": "A"}]


def test_citations_come_in_the_order_of_the_parts() -> None:
    citations = Citations()
    citations.add((1, 0), _cited(0, 1, "https://c"))
    citations.add((0, 1), _cited(0, 1, "https://b"))
    citations.add((0, 0), _cited(2, 3, "https://a"))
    citations.add((0, 0), _cited(0, 1, "https://a2"))
    shown = _shown(citations, {(1, 0): 20, (0, 0): 0, (0, 1): 10})
    assert [one["url"] for one in shown] == ["https://a", "https://a2", "https://b", "https://c"]
    assert [one["start_index"] for one in shown] == [2, 0, 10, 20]


def test_a_part_that_was_not_shown_cites_nothing() -> None:
    citations = Citations()
    citations.add((0, 0), _cited(0, 1))
    assert _shown(citations, {(0, 1): 0}) == []


def test_the_list_of_a_complete_part_replaces_those_that_came_one_by_one() -> None:
    citations = Citations()
    citations.add((0, 0), _cited(0, 1, "https://early"))
    citations.complete((0, 0), [_cited(0, 1, "https://late")])
    assert [one["url"] for one in _shown(citations, {(0, 0): 0})] == ["https://late"]


def test_a_complete_part_without_a_list_keeps_those_that_came_one_by_one() -> None:
    citations = Citations()
    citations.add((0, 0), _cited(0, 1))
    citations.complete((0, 0), None)
    citations.complete((0, 0), [])
    assert len(_shown(citations, {(0, 0): 0})) == 1


def test_a_text_that_was_cut_cites_only_what_is_left_of_it() -> None:
    citations = Citations()
    for end in (4, 5, 6):
        citations.add((0, 0), _cited(0, end))
    assert [one["end_index"] for one in _shown(citations, {(0, 0): 0}, 5)] == [4, 5]


def test_other_kinds_are_left_out_and_what_lacks_is_empty() -> None:
    citations = Citations()
    citations.add((0, 0), _cited(0, 1, type="file_citation"))
    citations.add((0, 0), Raw(b'{"type": "url_citation"}'))
    citations.add((0, 0), Raw(b"7"))
    assert _shown(citations, {(0, 0): 3}) == [{"start_index": 3, "end_index": 3, "url": "", "title": ""}]
