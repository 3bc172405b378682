import pytest

from libs.translate.errors import TranslationError
from services.edge.answering import polling
from services.edge.answering.polling import MAX_FAILURES, settled
from services.edge.errors import UpstreamMalformed, UpstreamUnreachable
from tests.unit.services.edge.fakes import CUT, UPSTREAMS, Stage

BUSY = (503, b"")
QUEUED, WORKED_ON = (200, b'{"status":"queued"}'), (200, b'{"status":"in_progress"}')
WHOLE = (200, b'{"status":"completed","output":[]}')


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "FIRST_POLL_SECONDS", 0.001)
    monkeypatch.setattr(polling, "LAST_POLL_SECONDS", 0.001)


async def _settled(stage: Stage, response_id: str = "resp_1") -> bytes:
    return await settled(stage.served(), UPSTREAMS[1], response_id)


async def test_an_answer_is_asked_for_until_it_is_whole() -> None:
    stage = Stage({}, bodies=[QUEUED, WORKED_ON, WHOLE, QUEUED])
    assert await _settled(stage) == WHOLE[1]
    assert stage.upstreams.asked == [("two", "GET", "/responses/resp_1")] * 3


@pytest.mark.parametrize("status", ["failed", "cancelled", "incomplete", "never_heard_of"])
async def test_whatever_is_not_worked_on_is_whole(status: str) -> None:
    body = b'{"status":"%b"}' % status.encode()
    assert await _settled(Stage({}, bodies=[(200, body)])) == body


async def test_an_id_is_one_segment_of_the_path() -> None:
    stage = Stage({}, bodies=[WHOLE])
    await _settled(stage, "a/b c")
    assert stage.upstreams.asked == [("two", "GET", "/responses/a%2Fb%20c")]


async def test_an_id_that_can_be_no_segment_is_never_asked_for() -> None:
    stage = Stage({})
    with pytest.raises(UpstreamMalformed):
        await _settled(stage, "..")
    assert stage.upstreams.asked == []


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
async def test_a_bad_moment_of_the_upstream_loses_no_answer(status: int) -> None:
    assert await _settled(Stage({}, bodies=[QUEUED, (status, b""), WHOLE])) == WHOLE[1]


async def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    assert await _settled(Stage({}, bodies=[(200, b'{"status":' + CUT), WHOLE])) == WHOLE[1]


async def test_only_bad_moments_in_a_row_count() -> None:
    bad = [BUSY] * (MAX_FAILURES - 1)
    assert await _settled(Stage({}, bodies=[*bad, QUEUED, *bad, WHOLE])) == WHOLE[1]


async def test_too_many_bad_moments_in_a_row_end_the_wait() -> None:
    stage = Stage({}, bodies=[BUSY] * (2 * MAX_FAILURES))
    with pytest.raises(UpstreamUnreachable):
        await _settled(stage)
    assert len(stage.upstreams.asked) == MAX_FAILURES


@pytest.mark.parametrize(
    "answer", [(200, b"x"), (200, b"{}"), (200, b'{"status":""}'), (200, b'{"status":1}'), (404, WHOLE[1]), (401, b"")]
)
async def test_what_cannot_be_read_ends_the_wait(answer: tuple[int, bytes]) -> None:
    stage = Stage({}, bodies=[answer, WHOLE])
    with pytest.raises(TranslationError) as raised:
        await _settled(stage)
    assert isinstance(raised.value, UpstreamMalformed)
    assert len(stage.upstreams.asked) == 1


async def test_answers_that_break_off_are_counted_like_other_failures() -> None:
    broken = (200, b'{"status":' + CUT)
    assert await _settled(Stage({}, bodies=[broken, broken, WHOLE])) == WHOLE[1]
    stage = Stage({}, bodies=[broken] * (MAX_FAILURES + 1))
    with pytest.raises(UpstreamMalformed):
        await _settled(stage)
    assert len(stage.upstreams.asked) == MAX_FAILURES
