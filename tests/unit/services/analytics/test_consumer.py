"""The consumer over a stream, a lease and a table in memory."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import msgspec
import pytest

from libs.runtime import metrics
from libs.schemas.config import Analytics
from libs.schemas.records import RECORD_ENCODER
from services.analytics import consumer as module
from services.analytics import purging
from services.analytics.consumer import Consumer
from services.analytics.lease import Cursor, Lease, LeaseLost
from services.analytics.rows import Row, Stored
from services.analytics.source import Gap, Source
from services.analytics.tables import TABLES
from services.analytics.writer import InsertError, Writer
from tests.unit.services.analytics.test_rows import handoff, record

EPOCH = "epoch-1"


def message(seq: int, event_id: str | None = None, *, republished: bool = False) -> Stored:
    data = b"{" if event_id == "poison" else RECORD_ENCODER.encode(record(event_id=event_id or f"e{seq}"))
    return Stored(seq=seq, stored_ms=0, data=data, republished=republished)


def told(seq: int, event_id: str, *, republished: bool = False) -> Stored:
    data = RECORD_ENCODER.encode(handoff(event_id=event_id))
    return Stored(seq=seq, stored_ms=0, data=data, republished=republished)


class FakeSource(Source):
    def __init__(self, messages: list[Stored], epoch: str = EPOCH) -> None:
        self.waiting = 0
        self.first_seq, self.last_seq = 1, len(messages)
        self.purges: list[int] = []
        self.full = 0.0
        self.refuses_dead = False
        self.messages = {stored.seq: stored for stored in messages}
        self.epoch = epoch
        self.next_seq = 0
        self.acked = 0
        self.restarts: list[int] = []
        self.troubles: list[Exception] = []
        self.aside: list[int] = []
        self.done = asyncio.Event()

    async def open(self) -> str:
        return self.epoch

    async def restart(self, next_seq: int) -> None:
        self.restarts.append(next_seq)
        self.next_seq = next_seq

    async def fetch(self, limit: int, timeout_seconds: float) -> list[Stored]:
        await asyncio.sleep(0)
        if self.troubles:
            raise self.troubles.pop(0)
        found = [stored for seq, stored in sorted(self.messages.items()) if seq >= self.next_seq][:limit]
        if not found:
            self.done.set()
        else:
            self.next_seq = found[-1].seq + 1
        return found

    async def ack(self) -> None:
        self.acked = self.next_seq - 1

    async def read(self, first: int, last: int) -> tuple[list[Stored], int]:
        found = [self.messages[seq] for seq in range(first, last + 1) if seq in self.messages]
        return found, last - first + 1 - len(found)

    async def fullness(self, epoch: str) -> float:
        if epoch != self.epoch:
            raise Gap("another")
        return self.full

    async def purge(self, before: int, epoch: str) -> None:
        await self.fullness(epoch)
        self.purges.append(before)
        self.messages = {seq: stored for seq, stored in self.messages.items() if seq >= before}

    async def put_aside(self, stored: Stored, epoch: str, reason: str) -> None:
        if self.refuses_dead:
            raise TimeoutError
        self.aside.append(stored.seq)


class FakeLease(Lease):
    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.intents: list[Any] = []
        self.lost = False

    async def move(self, cursor: Cursor) -> None:
        self.check()
        self.cursor = cursor
        self.intents.append(cursor.pending)

    def check(self) -> None:
        if self.lost:
            raise LeaseLost("another")

    async def confirm(self) -> None:
        self.check()


class FakeWriter(Writer):
    """Tables that know their tokens; `on_insert` runs before an insert, `on_answer` after it."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Row]] = {table: {} for table in TABLES}
        self.rows = self.tables["calls"]
        self.tokens: list[str] = []
        self.on_insert: list[Callable[[], None]] = []
        self.on_answer: list[Callable[[], None]] = []
        self.table_position = (0, 0)

    async def insert(self, table: str, rows: Collection[Row], token: str) -> None:
        if self.on_insert:
            self.on_insert.pop(0)()
        if token not in self.tokens:
            for row in rows:
                assert row[0] not in self.tables[table], "a record would be in the table twice"
                self.tables[table][str(row[0])] = row
        self.tokens.append(token)
        if self.on_answer:
            self.on_answer.pop(0)()

    async def known(self, table: str, event_ids: Collection[str]) -> set[str]:
        return set(event_ids) & set(self.tables[table])

    async def position(self, epoch: str) -> tuple[int, int]:
        return self.table_position


