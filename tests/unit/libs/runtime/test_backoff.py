from libs.runtime.backoff import Backoff


def whole(low: float, high: float) -> float:
    return high


def test_delays_double_to_their_limit_and_begin_again_after_a_success() -> None:
    backoff = Backoff(0.2, 10.0, whole)
    assert [backoff.next() for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    backoff.reset()
    assert [backoff.next(), backoff.next()] == [0.2, 0.4]


def test_what_failed_together_is_not_tried_again_together() -> None:
    delays = {Backoff(1.0, 8.0).next() for _ in range(50)}
    assert len(delays) == 50 and all(0.5 <= delay <= 1.0 for delay in delays)
