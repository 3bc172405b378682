import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libs.translate import sse
from libs.translate.sse import Frame, FrameParser, FrameTooLarge


def _frames(*pieces: bytes) -> list[Frame]:
    parser = FrameParser()
    return [frame for piece in pieces for frame in parser.feed(piece)]


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def test_feed_gives_the_name_and_data_of_a_frame() -> None:
    assert _frames(b"event: a\ndata: {}\n\n") == [(b"a", b"{}")]


def test_feed_gives_no_name_where_there_was_none() -> None:
    assert _frames(b"data: {}\n\n") == [(b"", b"{}")]


def test_feed_waits_for_the_end_of_a_frame() -> None:
    parser = FrameParser()
    assert parser.feed(b"data: {}\n") == []
    assert parser.feed(b"\n") == [(b"", b"{}")]


def test_feed_gives_every_frame_of_one_read() -> None:
    assert [data for _, data in _frames(b"data: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4")] == [b"1", b"2", b"3"]


def test_reads_of_whole_frames_give_what_one_read_gives() -> None:
    frames = [
        b"event: a\ndata: 1\n\n",
        b": comment\n\n",
        b"event: b\ndata: 2\ndata: 3\n\n",
        b"event:c\ndata:4\n\n",
        b"data: 5\nevent: d\n\n",
        b"event: e\nid: 6\ndata: 7\n\n",
        b"event: f\r\ndata: 8\r\n\r\n",
        b"\n\n",
        b"event: g\ndata: 9\n\n\n\nevent: h\ndata: 10\n\n",
    ]
    assert _frames(*frames) == _frames(b"".join(frames))
    assert [data for _, data in _frames(*frames)] == [b"1", b"2\n3", b"4", b"5", b"7", b"8", b"9", b"10"]


def test_the_space_after_the_colon_is_optional_and_only_one_is_taken() -> None:
    assert _frames(b"event:a\ndata:  x\n\n") == [(b"a", b" x")]


def test_several_data_lines_are_one() -> None:
    assert _frames(b"data: a\ndata\ndata: b\n\n") == [(b"", b"a\n\nb")]


def test_comments_and_frames_without_data_vanish() -> None:
    assert _frames(b": ping\n\nevent: keepalive\n\nid: 7\nretry: 9\n\n\n\n: x\ndata: y\n\n") == [(b"", b"y")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_all_line_ends_mean_the_same(end: bytes) -> None:
    data = b"event: a\ndata: 1\n\ndata: 2\n\n".replace(b"\n", end)
    cuts = [[place] for place in range(len(data))] + [list(range(len(data)))]
    for places in cuts:
        assert _frames(*_cut(data, places)) == [(b"a", b"1"), (b"", b"2")]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    data = b"\xef\xbb\xbfdata: x\n\n"
    for place in range(5):
        assert _frames(*_cut(data, [place])) == [(b"", b"x")]


def test_a_byte_order_mark_before_a_whole_frame_is_no_part_of_its_name() -> None:
    assert _frames(b"\xef\xbb\xbfevent: a\ndata: x\n\n") == [(b"a", b"x")]


def test_a_frame_is_given_as_soon_as_the_second_line_end_is_there() -> None:
    parser = FrameParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\ndata: b\n") == [(b"", b"a")]
    assert parser.feed(b"\ndata: c\n\n") == [(b"", b"b"), (b"", b"c")]


LINES = st.sampled_from(
    [
        b"data: {}",
        b"data:",
        b"data",
        b"data: \xf0\x9f\x8c\x8a",
        b"event: a",
        b": c",
        b"",
        b"",
        b"",
        b"\xef\xbb\xbf",
        b"x:y",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


@given(st.lists(st.tuples(LINES, ENDS)), st.lists(st.integers(0, 500)))
def test_frames_are_the_same_wherever_the_bytes_are_cut(lines: list[tuple[bytes, bytes]], places: list[int]) -> None:
    data = b"".join(line + end for line, end in lines)
    assert _frames(*_cut(data, places)) == _frames(data)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
@example(b"\xef\xbb\xbfdata: x\n\n", [1])
@example(b"data: a\r\n\r\n\ndata: b\r\r", [9, 10, 11])
def test_bytes_of_any_kind_give_the_same_frames_wherever_they_are_cut(data: bytes, places: list[int]) -> None:
    assert _frames(*_cut(data, places)) == _frames(data)


@given(st.lists(LINES), ENDS)
def test_line_ends_never_change_the_frames(lines: list[bytes], end: bytes) -> None:
    assert _frames(b"".join(line + end for line in lines)) == _frames(b"".join(line + b"\n" for line in lines))


def test_a_frame_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_FRAME_BYTES", 100)
    parser = FrameParser()
    with pytest.raises(FrameTooLarge):
        for _ in range(20):
            parser.feed(b"data: ten.")


def test_many_frames_are_more_than_one_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_FRAME_BYTES", 100)
    parser = FrameParser()
    for _ in range(50):
        assert parser.feed(b"data: ten.\n\nda") == [(b"", b"ten.")]
        assert parser.feed(b"ta: ten.\n\n") == [(b"", b"ten.")]


def test_a_long_frame_in_many_reads_takes_linear_time() -> None:
    parser, begun = FrameParser(), time.perf_counter()
    for _ in range(100_000):  # 10 MB; in quadratic time this takes minutes
        parser.feed(b"x" * 100)
    parser.feed(b"\n\n")
    assert time.perf_counter() - begun < 3
