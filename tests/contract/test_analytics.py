"""The analytics service as a process, with a real nats-server and the real embedded ClickHouse.

The service is killed, frozen and starved from outside; what is in the tables is asked over the bus, as
any client would.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec
import pytest
from nats.js.errors import APIError

from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.runtime.errors import BusError
from libs.runtime.jetstream import KeyValue, ensure_bucket, ensure_stream
from libs.schemas.bus.query import QueryFailed, QueryOutcome, QueryReply, QueryRequest
from libs.schemas.config import Nats
from libs.schemas.records import RECORD_ENCODER, CallRecord, HandoffRecord, Record, kind, subject
from libs.schemas.subjects import (
    CURSOR,
    DEAD_REASON_HEADER,
    DEAD_RECORDS,
    QUERY,
    RECORDS,
    RECORDS_DURABLE,
    REPUBLISHED_HEADER,
)
from services.analytics import source as source_module
from services.analytics.source import Gap, Source
from services.analytics.tables import TABLES
from tests.support.nats import NatsServer, running_nats

REPOSITORY = Path(__file__).parents[2]
LEASE_SECONDS = 1.0
CURSOR_SUBJECT = f"$KV.{CURSOR.name}.records"


# The service, but killed around the insert that fills the second table of a batch.
KILLED_AT_HANDOFFS = """
import os, runpy
from services.analytics.writer import Writer

insert = Writer.insert

async def killed(self, table, rows, token):
    if {after} or table != "handoffs":
        await insert(self, table, rows, token)
    if table == "handoffs":
        os.kill(os.getpid(), 9)

Writer.insert = killed
runpy.run_module("services.analytics", run_name="__main__")
"""


# The service, with a stream of records that is soon full.
SMALL_BYTES = 64 * 1024
SMALL = f"""
import msgspec, runpy
from libs.schemas import subjects

