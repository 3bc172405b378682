from simulator.kept.responses import Kept, Store


def kept(id: str, size: int = 1) -> Kept:
    return Kept("a", {"id": id, "output": [{"id": f"msg_{id}"}]}, [], [], size)


def test_the_least_recently_used_goes_first() -> None:
    store = Store(limit=2)
    store.keep(kept("r1"))
    store.keep(kept("r2"))
    store.find("a", "r1")
    store.keep(kept("r3"))
    assert [store.find("a", id) is not None for id in ("r1", "r2", "r3")] == [True, False, True]
    assert store.find_item("a", "msg_r2") is None and store.find_item("a", "msg_r3") is not None


def test_bytes_are_bounded_too() -> None:
    store = Store(limit_bytes=10)
    store.keep(kept("r1", 8))
    store.keep(kept("r2", 8))
    assert store.find("a", "r1") is None and store.find("a", "r2") is not None


def test_only_the_owner_finds_and_deletes() -> None:
    store = Store()
    store.keep(kept("r1"))
    assert store.find("b", "r1") is None and not store.delete("b", "r1")
    assert store.delete("a", "r1") and not store.delete("a", "r1")
