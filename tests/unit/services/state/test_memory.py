"""The store in memory: bounded, and exact about time."""

from services.state.stores.memory import MemoryStore


async def test_oldest_entries_go_when_it_is_full() -> None:
    store = MemoryStore(max_bytes=30)
    for key in ("a", "b", "c", "a", "d"):
        await store.write(key, b"x" * 9, 60)
    assert sorted(await store.read(["a", "b", "c", "d"])) == ["a", "c", "d"]
    assert await store.totals() == (3, 30)


async def test_expired_entry_is_gone_from_reads_counts_and_revisions() -> None:
    now = 0.0
    store = MemoryStore(clock=lambda: now)
    await store.write("a.t.1", b"x", 5)
    now = 5.0
    assert await store.read(["a.t.1"]) == {}
    await store.swap("a.t.1", b"y", 0, 5)
    now = 10.0
    assert await store.count("a.t.") == 0
    assert await store.totals() == (0, 0)