def fail() -> None:
    raise InsertError("unknown")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.0)


async def consumed(source: FakeSource, lease: FakeLease, writer: FakeWriter, rows: int = 3) -> Consumer:
    """Run until the stream is empty."""
    stop = asyncio.Event()
    consumer = Consumer(Analytics(batch_rows=rows, batch_seconds=0.0), lease, source, writer)
    task = asyncio.create_task(consumer.run(stop))
    ended = asyncio.create_task(source.done.wait())
    await asyncio.wait({task, ended}, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    stop.set()
    await task
    return consumer


def known_cursor(**changes: Any) -> FakeLease:
    return FakeLease(msgspec.structs.replace(Cursor(epoch=EPOCH), **changes))


async def test_records_are_inserted_in_batches_each_after_its_intent_and_acknowledged() -> None:
    source, lease, writer = FakeSource([message(seq) for seq in (1, 2, 3, 4, 6)]), known_cursor(), FakeWriter()
    await consumed(source, lease, writer)
    assert lease.intents == [(1, 3), (4, 6)]
    assert writer.tokens == [f"{EPOCH}:1-3:calls", f"{EPOCH}:4-6:calls"]
    assert sorted(writer.rows) == ["e1", "e2", "e3", "e4", "e6"]
    assert (source.acked, lease.cursor.next_seq) == (6, 7)


async def test_an_insert_without_an_answer_is_repeated_with_the_same_token() -> None:
    source, lease, writer = FakeSource([message(1), message(2)]), known_cursor(), FakeWriter()
    writer.on_insert = [fail]
    writer.on_answer = [fail, fail]
    consumer = await consumed(source, lease, writer)
    assert writer.tokens == [f"{EPOCH}:1-2:calls"] * 3
    assert len(writer.rows) == 2
    assert consumer.well


async def test_a_mixed_batch_goes_to_both_tables_each_under_its_token() -> None:
    source, lease, writer = FakeSource([message(1), told(2, "h2"), message(3)]), known_cursor(), FakeWriter()
    await consumed(source, lease, writer)
    assert lease.intents == [(1, 3)]
    assert writer.tokens == [f"{EPOCH}:1-3:calls", f"{EPOCH}:1-3:handoffs"]
    assert {table: list(rows) for table, rows in writer.tables.items()} == {"calls": ["e1", "e3"], "handoffs": ["h2"]}


async def test_ended_between_two_inserts_the_range_is_completed_by_its_repetition() -> None:
    messages = [message(1), told(2, "h2", republished=True), message(3, republished=True)]
    source, lease, writer = FakeSource(messages), known_cursor(), FakeWriter()

    def lose() -> None:
        lease.lost = True
        fail()

    writer.on_insert = [lambda: None, lose]
    with pytest.raises(LeaseLost):
        await consumed(source, lease, writer)
    assert (list(writer.tables["calls"]), list(writer.tables["handoffs"])) == (["e1", "e3"], [])
    await consumed(source, FakeLease(lease.cursor), writer)
    assert (list(writer.tables["calls"]), list(writer.tables["handoffs"])) == (["e1", "e3"], ["h2"])


async def test_a_republished_handoff_is_looked_up_in_its_own_table() -> None:
    messages = [message(1, "x"), told(2, "x", republished=True), told(3, "x", republished=True), told(4, "y")]
    source, lease, writer = FakeSource(messages), known_cursor(), FakeWriter()
    await consumed(source, lease, writer, rows=2)
    assert {table: list(rows) for table, rows in writer.tables.items()} == {"calls": ["x"], "handoffs": ["x", "y"]}


async def test_a_pending_range_is_inserted_again_before_anything_else() -> None:
    source, writer = FakeSource([message(seq) for seq in range(1, 8)]), FakeWriter()
    lease = known_cursor(pending=(2, 4), next_seq=5)
    await consumed(source, lease, writer, rows=100)
    assert writer.tokens == [f"{EPOCH}:2-4:calls", f"{EPOCH}:5-7:calls"]
    assert source.restarts == [5]
    assert sorted(writer.rows) == ["e2", "e3", "e4", "e5", "e6", "e7"]


async def test_a_gap_in_the_deliveries_leads_back_to_the_cursor() -> None:
    source, lease, writer = FakeSource([message(seq) for seq in range(1, 5)]), known_cursor(), FakeWriter()
    source.troubles = [Gap("lost"), TimeoutError()]
    await consumed(source, lease, writer)
    assert source.restarts == [1, 1, 1]
    assert len(writer.rows) == 4


async def test_nothing_is_inserted_once_the_lease_is_lost() -> None:
    source, lease, writer = FakeSource([message(1)]), known_cursor(), FakeWriter()

    def lose() -> None:
        lease.lost = True
        fail()

    writer.on_insert = [lose]
    with pytest.raises(LeaseLost):
        await consumed(source, lease, writer)
    assert (writer.rows, source.acked) == ({}, 0)


async def test_republished_records_are_looked_up_and_left_out() -> None:
    messages = [message(1, "old"), message(2), message(3, "old", republished=True), message(4, republished=True)]
    source, lease, writer = FakeSource(messages), known_cursor(), FakeWriter()
    await consumed(source, lease, writer, rows=2)
    assert sorted(writer.rows) == ["e2", "e4", "old"]


async def test_poison_is_put_aside_and_a_batch_of_nothing_else_is_no_insert() -> None:
    messages = [message(1, "poison"), message(2, "poison"), message(3, "poison"), message(4), message(5, "poison")]
    source, lease, writer = FakeSource(messages), known_cursor(), FakeWriter()
    await consumed(source, lease, writer)
    assert source.aside == [1, 2, 3, 5]
    assert (writer.tokens, source.acked) == ([f"{EPOCH}:4-5:calls"], 5)


async def test_a_new_stream_starts_a_new_epoch_and_keeps_the_table(caplog: pytest.LogCaptureFixture) -> None:
    source, writer = FakeSource([message(1), message(2)], epoch="epoch-2"), FakeWriter()
    lease = known_cursor(pending=(900, 950), next_seq=951)
    await consumed(source, lease, writer)
    assert writer.tokens == ["epoch-2:1-2:calls"]
    assert (lease.cursor.epoch, lease.cursor.next_seq) == ("epoch-2", 3)
    assert "new_stream_of_records" in caplog.text


async def test_a_stream_put_back_from_a_copy_doubles_nothing() -> None:
    source, lease, writer = (
        FakeSource([message(1), message(2), message(3)], epoch="epoch-2"),
        known_cursor(),
        FakeWriter(),
    )
    await writer.insert("calls", [("e1",), ("e2",)], "before")
    writer.table_position = (0, 2)
    await consumed(source, lease, writer)
    assert sorted(writer.rows) == ["e1", "e2", "e3"]


async def test_after_a_lost_cursor_what_the_table_has_is_not_inserted_again(caplog: pytest.LogCaptureFixture) -> None:
    source, lease, writer = FakeSource([message(seq) for seq in range(1, 7)]), FakeLease(Cursor()), FakeWriter()
    await writer.insert("calls", [("e1",), ("e2",), ("e4",)], "before")
    writer.table_position = (4, 0)
    await consumed(source, lease, writer, rows=100)
    assert sorted(writer.rows) == [f"e{seq}" for seq in range(1, 7)]
    assert "cursor_was_lost" in caplog.text


class Purged:
    """A consumer whose clock moves as it is told, and which purges whenever it may."""

    def __init__(self, source: FakeSource, lease: FakeLease, writer: FakeWriter, rows: int = 2) -> None:
        self.source, self.lease, self.now = source, lease, 0.0
        self.stop = asyncio.Event()
        settings = Analytics(batch_rows=rows, batch_seconds=0.0)
        self.consumer = Consumer(settings, lease, source, writer, clock=lambda: self.now)

    async def run(self) -> None:
        """Until the stream is empty, and a while after."""
        task = asyncio.create_task(self.consumer.run(self.stop))
        await asyncio.wait_for(self.source.done.wait(), 5)
        for _ in range(20):
            self.now += purging.PURGE_SECONDS / 2
            await asyncio.sleep(0)
        self.stop.set()
        await task


async def test_the_stream_lets_go_of_what_the_tables_have_and_only_once_the_cursor_says_so() -> None:
    source, lease, writer = FakeSource([message(seq) for seq in range(1, 8)]), known_cursor(), FakeWriter()
    at_purge = []

    class Watched(FakeSource):
        async def purge(self, before: int, epoch: str) -> None:
            at_purge.append((before, lease.cursor.pending, lease.cursor.next_seq, len(writer.rows)))
            await super().purge(before, epoch)

    source.__class__ = Watched
    await Purged(source, lease, writer).run()
    assert at_purge == [(8, None, 8, 7)], "when nothing comes, once, all of it"
    assert (source.messages, lease.cursor.pending) == ({}, None)


async def test_while_records_come_the_newest_range_stays_in_the_stream() -> None:
    source, lease, writer = FakeSource([message(seq) for seq in range(1, 11)]), known_cursor(), FakeWriter()
    stage = Purged(source, lease, writer)
    insert = writer.insert

    async def inserted(table: str, rows: Collection[Row], token: str) -> None:
        await insert(table, rows, token)
        stage.now += purging.PURGE_SECONDS

    writer.insert = inserted  # type: ignore[method-assign]
    await stage.run()
    assert source.purges == [3, 5, 7, 9, 11]  # 1 is no purge
    assert [intent for intent in lease.intents if intent] == [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)]
    assert sorted(writer.rows) == sorted(f"e{seq}" for seq in range(1, 11))


