"""Until when a request on the bus counts: by no clock but the worker's own, and not after the worker stood still."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig

from libs.runtime import errors
from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.schemas.bus.state import ListRequest, ReadRequest, ResolveReply, ResolveRequest
from libs.schemas.config import Nats
from libs.schemas.subjects import LIST, READ, RESOLVE, Subject
from tests.support.cluster import Service
from tests.support.nats import NatsServer, running_nats
from tests.support.poll import eventually

Connect = Callable[[str], Awaitable[Bus]]

ROOT = Path(__file__).resolve().parents[2]
TENANT = "7e" * 16
SCOPE = "5c" * 8
ASK = ResolveRequest(scope=SCOPE, head="a1")
CLOCK = """
import time
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + ({seconds})
time.time_ns = lambda: _time_ns() + ({seconds}) * 10**9
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with running_nats(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def raw(server: NatsServer) -> AsyncIterator[Client]:
    client = await nats.connect(server.url)
    yield client
    await client.close()


@pytest.fixture
async def connect(server: NatsServer) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        async def connect(name: str) -> Bus:
            bus = await Bus.connect(Nats(url=server.url), name)
            stack.push_async_callback(bus.drain, 1)
            return bus

        yield connect


@contextmanager
def state_service(server: NatsServer, folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Run a state service that keeps all in its memory, in a process of its own."""
    settings = {
        "PARLEY_NATS_URL": server.url,
        "PARLEY_STATE_STORE": "memory",
        "PARLEY_SECRET_FILE": str(folder / "secret"),
        "PYTHONPATH": str(ROOT),
    }
    service = Service("state", {**settings, **(environ or {})}, folder / "state.log")
    service.start()
    try:
        yield service
    finally:
        service.stop()


async def metric(service: Service, line: str) -> float:
    """Return the value of one line of the service's metrics, 0 where it is not there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    return next((float(told.rpartition(" ")[2]) for told in text.splitlines() if told.startswith(line + " ")), 0.0)


# -- clocks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-10, 10])
async def test_worker_whose_clock_is_off_refuses_nothing(
    connect: Connect, server: NatsServer, tmp_path: Path, seconds: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(CLOCK.format(seconds=seconds))
    with state_service(server, tmp_path, {"PYTHONPATH": f"{tmp_path}:{ROOT}"}) as service:
        caller = await connect("edge")
        for _ in range(5):
            context = BusContext(tenant=TENANT, deadline=time.monotonic() + 1.0)
            assert (await caller.call(RESOLVE, ASK, context)).head is None
        assert await metric(service, 'parley_bus_handled_total{result="ok",subject="parley.state.resolve"}') == 5


async def test_older_release_is_not_refused_for_its_clock(connect: Connect, server: NatsServer, raw: Client) -> None:
    worker = await connect("state")
    await worker.serve(RESOLVE, _empty, concurrency=4)
    passed = {"parley-deadline": str(int(time.time() * 1000) - 10_000)}
    msg = await raw.request(RESOLVE.name, RESOLVE.encoder.encode(ASK), timeout=2, headers=passed)
    assert RESOLVE.reply_decoder.decode(msg.data) == ResolveReply()


async def test_request_tells_how_much_time_is_left(connect: Connect, server: NatsServer, raw: Client) -> None:
    seen: asyncio.Queue[Msg] = asyncio.Queue()

    async def note(msg: Msg) -> None:
        seen.put_nowait(msg)

    await raw.subscribe(RESOLVE.name, cb=note)
    await raw.flush()
    caller = await connect("edge")
    calling = asyncio.create_task(caller.call(RESOLVE, ASK, BusContext(deadline=time.monotonic() + 0.5)))
    headers = (await asyncio.wait_for(seen.get(), 2)).headers or {}
    assert 300 < int(headers["parley-remaining-ms"]) <= 500
    assert "parley-deadline" not in headers
    with pytest.raises(errors.CallTimeout):
        await calling


async def test_deadline_of_a_request_is_passed_on(connect: Connect, server: NatsServer) -> None:
    caller, worker = await connect("edge"), await connect("state")
    left: list[float] = []

    async def handler(request: ResolveRequest, context: BusContext) -> ResolveReply:
        assert context.deadline is not None
        left.append(context.deadline - time.monotonic())
        return ResolveReply()

    await worker.serve(RESOLVE, handler, concurrency=4)
    await caller.call(RESOLVE, ASK, BusContext())
    await caller.call(RESOLVE, ASK, BusContext(deadline=time.monotonic() + 0.4))
    assert 0.5 < left[0] <= RESOLVE.timeout_seconds and 0.1 < left[1] <= 0.4


@pytest.mark.parametrize("told", ["", "x", "-5", "1e3", "²", "9" * 50, " 7"])
async def test_unreadable_time_is_the_subjects_own(
    connect: Connect, server: NatsServer, raw: Client, told: str
) -> None:
    worker = await connect("state")
    await worker.serve(RESOLVE, _empty, concurrency=4)
    headers = {"parley-remaining-ms": told}
    msg = await raw.request(RESOLVE.name, RESOLVE.encoder.encode(ASK), timeout=2, headers=headers)
    assert RESOLVE.reply_decoder.decode(msg.data) == ResolveReply()


async def test_time_counts_from_the_read_however_late_the_task_begins(
    connect: Connect, server: NatsServer, raw: Client
) -> None:
    worker = await connect("state")
    handled: list[str | None] = []

    async def handler(request: ResolveRequest, context: BusContext) -> ResolveReply:
        handled.append(request.head)
        if request.head == "slow":
            time.sleep(0.3)  # holds the loop while the next one, read with it, waits
        return ResolveReply()

    await worker.serve(RESOLVE, handler, concurrency=4)
    for name, left in (("slow", "5000"), ("late", "200"), ("early", "5000")):
        asked = RESOLVE.encoder.encode(ResolveRequest(scope=SCOPE, head=name))
        await raw.publish(RESOLVE.name, asked, reply="x", headers={"parley-remaining-ms": left})
    await raw.flush()
    await eventually(lambda: _is(handled[-1:] == ["early"]), what="the last one handled")
    assert handled == ["slow", "early"]


# -- a worker that stood still ----------------------------------------------------------------------


class Replies:
    """Requests sent past the bus's own client, and which of them were answered."""

    def __init__(self, raw: Client) -> None:
        self._raw = raw
        self.answered: set[str] = set()

    async def open(self) -> "Replies":
        self.inbox = self._raw.new_inbox()
        await self._raw.subscribe(f"{self.inbox}.*", cb=self._take)
        await self._raw.flush()
        return self

    async def _take(self, msg: Msg) -> None:
        self.answered.add(msg.subject.rpartition(".")[2])

    async def send(self, subject: Subject[Any, Any], request: msgspec.Struct, name: str) -> None:
        headers = {"parley-remaining-ms": str(int(subject.timeout_seconds * 1000)), "parley-tenant": TENANT}
        await self._raw.publish(subject.name, subject.encoder.encode(request), f"{self.inbox}.{name}", headers)
        await self._raw.flush()


async def test_thawed_worker_answers_nothing_that_its_callers_gave_up(
    server: NatsServer, raw: Client, tmp_path: Path
) -> None:
    replies = await Replies(raw).open()
    with state_service(server, tmp_path) as service:
        service.send(signal.SIGSTOP)
        for number in range(40):  # more than the socket's buffer holds: the server keeps the rest
            big = ReadRequest(conversation=f"c{number}", upstream_id="x" * 50_000)
            await replies.send(READ, big, f"old{number}")
        await replies.send(LIST, ListRequest(limit=1), "patient")
        await asyncio.sleep(READ.timeout_seconds + 0.5)
        service.send(signal.SIGCONT)
        await eventually(lambda: _is("patient" in replies.answered), what="the patient one answered")
        await replies.send(READ, ReadRequest(conversation="c"), "fresh")
        await eventually(lambda: _is("fresh" in replies.answered), what="a fresh one answered")
        assert replies.answered == {"patient", "fresh"}
        stalled = 'parley_bus_handled_total{result="stalled",subject="parley.state.read"}'
        assert await metric(service, stalled) == 40
    assert "loop_stood_still" in service.logged()


async def test_worker_that_stood_still_for_less_answers_all(server: NatsServer, raw: Client, tmp_path: Path) -> None:
    replies = await Replies(raw).open()
    with state_service(server, tmp_path) as service:
        service.send(signal.SIGSTOP)
        for number in range(5):
            await replies.send(READ, ReadRequest(conversation="c"), str(number))
        await asyncio.sleep(READ.timeout_seconds - 1.0)
        service.send(signal.SIGCONT)
        await eventually(lambda: _is(len(replies.answered) == 5), what="all answered")


async def test_idle_worker_has_not_stood_still(server: NatsServer, raw: Client, tmp_path: Path) -> None:
    replies = await Replies(raw).open()
    with state_service(server, tmp_path):
        await asyncio.sleep(READ.timeout_seconds + 1.0)
        await replies.send(READ, ReadRequest(conversation="c"), "first")
        await eventually(lambda: _is("first" in replies.answered), what="the first one answered")


async def test_loop_held_by_a_callback_counts_as_standing_still(
    connect: Connect, server: NatsServer, raw: Client
) -> None:
    worker = await connect("state")
    await worker.serve(RESOLVE, _empty, concurrency=8)
    replies = await Replies(raw).open()
    # The sender shares the loop: what it sent before lies in the worker's socket while the loop is held.
    for name in ("a", "b"):
        asked, headers = RESOLVE.encoder.encode(ASK), {"parley-remaining-ms": "1000"}
        await raw.publish(RESOLVE.name, asked, f"{replies.inbox}.{name}", headers)
    raw._transport.writelines(raw._pending[:])  # type: ignore[union-attr]
    raw._pending, raw._pending_data_size = [], 0
    time.sleep(RESOLVE.timeout_seconds + 0.3)
    await asyncio.sleep(0.3)
    assert not replies.answered
    await replies.send(RESOLVE, ASK, "fresh")
    await eventually(lambda: _is("fresh" in replies.answered), what="a fresh one answered")


# -- a connection that is down ----------------------------------------------------------------------


async def test_nothing_is_published_while_the_connection_is_down(connect: Connect, server: NatsServer) -> None:
    bus = await connect("edge")
    js = bus.jetstream(1.0)
    await _keep_told(bus)
    server.kill()
    await eventually(lambda: _is(not bus.connected), what="loss noticed")
    began = time.monotonic()
    with pytest.raises(errors.BusDown):
        await bus.publish("told", b"while down")
    with pytest.raises(nats.errors.Error):
        await js.publish("told", b"a record while down")
    with pytest.raises(nats.errors.Error):
        await bus._connection._nc.publish("told", b"past the bus")
    with pytest.raises(errors.BusDown):
        await bus._connection.flush()
    assert time.monotonic() - began < 0.5
    assert not bus._connection._nc._resp_map
    server.start()
    assert await _told(bus) == [b"after"]


async def test_what_was_not_sent_when_the_connection_broke_is_never_sent(connect: Connect, server: NatsServer) -> None:
    bus = await connect("edge")
    await _keep_told(bus)
    client = bus._connection._nc
    # Queued, and not yet handed to the socket, as a full one leaves it.
    await client._send_command(b"PUB told 4\r\nlate\r\n")
    server.kill()
    await eventually(lambda: _is(not bus.connected), what="loss noticed")
    server.start()
    assert await _told(bus) == [b"after"]


async def test_worker_whose_connection_broke_answers_later_ones(connect: Connect, server: NatsServer) -> None:
    caller, worker = await connect("edge"), await connect("state")
    release = asyncio.Event()

    async def handler(request: ResolveRequest, context: BusContext) -> ResolveReply:
        if request.head == "held":
            await release.wait()
        return ResolveReply()

    await worker.serve(RESOLVE, handler, concurrency=4)
    calling = asyncio.create_task(caller.call(RESOLVE, ResolveRequest(scope=SCOPE, head="held"), BusContext()))
    await asyncio.sleep(0.1)
    server.kill()
    await eventually(lambda: _is(not worker.connected), what="loss noticed")
    release.set()  # its reply has nowhere to go
    await asyncio.gather(calling, return_exceptions=True)
    server.start()

    async def answered() -> bool:
        try:
            return await caller.call(RESOLVE, ASK, BusContext()) == ResolveReply()
        except errors.BusError:
            return False

    await eventually(answered, what="a later call answered")


async def _keep_told(bus: Bus) -> None:
    """Have the server keep what it is told, whoever listens."""
    await bus.jetstream(2.0).add_stream(StreamConfig(name="TOLD", subjects=["told"]))


async def _told(bus: Bus) -> list[bytes]:
    """Return what the server was told up to now, once the bus is back."""
    await eventually(lambda: _is(bus.connected), what="bus back")
    js = bus.jetstream(2.0)
    last = await js.publish("told", b"after")
    return [(await js.get_msg("TOLD", seq)).data or b"" for seq in range(1, last.seq + 1)]


async def _empty(request: ResolveRequest, context: BusContext) -> ResolveReply:
    return ResolveReply()


async def _is(value: bool) -> bool:
    return value
