"""The cache of sealed values: bounded in bytes and in time, and it does not bring back what was evicted."""

from services.state.cache import CACHE_SECONDS, Cache


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_least_recently_used_goes_first() -> None:
    cache = Cache(33)
    for key in ("a", "b", "c"):
        cache.put(key, b"x" * 10)
    cache.get("a")
    cache.put("d", b"x" * 10)
    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]


def test_value_larger_than_the_cache_is_not_held() -> None:
    cache = Cache(10)
    cache.put("a", b"x" * 10)
    assert cache.get("a") is None
    cache.put("a", b"x" * 9)
    assert cache.get("a") == b"x" * 9


def test_value_is_held_for_its_time_and_at_most_a_minute() -> None:
    clock = Clock()
    cache = Cache(100, clock)
    cache.put("short", b"x", 5)
    cache.put("long", b"x", 5000)
    clock.now += 5
    assert (cache.get("short"), cache.get("long")) == (None, b"x")
    clock.now += CACHE_SECONDS - 5
    assert cache.get("long") is None


def test_evicted_value_is_not_taken_again_at_once() -> None:
    clock = Clock()
    cache = Cache(100, clock)
    cache.put("a", b"x")
    cache.evict(["a", "unknown"])
    cache.put("a", b"x")
    cache.put("unknown", b"x")
    assert (cache.get("a"), cache.get("unknown")) == (None, None)
    clock.now += CACHE_SECONDS
    cache.put("a", b"x")
    assert cache.get("a") == b"x"


def test_cleared_cache_has_all_its_room_again() -> None:
    cache = Cache(11)
    cache.put("a", b"x" * 10)
    cache.clear()
    assert cache.get("a") is None
    cache.put("b", b"x" * 10)
    assert cache.get("b") == b"x" * 10
