from services.analytics.batch import Batch
from services.analytics.rows import Stored


def messages(count: int) -> list[Stored]:
    return [Stored(seq=seq, stored_ms=0, data=b"") for seq in range(count)]


def test_an_empty_batch_is_never_due_and_waits_the_idle_time() -> None:
    batch = Batch(3, 1.0)
    assert not batch.due(1e9)
    assert batch.wait_seconds(1e9, 5.0) == 5.0


def test_a_batch_is_due_when_it_is_full() -> None:
    batch = Batch(3, 1.0)
    batch.add(messages(2), 10.0)
    assert (batch.room(), batch.due(10.0)) == (1, False)
    batch.add(messages(1), 10.0)
    assert (batch.room(), batch.due(10.0)) == (0, True)


def test_a_batch_is_due_when_its_oldest_has_waited() -> None:
    batch = Batch(100, 1.0)
    batch.add(messages(1), 10.0)
    batch.add(messages(1), 10.9)
    assert batch.wait_seconds(10.9, 5.0) < 0.11
    assert batch.wait_seconds(10.1, 0.5) == 0.5
    assert not batch.due(10.99)
    assert batch.due(11.0)


def test_the_age_counts_anew_after_a_take() -> None:
    batch = Batch(100, 1.0)
    batch.add(messages(1), 10.0)
    assert len(batch.take()) == 1
    batch.add([], 10.5)
    batch.add(messages(1), 20.0)
    assert not batch.due(20.5)
    assert batch.due(21.0)
