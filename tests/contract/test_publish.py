"""The publisher and its spool against a real nats-server that is killed, frozen and wiped."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from libs.runtime.bus import Bus
from libs.runtime.jetstream import ensure_stream
from libs.schemas.config import Nats
from libs.schemas.subjects import RECORDS, REPUBLISHED_HEADER
from services.edge.records import publisher as publish
from services.edge.records.publisher import Publisher
from services.edge.records.spool import Spool
from tests.support.nats import NatsServer, running_nats
from tests.support.poll import eventually
from tests.unit.services.edge.records.test_spool import done, files, handoff, record, told

REPOSITORY = Path(__file__).parents[2]
SPOOL_BYTES = 64 * 1024 * 1024


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    with running_nats(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    bus = await Bus.connect(Nats(url=nats.url), "edge")
    await ensure_stream(bus.jetstream(), RECORDS, 1)
    yield bus
    await bus.drain(0.1)


@asynccontextmanager
async def publishing(bus: Bus, root: Path) -> AsyncIterator[Publisher]:
    publisher = Publisher(Spool(root, SPOOL_BYTES), bus)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop(5.0)


async def in_stream(bus: Bus) -> list[tuple[str, str, bool]]:
    """Return (event id, what it tells, republished) of every message of the stream, on whatever subject."""
    js = bus.jetstream()
    state = (await js.stream_info(RECORDS.name)).state
    found = []
    for seq in range(state.first_seq, state.last_seq + 1):
        msg = await js.get_msg(RECORDS.name, seq)
        assert msg.data is not None
        headers = msg.headers or {}
        found.append((headers["Nats-Msg-Id"], told(msg.data), headers.get(REPUBLISHED_HEADER) == "1"))
    return found


async def count(bus: Bus) -> int:
    try:
        return (await bus.jetstream(1.0).stream_info(RECORDS.name)).state.messages
    except Exception:  # whatever NATS is going through in this test
        return -1


async def has(bus: Bus, wanted: int, seconds: float = 15.0) -> None:
    async def enough() -> bool:
        return await count(bus) >= wanted

    await eventually(enough, seconds=seconds, what=f"{wanted} messages")


async def test_closed_records_reach_the_stream_and_leave_the_spool(bus: Bus, tmp_path: Path) -> None:
    async with publishing(bus, tmp_path / "spool") as publisher:
        publisher.open(record("open"))
        for number in range(1000):
            publisher.open(record(f"e{number}"))
            publisher.close(done(f"e{number}"))
        await has(bus, 1000)
    found = await in_stream(bus)
    assert sorted(found) == sorted((f"e{number}", "ok", False) for number in range(1000))
    again = Spool(tmp_path / "spool", SPOOL_BYTES)
    waiting = again.take()
    assert waiting is not None and waiting.event_id == "open", "only the call that did not end is left"
    assert again.take() is None
    again.release()


async def test_each_kind_goes_to_its_subject_under_its_own_id(bus: Bus, tmp_path: Path) -> None:
    async with publishing(bus, tmp_path / "spool") as publisher:
        publisher.close(handoff("h"))
        publisher.open(record("a"))
        publisher.close(done("a"))
        await has(bus, 2)
    js = bus.jetstream()
    messages = [await js.get_msg(RECORDS.name, seq) for seq in (1, 2)]
    assert {(msg.subject, (msg.headers or {})["Nats-Msg-Id"]) for msg in messages} == {
        ("parley.records.handoff", "h"),
        ("parley.records.call", "a"),
    }
    assert list((tmp_path / "spool").iterdir()) == []


async def test_while_nats_is_away_nothing_waits_and_later_every_record_arrives_once(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    async with publishing(bus, tmp_path / "spool") as publisher:
        publisher.close(done("before"))
        await has(bus, 1)
        nats.kill()
        slowest = 0.0
        for number in range(2000):
            started = time.perf_counter()
            publisher.open(record(f"e{number}"))
            publisher.close(done(f"e{number}"))
            slowest = max(slowest, time.perf_counter() - started)
            if number % 100 == 0:
                await asyncio.sleep(0)
        assert slowest < 0.1
        nats.start()
        await has(bus, 2001, 30)
    ids = [event_id for event_id, _, _ in await in_stream(bus)]
    assert len(ids) == len(set(ids)) == 2001
    assert files(tmp_path / "spool") == []


async def test_a_record_whose_acknowledgement_was_lost_is_marked_when_it_is_published_again(
    nats: NatsServer, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publish, "ACK_SECONDS", 0.3)

    async def frozen() -> bool:
        return not await bus.alive(0.2)

    async def tried() -> bool:
        return "publish_failed" in caplog.text

    async with publishing(bus, tmp_path / "spool") as publisher:
        nats.send(signal.SIGSTOP)
        await eventually(frozen, what="a server that stands still")
        publisher.close(done("a"))
        await eventually(tried, what="a first try without an answer")
        # As if the first try had been written and its answer lost, with the server's memory of ids.
        nats.kill()
        nats.start()
        await has(bus, 1)
        publisher.close(done("b"))
        await has(bus, 2)
    assert sorted(await in_stream(bus)) == [("a", "ok", True), ("b", "ok", False)]


async def test_a_killed_edges_records_are_published_marked_by_the_next(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    script = (
        "import os\nfrom pathlib import Path\nfrom services.edge.records.spool import Spool\n"
        "from tests.unit.services.edge.records.test_spool import done, handoff, record\n"
        f"spool = Spool(Path({str(tmp_path / 'spool')!r}), {SPOOL_BYTES})\n"
        "for e in ('ended', 'running', 'published'): spool.open(record(e))\n"
        "for e in ('ended', 'published'): spool.close(done(e))\n"
        "for e in ('kept', 'told'): spool.close(handoff(e))\n"
        "for e in ('published', 'told'): spool.acknowledge(e)\nos.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY).returncode == -9
    async with publishing(bus, tmp_path / "spool") as publisher:
        publisher.close(done("new"))
        await has(bus, 4)
    assert sorted(await in_stream(bus)) == [
        ("ended", "ok", True),
        ("kept", "chain", True),
        ("new", "ok", False),
        ("running", "lost", True),
    ]
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_stream_that_is_not_there_yet_is_waited_for(nats: NatsServer, bus: Bus, tmp_path: Path) -> None:
    await bus.jetstream().delete_stream(RECORDS.name)
    async with publishing(bus, tmp_path / "spool") as publisher:
        publisher.close(done("a"))
        await asyncio.sleep(0.2)
        await ensure_stream(bus.jetstream(), RECORDS, 1)
        await has(bus, 1)
    assert [event_id for event_id, _, _ in await in_stream(bus)] == ["a"]


async def test_nats_that_lost_its_store_gets_what_it_had_not_acknowledged(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    async with publishing(bus, tmp_path / "spool") as publisher:
        nats.kill()
        nats.wipe()
        publisher.close(done("a"))
        nats.start()

        async def made() -> bool:
            try:
                await ensure_stream(bus.jetstream(1.0), RECORDS, 1)
            except Exception:  # not yet connected
                return False
            return True

        await eventually(made, what="the stream")
        await has(bus, 1)


async def test_a_stop_without_nats_ends_in_time_and_keeps_the_records(
    nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    publisher = Publisher(Spool(tmp_path / "spool", SPOOL_BYTES), bus)
    await publisher.start()
    nats.kill()
    for number in range(500):
        publisher.close(done(f"e{number}"))
    started = time.monotonic()
    await publisher.stop(0.3)
    assert time.monotonic() - started < 2.0
    nats.start()
    async with publishing(bus, tmp_path / "spool"):
        await has(bus, 500)
    found = await in_stream(bus)
    assert sorted(event_id for event_id, _, _ in found) == sorted(f"e{number}" for number in range(500))