async def test_one_that_lost_the_lease_purges_nothing() -> None:
    source, lease, writer = FakeSource([message(1)]), known_cursor(), FakeWriter()
    stage = Purged(source, lease, writer)

    async def lose() -> None:
        raise LeaseLost("another")

    task = asyncio.create_task(stage.run())
    await source.done.wait()
    lease.confirm = lose  # type: ignore[method-assign]
    with pytest.raises(LeaseLost):
        await task
    assert source.purges == []


async def test_another_stream_is_never_purged() -> None:
    source, lease, writer = FakeSource([message(1), message(2)]), known_cursor(), FakeWriter()
    task = asyncio.create_task(Purged(source, lease, writer).run())
    await source.done.wait()
    source.epoch = "epoch-2"
    source.messages = {1: message(1, "unread")}
    await task
    assert "unread" in writer.rows


async def test_a_cursor_of_before_a_purge_counts_nothing_as_missing() -> None:
    before = metrics.RECORDS_MISSING._value.get()
    source, writer = FakeSource([]), FakeWriter()
    source.first_seq, source.last_seq, writer.table_position = 8, 7, (7, 0)
    await consumed(source, known_cursor(pending=(5, 7), next_seq=8), writer)
    assert metrics.RECORDS_MISSING._value.get() == before
    writer.table_position = (4, 0)
    await consumed(FakeSource([]), known_cursor(pending=(5, 7), next_seq=8), writer)
    assert metrics.RECORDS_MISSING._value.get() == before + 3


