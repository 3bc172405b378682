"""The guard of a stream: what it holds back, in time that grows with the stream alone."""

import time

import pytest

from libs.schemas.config import Upstream
from libs.schemas.wire.errors import ErrorBody
from services.edge.errors import UpstreamKeyRefused
from services.edge.upstreams.own_key import MAX_HELD_BYTES, OwnKey, StreamGuard

KEY = "sk-own-9f3b7c21d8e64a50"


def guard() -> StreamGuard:
    key = OwnKey(Upstream(name="up", base_url="http://up/v1", key_env="KEY"), KEY)

    def render(error: ErrorBody, number: int) -> bytes:
        return b"data: %d %b\n\n" % (number, str(error.code).encode())

    return StreamGuard(key, render)


def fed(stream: bytes, size: int) -> bytes:
    made = guard()
    passed = b"".join(made.feed(stream[start : start + size]) for start in range(0, len(stream), size))
    return passed + made.finish()


OTHER = b': error\n\nevent: x\r\ndata: {"type":"x","delta":"failed"}\r\n\r\ndata: [DONE]\n\n'
OTHER += b"event: y\r\ndata: " + b"y" * 300 + b"\r\n\r\nevent: z\ndata: " + b"z" * 300 + b"\n\n"
# The type comes late: nothing at the head of the frame says that it is an error.
LATE = b'data: {"message":"%b is no key, %b","sequence_number":4,"type":"error"}\n\n' % (KEY.encode(), b"x" * 200)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 95, 96, 97, 1000])
def test_frames_about_the_key_are_replaced_wherever_reads_end(size: int) -> None:
    told = b'event: error\ndata: {"type":"error","sequence_number":3,"code":"invalid_api_key","message":"m"}\n\n'
    shown = b"data: 3 upstream_key_refused\n\n"
    assert fed(OTHER + told + OTHER + told, size) == OTHER + shown + OTHER + shown
    assert fed(told.rstrip(b"\n"), size) == shown  # cut before its end


def test_frame_that_comes_whole_is_read_whole() -> None:
    assert fed(OTHER + LATE + OTHER, 10_000) == OTHER + b"data: 4 upstream_key_refused\n\n" + OTHER


def test_frame_that_is_too_long_to_be_judged_ends_the_stream() -> None:
    made = guard()
    with pytest.raises(UpstreamKeyRefused):
        for _ in range(MAX_HELD_BYTES // 1000 + 2):
            made.feed(b"event: error " + b"x" * 1000)


@pytest.mark.parametrize("start", [b"event: error\ndata: ", b"event: delta\ndata: ", b""])
@pytest.mark.parametrize("piece", [b"x", b"\r", b"\n", b"error", b"\r\n", b"data: failed\n\n", b"event: error\n"])
def test_time_grows_with_the_stream_alone(start: bytes, piece: bytes) -> None:
    def seconds(size: int) -> float:
        stream = start + (piece * size)[:size]
        best = 9.0
        for _ in range(5):
            began = time.thread_time()
            fed(stream, 256)
            best = min(best, time.thread_time() - began)
        return best

    # A machine that is busy meanwhile spoils one measure, and not each of four.
    assert any(seconds(160_000) < 6 * max(seconds(40_000), 0.001) for _ in range(4))


TORN = b'{"type":"error","message":"%b is no key. %b","code":"invalid_api_key","sequence_number":4}'


@pytest.mark.parametrize("half", [rb"\ud83d", rb"\ude00", b"\xff"])
def test_words_about_the_key_are_withheld_beside_half_of_a_character(half: bytes) -> None:
    payload = TORN % (KEY.encode(), half)
    assert fed(b"event: error\ndata: " + payload + b"\n\n", 1000) == b"data: 4 upstream_key_refused\n\n"
    with pytest.raises(UpstreamKeyRefused):
        OwnKey(Upstream(name="up", base_url="http://up/v1", key_env="KEY"), KEY).check_body(b'{"error":%b}' % payload)