subjects.RECORDS = msgspec.structs.replace(subjects.RECORDS, max_bytes={SMALL_BYTES})
runpy.run_module("services.analytics", run_name="__main__")
"""


class Service:
    """One `python -m services.analytics`, or the same as `code`; `log` holds what it wrote."""

    def __init__(
        self, nats: NatsServer, folder: Path, name: str = "a", code: str | None = None, **settings: object
    ) -> None:
        self._arguments = ["-m", "services.analytics"] if code is None else ["-c", code]
        self.log_path = folder / f"{name}.log"
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "PARLEY_NATS_URL": nats.url,
            "PARLEY_ANALYTICS_CHDB_PATH": str(folder / "clickhouse"),
            "PARLEY_ANALYTICS_BATCH_SECONDS": "0.05",
            "PARLEY_ANALYTICS_LEASE_SECONDS": str(LEASE_SECONDS),
            **{f"PARLEY_ANALYTICS_{key.upper()}": str(value) for key, value in settings.items()},
        }
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.health_port = 0

    def start(self) -> "Service":
        """Start, and wait for its ready line."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self._arguments],
                cwd=self._folder,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(b"ready "), self.log()
        self.health_port = int(line.split()[1])
        return self

    def log(self) -> str:
        """What it has written."""
        return self.log_path.read_text(encoding="utf-8")

    def send(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGKILL) -> int:
        """End the process, and return its status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(number)
        status = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    with running_nats(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    bus = await Bus.connect(Nats(url=nats.url), "test")
    await ensure_stream(bus.jetstream(), RECORDS, 1)
    await ensure_bucket(bus.jetstream(), CURSOR, 1)
    yield bus
    await bus.drain(0.1)


@contextmanager
def running(service: Service) -> Iterator[Service]:
    try:
        yield service.start()
    finally:
        service.end()


def record(event_id: str, **changes: Any) -> CallRecord:
    fields: dict[str, Any] = {
        "event_id": event_id,
        "ts": int(time.time() * 1000),
        "tenant": "t1",
        "surface": "chat",
        "model_requested": "gpt",
        "upstream": "openai",
        "streamed": True,
        "outcome": "ok",
        "request_id": f"req_{event_id}",
    }
    return CallRecord(**{**fields, **changes})


def handoff(event_id: str) -> HandoffRecord:
    return HandoffRecord(
        event_id=event_id,
        ts=int(time.time() * 1000),
        tenant="t1",
        request_id=f"req_{event_id}",
        upstream="openai",
        model="gpt",
        mode="chain",
        reason="matched",
    )


async def publish(bus: Bus, event_id: str, *, msg_id: str | None = None, republished: bool = False) -> None:
    """Publish a record until the stream has it: a handoff where the id begins with `h`, else a call."""
    headers = {"Nats-Msg-Id": msg_id or event_id}
    if republished:
        headers[REPUBLISHED_HEADER] = "1"
    told: Record = handoff(event_id) if event_id.startswith("h") else record(event_id)
    await bus.jetstream().publish(subject(kind(type(told))), RECORD_ENCODER.encode(told), headers=headers)


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """Return the first true result of `condition`, or its last after `seconds`."""
    ends = time.monotonic() + seconds
    while True:
        result = await condition()
        if result or time.monotonic() > ends:
            return result
        await asyncio.sleep(0.05)


async def outcome(bus: Bus, sql: str) -> QueryOutcome:
    return await bus.call(QUERY, QueryRequest(sql=sql), BusContext())


async def ask(bus: Bus, sql: str) -> list[list[Any]] | None:
    """Return the rows, or None while nobody answers."""
    try:
        reply = await outcome(bus, sql)
    except BusError:
        return None
    return [msgspec.msgpack.decode(row) for row in reply.rows] if isinstance(reply, QueryReply) else None


async def counts(bus: Bus) -> tuple[int, int]:
    """Return (rows, distinct ids) of all tables; (-1, -1) while nobody answers."""
    both = "SELECT event_id FROM calls UNION ALL SELECT event_id FROM handoffs"
    rows = await ask(bus, f"SELECT count(), uniqExact(event_id) FROM ({both})")
    return (rows[0][0], rows[0][1]) if rows else (-1, -1)


async def by_table(bus: Bus) -> dict[str, list[str]]:
    """Return the ids in each table, sorted, as often as they are there."""
    found = {}
    for table in TABLES:
        # One row: a reply has no more of them than the query's limit.
        rows = await ask(bus, f"SELECT arraySort(groupArray(event_id)) FROM {table}")
        found[table] = rows[0][0] if rows else []
    return found


async def settled(bus: Bus, wanted: int, seconds: float = 20.0) -> tuple[int, int]:
    """Wait until the tables have `wanted` distinct ids or more; return `counts`."""

    async def enough() -> tuple[int, int] | None:
        found = await counts(bus)
        return found if found[1] >= wanted else None

    await eventually(enough, seconds)
    return await counts(bus)


async def cursor(bus: Bus) -> dict[str, Any]:
    entry = await KeyValue(bus.jetstream(), CURSOR).get("records", leader=True)
    return msgspec.json.decode(entry[0]) if entry else {}


@asynccontextmanager
async def publishing(bus: Bus, pause_seconds: float) -> AsyncIterator[list[str]]:
    """Publish records while the block runs, every third a handoff, every seventh twice.

    Yields the ids that the stream has.
    """
    ids: list[str] = []
    done = False

    async def loop() -> None:
        while not done:
            event_id = f"{'h' if len(ids) % 3 == 2 else 'e'}{len(ids)}"
            await publish(bus, event_id)
            if len(ids) % 7 == 0:
                await publish(bus, event_id)
            ids.append(event_id)
            await asyncio.sleep(pause_seconds)

    task = asyncio.create_task(loop())
    try:
        yield ids
    finally:
        done = True
        await task


@asynccontextmanager
async def pressing(bus: Bus) -> AsyncIterator[list[str]]:
    """Publish as fast as the stream takes it while the block runs, as an edge does: each until it is taken.

    Yields the ids that the stream has had.
    """
    ids: list[str] = []
    done = False

    async def loop() -> None:
        while not done:
            event_id, tries = f"{'h' if len(ids) % 3 == 2 else 'e'}{len(ids)}", 0
            while tries or not done:
                try:
                    await publish(bus, event_id, republished=tries > 0)
                except APIError:  # full
                    await asyncio.sleep(0.05)
                except Exception:  # whatever NATS is going through; the stream may have it
                    tries += 1
                    await asyncio.sleep(0.05)
                else:
                    ids.append(event_id)
                    break

    task = asyncio.create_task(loop())
    try:
        yield ids
    finally:
        done = True
        await task


async def stream_bytes(bus: Bus) -> int:
    return (await bus.jetstream().stream_info(RECORDS.name)).state.bytes


async def killed_after_intent(bus: Bus, service: Service, delay_seconds: float) -> None:
    """Kill the service `delay_seconds` after it told of a new pending range: before, in or after its insert."""
    subscription = await bus.jetstream()._nc.subscribe(CURSOR_SUBJECT)
    before = (await cursor(bus)).get("pending")
    ends = time.monotonic() + 15
    while time.monotonic() < ends:
        msg = await subscription.next_msg(15)
        pending = msgspec.json.decode(msg.data).get("pending")
        if pending and pending != before:
            break
    await asyncio.sleep(delay_seconds)
    service.end()
    await subscription.unsubscribe()


async def active(bus: Bus) -> None:
    """Wait until somebody answers queries."""
    assert await eventually(lambda: ask(bus, "SELECT 1")), "nobody became active"


def readiness(service: Service) -> int:
    """The status of /readyz."""
    try:
        with urlopen(f"http://127.0.0.1:{service.health_port}/readyz", timeout=10) as response:
            return int(response.status)
    except HTTPError as error:
        with error:
            return error.code


async def ready(service: Service, wanted: int = 200) -> None:
    async def holds() -> bool:
        return await asyncio.to_thread(readiness, service) == wanted

    assert await eventually(holds), service.log()


async def test_every_record_is_in_its_table_once_whenever_the_service_is_killed(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    dice = random.Random(20260101)
    pending_found = 0
    async with publishing(bus, 0.002) as ids:
        for kill in range(10):
            service = Service(nats, tmp_path).start()
            if kill % 3 == 2:
                await asyncio.sleep(LEASE_SECONDS + dice.uniform(0.5, 2.5))
                service.end()
            else:
                await killed_after_intent(bus, service, dice.uniform(0.0, 0.03))
            pending_found += (await cursor(bus)).get("pending") is not None
    with running(Service(nats, tmp_path)):
        assert await settled(bus, len(ids), 30) == (len(ids), len(ids))
        assert await by_table(bus) == {
            "calls": sorted(event_id for event_id in ids if event_id.startswith("e")),
            "handoffs": sorted(event_id for event_id in ids if event_id.startswith("h")),
        }
    assert len(ids) > 1000 and pending_found > 3, "the kills must have had something to break"


@pytest.mark.parametrize("after", [False, True], ids=["between the inserts", "after both"])
async def test_killed_at_its_second_table_a_mixed_batch_is_completed_once(
    nats: NatsServer, bus: Bus, tmp_path: Path, after: bool
) -> None:
    ids = [f"{kind}{number}" for number in range(20) for kind in "eh"]
    for event_id in ids:
        await publish(bus, event_id, republished=event_id.endswith("7"))
    code = KILLED_AT_HANDOFFS.format(after=after)
    for _ in range(2):  # the second dies while it repeats what the first left
        with running(Service(nats, tmp_path, "dying", code, batch_rows=40, batch_seconds=20)) as dying:
            assert dying.process is not None
            assert await asyncio.to_thread(dying.process.wait, 30) == -signal.SIGKILL
        assert (await cursor(bus))["pending"] == [1, 40]
    with running(Service(nats, tmp_path)):
        assert await settled(bus, 40) == (40, 40)
        assert await by_table(bus) == {"calls": sorted(ids[::2]), "handoffs": sorted(ids[1::2])}


@asynccontextmanager
async def opened(bus: Bus) -> AsyncIterator[Source]:
    source = Source(bus.jetstream(), 1)
    await source.open()
    await source.restart(1)
    yield source
    await source.close()


async def fetched(source: Source, limit: int) -> list[int]:
    return [stored.seq for stored in await source.fetch(limit, 0.3)]


async def test_a_delivery_that_went_elsewhere_is_noticed_and_comes_again(bus: Bus) -> None:
    for number in range(9):
        await publish(bus, f"e{number}")
    async with opened(bus) as source:
        assert await fetched(source, 3) == [1, 2, 3]
        thief = await bus.jetstream().pull_subscribe_bind(consumer=RECORDS_DURABLE, stream=RECORDS.name)
        assert len(await thief.fetch(2)) == 2
        with pytest.raises(Gap):
            await source.fetch(3, 0.3)
        await source.restart(4)
        assert await fetched(source, 100) == [4, 5, 6, 7, 8, 9]


async def test_what_comes_again_for_want_of_an_acknowledgement_is_skipped(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "ACK_WAIT_SECONDS", 0.3)
    for number in range(4):
        await publish(bus, f"e{number}")
    async with opened(bus) as source:
        assert await fetched(source, 3) == [1, 2, 3]

        async def next_ones() -> list[int]:
            return await fetched(source, 1)

        await asyncio.sleep(0.5)  # past the time for the acknowledgement
        assert await eventually(next_ones) == [4]
        await source.ack()
        assert await fetched(source, 10) == []


async def test_a_range_is_read_exactly_and_what_is_missing_is_counted(bus: Bus) -> None:
    for number in range(200):
        await publish(bus, f"e{number}", republished=number == 10)
    await bus.jetstream().delete_msg(RECORDS.name, 50)
    async with opened(bus) as source:
        live = await source.fetch(200, 1.0)
        read, missing = await source.read(3, 150)
    assert ([stored.seq for stored in read], missing) == ([seq for seq in range(3, 151) if seq != 50], 1)
    assert read == [stored for stored in live if 3 <= stored.seq <= 150], "both ways give the same rows"
    assert [stored.seq for stored in read if stored.republished] == [11]


async def test_a_record_published_again_after_the_window_is_left_out(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    with running(Service(nats, tmp_path)):
        await publish(bus, "a")
        await publish(bus, "b")
        assert await settled(bus, 2) == (2, 2)
        # Under another message id, as if the stream had forgotten the first.
        await publish(bus, "a", msg_id="a again", republished=True)
        await publish(bus, "b", msg_id="b again")
        await publish(bus, "c")
        assert await settled(bus, 3) == (4, 3), "b, which does not say so, shows that the stream took both"
        assert await ask(bus, "SELECT count() FROM calls WHERE event_id = 'a'") == [[1]]


async def test_a_handoff_published_again_after_the_window_is_one_row(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    with running(Service(nats, tmp_path)):
        for event_id in ("h1", "h2", "a"):
            await publish(bus, event_id)
        assert await settled(bus, 3) == (3, 3)
        await publish(bus, "h1")  # the stream itself knows it still
        await publish(bus, "h1", msg_id="h1 again", republished=True)
        await publish(bus, "h2", msg_id="h2 again", republished=True)
        await publish(bus, "h3")
        assert await settled(bus, 4) == (4, 4)
        assert await by_table(bus) == {"calls": ["a"], "handoffs": ["h1", "h2", "h3"]}


async def test_a_standby_is_ready_and_takes_over_from_one_that_was_killed(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    first, second = Service(nats, tmp_path, "first"), Service(nats, tmp_path, "second")
    async with publishing(bus, 0.005) as ids:
        with running(first):
            await active(bus)
            with running(second):
                await ready(second)
                await settled(bus, len(ids))
                assert "active" not in second.log()
                killed = time.monotonic()
                first.end()
                await active(bus)
                assert time.monotonic() - killed < LEASE_SECONDS + 5
                await settled(bus, len(ids))
    with running(Service(nats, tmp_path, "third")):
        assert await settled(bus, len(ids)) == (len(ids), len(ids))


async def test_an_instance_that_stood_still_gives_way_and_nothing_is_doubled(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    first, second = Service(nats, tmp_path, "first"), Service(nats, tmp_path, "second")
    async with publishing(bus, 0.005) as ids:
        with running(first), running(second):
            await active(bus)
            frozen, other = (first, second) if '"active"' in first.log() else (second, first)
            frozen.send(signal.SIGSTOP)

            async def refused() -> bool:
                return "database_not_opened" in other.log()

            assert await eventually(refused), "the directory is the frozen one's: the other cannot open it"
            frozen.send(signal.SIGCONT)

            async def gone() -> bool:
                return "lease_lost" in frozen.log()

            assert await eventually(gone), frozen.log()
            await settled(bus, len(ids), 40)
        await asyncio.sleep(0)
    with running(Service(nats, tmp_path, "third")):
        assert await settled(bus, len(ids)) == (len(ids), len(ids))


async def test_a_stop_finishes_the_batch_and_gives_the_lease_back(nats: NatsServer, bus: Bus, tmp_path: Path) -> None:
    with running(Service(nats, tmp_path, batch_seconds=30)) as service:
        await active(bus)
        for number in range(50):
            await publish(bus, f"e{number}")
        assert await counts(bus) == (0, 0), "the batch is young"
        assert service.end(signal.SIGTERM) == 0
        left = await cursor(bus)
        assert (left["owner"], left["pending"], left["next_seq"]) == ("", [1, 50], 51)
        assert "Exception" not in service.log() and "Traceback" not in service.log()
    with running(Service(nats, tmp_path, lease_seconds=600)):
        assert await settled(bus, 50) == (50, 50)


async def test_a_stream_made_anew_is_a_new_epoch_and_the_table_keeps_what_it_has(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    with running(Service(nats, tmp_path)) as service:
        for number in range(20):
            await publish(bus, f"old{number}")
        assert await settled(bus, 20) == (20, 20)
        await bus.jetstream().delete_stream(RECORDS.name)
        await ensure_stream(bus.jetstream(), RECORDS, 1)
        for number in range(20):
            await publish(bus, f"new{number}")
        assert await settled(bus, 40) == (40, 40)
        assert await ask(bus, "SELECT uniqExact(stream_epoch) FROM calls") == [[2]]
        assert "new_stream_of_records" in service.log()


@pytest.mark.parametrize("store", ["kept", "lost"])
async def test_nats_comes_back_with_or_without_its_store(
    nats: NatsServer, bus: Bus, tmp_path: Path, store: str
) -> None:
    with running(Service(nats, tmp_path)) as service:
        await publish(bus, "before")
        assert await settled(bus, 1) == (1, 1)
        nats.kill()
        if store == "lost":
            nats.wipe()
        nats.start()

        async def taken() -> bool:
            try:
                await publish(bus, "after")  # once the service has made the stream again
            except Exception:  # whatever NATS is going through
                return False
            return True

        assert await eventually(taken), service.log()
        assert await settled(bus, 2) == (2, 2)
        assert ("new_stream_of_records" in service.log()) is (store == "lost")
        await ready(service)


async def test_a_lost_cursor_doubles_nothing(nats: NatsServer, bus: Bus, tmp_path: Path) -> None:
    with running(Service(nats, tmp_path)) as service:
        for number in range(30):
            await publish(bus, f"{'eh'[number % 2]}{number}")
        assert await settled(bus, 30) == (30, 30)
        await bus.jetstream().delete_stream(f"KV_{CURSOR.name}")
        for number in range(30, 40):
            await publish(bus, f"{'eh'[number % 2]}{number}")
        assert await settled(bus, 40) == (40, 40)
        assert "cursor_was_lost" in service.log()


async def test_records_flow_past_many_times_the_size_of_the_stream(nats: NatsServer, bus: Bus, tmp_path: Path) -> None:
    with running(Service(nats, tmp_path, code=SMALL)) as service:
        await active(bus)
        async with pressing(bus) as ids:

            async def enough() -> bool:
                return len(ids) > 1500  # of some 450 bytes each

            assert await eventually(enough, 60), service.log()
        assert await settled(bus, len(ids), 30) == (len(ids), len(ids))

        async def empty() -> bool:
            return await stream_bytes(bus) == 0

        assert await eventually(empty, 10), "an idle stream keeps nothing that the tables have"
        assert (await cursor(bus))["pending"] is None
        await publish(bus, "e-last")
        assert await settled(bus, len(ids) + 1) == (len(ids) + 1, len(ids) + 1)


async def test_purged_at_any_moment_every_record_is_there_once(nats: NatsServer, bus: Bus, tmp_path: Path) -> None:
    """Killed around its purges, its intents and at any other moment, with a stream that is full all the time."""
    dice = random.Random(20261128)
    async with pressing(bus) as ids:
        for kill in range(12):
            service = Service(nats, tmp_path, code=SMALL).start()
            if kill % 3 == 0:
                await asyncio.sleep(LEASE_SECONDS + dice.uniform(0.5, 4.0))
                service.end()
            elif kill % 3 == 1:
                await killed_after_intent(bus, service, dice.uniform(0.0, 0.03))
            else:
                await killed_when_marked(bus, service, dice.uniform(0.0, 0.02))
    with running(Service(nats, tmp_path, code=SMALL)) as service:
        assert await settled(bus, len(ids), 40) == (len(ids), len(ids))
        assert '"missing":0' in service.log() or "pending_range" not in service.log()
    assert len(ids) * 300 > 3 * SMALL_BYTES, "the stream must have been full several times"


async def test_purged_records_do_not_come_back_when_nats_forgets_their_ids(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    """A server that starts knows again only the ids of what it has: of a purged record it may take a second copy."""
    with running(Service(nats, tmp_path, code=SMALL)) as service:
        await active(bus)
        async with pressing(bus) as ids:
            for _ in range(5):
                wanted = len(ids) + 200

                async def enough(wanted: int = wanted) -> bool:
                    return len(ids) > wanted

                assert await eventually(enough, 30), service.log()
                nats.kill()
                nats.start()
            assert await eventually(enough, 30), service.log()
        assert await settled(bus, len(ids), 30) == (len(ids), len(ids))


async def killed_when_marked(bus: Bus, service: Service, delay_seconds: float) -> None:
    """Kill the service `delay_seconds` after it told that a range is done: before, in or after its purge."""
    subscription = await bus.jetstream()._nc.subscribe(CURSOR_SUBJECT)
    ends, before = time.monotonic() + 15, None
    while time.monotonic() < ends:
        pending = msgspec.json.decode((await subscription.next_msg(15)).data).get("pending")
        if before and not pending:
            break
        before = pending
    await asyncio.sleep(delay_seconds)
    service.end()
    await subscription.unsubscribe()


async def test_a_lost_cursor_doubles_nothing_though_the_beginning_is_purged(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    with running(Service(nats, tmp_path)) as service:
        for number in range(30):
            await publish(bus, f"{'eh'[number % 2]}{number}")
        assert await settled(bus, 30) == (30, 30)

        async def purged() -> bool:
            return (await bus.jetstream().stream_info(RECORDS.name)).state.first_seq > 1

        assert await eventually(purged)
        service.end()
        await bus.jetstream().delete_stream(f"KV_{CURSOR.name}")
        for number in range(30, 40):
            await publish(bus, f"{'eh'[number % 2]}{number}")
        await publish(bus, "e0", msg_id="e0 again", republished=True)
    with running(Service(nats, tmp_path)) as service:
        assert await settled(bus, 40) == (40, 40)
        assert "cursor_was_lost" in service.log()


async def test_poison_goes_to_the_dead_records_with_its_reason(nats: NatsServer, bus: Bus, tmp_path: Path) -> None:
    js = bus.jetstream()
    poison = [
        b"{",
        b"",
        RECORD_ENCODER.encode(record("x", input_tokens=-1)),
        b'{"kind":"call","event_id":7}',
        RECORD_ENCODER.encode(msgspec.structs.replace(handoff("hx"), matched=-1)),
    ]
    with running(Service(nats, tmp_path)):
        await active(bus)
        await publish(bus, "a")
        for data in poison:
            await js.publish("parley.records.call", data)
        await publish(bus, "h")
        assert await settled(bus, 2) == (2, 2)
        kept = [await js.get_msg(DEAD_RECORDS.name, seq) for seq in range(1, 6)]
        assert [msg.data or b"" for msg in kept] == poison
        reasons = [(msg.headers or {})[DEAD_REASON_HEADER] for msg in kept]
        assert [reason.partition(":")[0] for reason in reasons] == [
            "not a record",
            "not a record",
            "input_tokens is out of range",
            "not a record",
            "matched is out of range",
        ]


async def test_poison_that_cannot_be_put_aside_stays_until_it_can(nats: NatsServer, bus: Bus, tmp_path: Path) -> None:
    async def first_seq() -> int:
        return (await bus.jetstream().stream_info(RECORDS.name)).state.first_seq

    code = SMALL.replace("RECORDS", "DEAD_RECORDS").replace(str(SMALL_BYTES), "50")
    with running(Service(nats, tmp_path, code=code)) as service:
        await active(bus)
        await publish(bus, "a")
        await bus.jetstream().publish("parley.records.call", b"{ poison")
        await publish(bus, "b")
        assert await settled(bus, 2) == (2, 2)

        async def purged() -> bool:
            return await first_seq() > 1

        assert await eventually(purged), service.log()
        assert (await first_seq(), (await cursor(bus))["held"]) == (2, [2])
        assert "dead_record_not_kept" in service.log()
    with running(Service(nats, tmp_path)) as service:

        async def all_purged() -> bool:
            return await first_seq() == 4

        assert await eventually(all_purged), service.log()
        assert (await bus.jetstream().get_msg(DEAD_RECORDS.name, 1)).data == b"{ poison"
        assert (await cursor(bus))["held"] == []
        assert await counts(bus) == (2, 2)


async def test_queries_are_answered_in_bounds_and_nothing_else_is(nats: NatsServer, bus: Bus, tmp_path: Path) -> None:
    with running(Service(nats, tmp_path, query_seconds=1)):
        await active(bus)
        reply = await outcome(bus, "SELECT repeat('x', 20000) FROM numbers(1000)")
        assert isinstance(reply, QueryReply) and reply.truncated and len(reply.rows) > 300
        for sql in (
            "SELECT count() FROM numbers(1000000000000)",
            "DROP TABLE calls",
            "SELECT 1; DROP TABLE calls",
            "SELECT file('/etc/hostname')",
            "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
            f"SELECT 1 INTO OUTFILE '{tmp_path / 'out'}'",
        ):
            assert isinstance(await outcome(bus, sql), QueryFailed), sql
        assert not (tmp_path / "out").exists()
        assert await counts(bus) == (0, 0)


async def test_a_database_that_is_away_makes_the_service_unready_not_dead(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    with running(Service(nats, tmp_path, clickhouse_url="http://127.0.0.1:1")) as service:
        await ready(service, 503)
        assert service.end(signal.SIGTERM) == 0