async def test_a_dead_record_that_could_not_be_put_aside_stays_until_it_can() -> None:
    messages = [message(1), message(2, "poison"), message(3), message(4)]
    source, lease, writer = FakeSource(messages), known_cursor(), FakeWriter()
    source.refuses_dead = True
    await Purged(source, lease, writer).run()
    assert (sorted(source.messages), lease.cursor.held, source.aside) == ([2, 3, 4], (2,), [])
    source.refuses_dead, source.done = False, asyncio.Event()
    await Purged(source, FakeLease(lease.cursor), writer).run()
    assert (source.messages, source.aside) == ({}, [2])


async def test_a_dead_record_gives_way_to_the_living(caplog: pytest.LogCaptureFixture) -> None:
    source, lease, writer = FakeSource([message(1, "poison"), message(2)]), known_cursor(), FakeWriter()
    source.refuses_dead, source.full = True, 0.9
    await Purged(source, lease, writer).run()
    assert (source.messages, lease.cursor.held) == ({}, ())
    assert "dead_records_lost" in caplog.text


def test_a_cursor_travels_between_neighbouring_releases() -> None:
    class Older(msgspec.Struct, frozen=True, kw_only=True):
        epoch: str = ""
        next_seq: int = 1
        pending: tuple[int, int] | None = None
        lookup_until: int = 0
        owner: str = ""

    ours = Cursor(epoch="e", next_seq=8, held=(3,), holder="a")
    theirs = msgspec.json.decode(msgspec.json.encode(ours), type=Older)
    assert (theirs.next_seq, theirs.pending) == (8, None)
    assert msgspec.json.decode(msgspec.json.encode(theirs), type=Cursor) == msgspec.structs.replace(ours, held=())


async def test_what_was_fetched_is_finished_before_the_end() -> None:
    source, lease, writer = FakeSource([message(1)]), known_cursor(), FakeWriter()
    stop = asyncio.Event()
    task = asyncio.create_task(Consumer(Analytics(batch_seconds=60.0), lease, source, writer).run(stop))
    await asyncio.wait_for(source.done.wait(), 5)
    assert writer.rows == {}
    stop.set()
    await task
    assert list(writer.rows) == ["e1"]
