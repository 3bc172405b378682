"""The bus on a real nats-server: what services rely on, and the traps of the client library."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg

from libs.runtime import errors
from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.schemas.bus.state import ClaimReply, ClaimRequest, Found, ResolveReply, ResolveRequest
from libs.schemas.config import Nats
from libs.schemas.subjects import CLAIM, RESOLVE, SERVER_MAX_PAYLOAD, STATUS_HEADER, Subject
from tests.support.nats import NatsServer, running_nats
from tests.support.poll import eventually
from tests.support.turns import TURN

ASK = ResolveRequest(scope="s", head="a")
ZERO, ONE = (ResolveReply(found=[Found(index=index, exact=True, turn=TURN)]) for index in (0, 1))

# As RESOLVE, but it may not be repeated: what a caller sees when nothing hides a lost connection.
ONCE: Subject[ResolveRequest, ResolveReply] = Subject(
    "parley.test.once",
    ResolveRequest,
    ResolveReply,
    timeout_seconds=10.0,
    patience_seconds=0.0,
    idempotent=False,
    producers=("test",),
    consumer="test",
    meaning="A request that is sent once.",
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with running_nats(tmp_path) as server:
        yield server


class Connect:
    """Opens buses that the fixture drains."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url = url
        self._stack = stack

    async def __call__(self, name: str) -> Bus:
        bus = await Bus.connect(Nats(url=self._url, connect_timeout_seconds=5), name)
        self._stack.push_async_callback(bus.drain, 0.5)
        return bus


@pytest.fixture
async def connect(server: NatsServer) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:
        yield Connect(server.url, stack)


async def first_candidate(request: ResolveRequest, context: BusContext) -> ResolveReply:
    return ZERO


async def test_call_returns_the_reply_of_a_worker(connect: Connect) -> None:
    caller, worker = await connect("edge"), await connect("state")
    await worker.serve(RESOLVE, first_candidate, concurrency=4)
    assert await caller.call(RESOLVE, ASK, BusContext()) == ZERO


async def test_worker_is_known_to_the_server_when_serve_returns(connect: Connect) -> None:
    caller = await connect("edge")
    for _ in range(60):
        worker = await connect("state")
        await worker.serve(RESOLVE, first_candidate, concurrency=4)
        assert await caller.call(RESOLVE, ASK, BusContext()) == ZERO
        await worker.drain(1)


async def test_worker_sees_tenant_request_id_and_trace(connect: Connect) -> None:
    caller, worker = await connect("edge"), await connect("state")
    seen: list[BusContext] = []

    async def handler(request: ResolveRequest, context: BusContext) -> ResolveReply:
        seen.append(context)
        return ResolveReply()

    await worker.serve(RESOLVE, handler, concurrency=4)
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await caller.call(RESOLVE, ASK, BusContext(tenant="t1", request_id="req_1", traceparent=traceparent))
    assert (seen[0].tenant, seen[0].request_id, seen[0].traceparent) == ("t1", "req_1", traceparent)
    assert seen[0].deadline is not None and 0 < seen[0].deadline - time.monotonic() <= RESOLVE.timeout_seconds


async def test_requests_are_worked_on_at_the_same_time(connect: Connect) -> None:
    caller, worker = await connect("edge"), await connect("state")
    all_there = asyncio.Barrier(5)

    async def handler(request: ResolveRequest, context: BusContext) -> ResolveReply:
        await all_there.wait()  # passes only if five handlers run at once
        return ResolveReply()

    await worker.serve(RESOLVE, handler, concurrency=5)
    await asyncio.gather(*(caller.call(RESOLVE, ASK, BusContext()) for _ in range(5)))


async def test_worker_with_its_hands_full_answers_busy(connect: Connect) -> None:
    caller, worker = await connect("edge"), await connect("state")
    started, release = asyncio.Event(), asyncio.Event()

    async def handler(request: ResolveRequest, context: BusContext) -> ResolveReply:
        started.set()
        await release.wait()
        return ResolveReply()

    await worker.serve(RESOLVE, handler, concurrency=1)
    first = asyncio.create_task(caller.call(RESOLVE, ASK, BusContext()))
    await started.wait()
    with pytest.raises(errors.WorkerBusy):
        await caller.call(RESOLVE, ASK, BusContext())
    release.set()
    assert await first == ResolveReply()


async def test_subject_without_workers_fails_at_once(connect: Connect) -> None:
    caller = await connect("edge")
    with pytest.raises(errors.NoWorkers):
        await caller.call(RESOLVE, ASK, BusContext())


async def test_call_finds_a_worker_that_comes_within_the_patience(connect: Connect) -> None:
    caller, worker = await connect("edge"), await connect("state")
    call = asyncio.create_task(caller.call(CLAIM, ClaimRequest(upstream_id="resp_1", upstream="a"), BusContext()))
    await asyncio.sleep(0)  # the first try goes out before anybody serves

    async def handler(request: ClaimRequest, context: BusContext) -> ClaimReply:
        return ClaimReply()

    await worker.serve(CLAIM, handler, concurrency=1)
    assert await call == ClaimReply()


async def test_call_that_timed_out_is_tried_once_more_on_a_worker_that_is_alive(
    connect: Connect, server: NatsServer
) -> None:
    caller, well = await connect("edge"), await connect("state")
    frozen = await nats.connect(server.url)
    taken: list[Msg] = []

    async def take(msg: Msg) -> None:
        taken.append(msg)  # and never answer, as a process that was stopped

    await frozen.subscribe(RESOLVE.name, queue=RESOLVE.consumer, cb=take)
    await frozen.flush()
    await well.serve(RESOLVE, first_candidate, concurrency=8)
    calls = (caller.call(RESOLVE, ASK, BusContext()) for _ in range(8))
    assert await asyncio.gather(*calls) == [ZERO] * 8
    assert taken  # one of eight random picks at the least
    await frozen.close()


async def test_reply_does_not_echo_request_headers(connect: Connect, server: NatsServer) -> None:
    worker = await connect("state")
    await worker.serve(RESOLVE, first_candidate, concurrency=4)
    raw = await nats.connect(server.url)
    msg = await raw.request(RESOLVE.name, RESOLVE.encoder.encode(ASK), timeout=2, headers={"x-secret": "s"})
    assert not msg.headers
    await raw.close()


async def test_failure_of_a_handler_tells_the_caller_nothing_of_its_text(connect: Connect) -> None:
    caller, worker = await connect("edge"), await connect("state")

    async def handler(request: ResolveRequest, context: BusContext) -> ResolveReply:
        raise ValueError("the secret is 42")

    await worker.serve(RESOLVE, handler, concurrency=4)
    with pytest.raises(errors.WorkerFailed) as caught:
        await caller.call(RESOLVE, ASK, BusContext())
    assert "42" not in str(caught.value)


async def test_handler_that_cannot_answer_says_why_in_one_line(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caller, worker = await connect("edge"), await connect("state")

    async def handler(request: ResolveRequest, context: BusContext) -> ResolveReply:
        raise errors.HandlerFailed("the store is away")

    await worker.serve(RESOLVE, handler, concurrency=4)
    with pytest.raises(errors.WorkerFailed, match="the store is away"):
        await caller.call(RESOLVE, ASK, BusContext())
    told = [(record.message, bool(record.exc_info)) for record in caplog.records if record.name == "parley.bus"]
    assert told == [("reply_failed", False)]


async def test_request_of_another_shape_is_refused_and_the_worker_lives(connect: Connect, server: NatsServer) -> None:
    caller, worker = await connect("edge"), await connect("state")
    await worker.serve(RESOLVE, first_candidate, concurrency=4)
    raw = await nats.connect(server.url)
    msg = await raw.request(RESOLVE.name, b"\xc1 not MessagePack", timeout=2)
    assert (msg.headers or {})[STATUS_HEADER] == "invalid"
    assert await caller.call(RESOLVE, ASK, BusContext()) == ZERO
    await raw.close()


async def test_message_too_large_with_its_headers_is_refused_and_the_link_stays(connect: Connect) -> None:
    caller, worker = await connect("edge"), await connect("state")
    await worker.serve(RESOLVE, first_candidate, concurrency=4)
    just_a_payload = ResolveRequest(scope="s" * (SERVER_MAX_PAYLOAD - 100))
    assert len(RESOLVE.encoder.encode(just_a_payload)) < SERVER_MAX_PAYLOAD
    with pytest.raises(errors.MessageTooLarge):
        await caller.call(RESOLVE, just_a_payload, BusContext())
    assert await caller.call(RESOLVE, ASK, BusContext()) == ZERO


async def test_reply_too_large_is_told_as_that_once_and_the_link_stays(connect: Connect) -> None:
    caller, worker, asked = await connect("edge"), await connect("state"), 0

    async def handler(request: ResolveRequest, context: BusContext) -> ResolveReply:
        nonlocal asked
        asked += 1
        large = Found(index=0, exact=True, turn=TURN, items=[b"x" * SERVER_MAX_PAYLOAD])
        return ResolveReply(found=[large]) if request.head else ONE

    await worker.serve(RESOLVE, handler, concurrency=4)
    with pytest.raises(errors.ReplyTooLarge):
        await caller.call(RESOLVE, ASK, BusContext())
    assert asked == 1
    assert await caller.call(RESOLVE, ResolveRequest(scope="s"), BusContext()) == ONE


async def test_drain_finishes_what_was_taken(connect: Connect, server: NatsServer) -> None:
    caller = await connect("edge")
    worker = await Bus.connect(Nats(url=server.url), "state")
    taken, release = asyncio.Event(), asyncio.Event()

    async def handler(request: ResolveRequest, context: BusContext) -> ResolveReply:
        taken.set()
        await release.wait()
        return ONE

    await worker.serve(RESOLVE, handler, concurrency=8)
    calls = [asyncio.create_task(caller.call(RESOLVE, ASK, BusContext())) for _ in range(5)]
    await taken.wait()
    draining = asyncio.create_task(worker.drain(grace_seconds=5))
    release.set()
    assert await asyncio.gather(*calls) == [ONE] * 5
    await draining
    with pytest.raises(errors.NoWorkers):
        await caller.call(RESOLVE, ASK, BusContext())


async def test_drain_hands_new_requests_to_the_other_worker(connect: Connect, server: NatsServer) -> None:
    caller, other = await connect("edge"), await connect("state")
    leaving = await Bus.connect(Nats(url=server.url), "state")

    async def second(request: ResolveRequest, context: BusContext) -> ResolveReply:
        return ONE

    await leaving.serve(RESOLVE, first_candidate, concurrency=8)
    await other.serve(RESOLVE, second, concurrency=8)
    await leaving.drain(grace_seconds=1)
    replies = [await caller.call(RESOLVE, ASK, BusContext()) for _ in range(10)]
    assert replies == [ONE] * 10


async def test_lost_connection_fails_the_call_under_way_at_once(connect: Connect, server: NatsServer) -> None:
    caller, worker = await connect("edge"), await connect("state")
    taken = asyncio.Event()

    async def handler(request: ResolveRequest, context: BusContext) -> ResolveReply:
        taken.set()
        await asyncio.sleep(60)
        raise AssertionError

    await worker.serve(ONCE, handler, concurrency=1)
    call = asyncio.create_task(caller.call(ONCE, ASK, BusContext()))
    await taken.wait()
    server.kill()
    with pytest.raises(errors.BusDown):
        await call
    server.start()


async def test_call_rides_out_a_restart_of_the_server(connect: Connect, server: NatsServer) -> None:
    caller, worker = await connect("edge"), await connect("state")
    await worker.serve(RESOLVE, first_candidate, concurrency=4)
    server.kill()
    await eventually(lambda: _is(not caller.connected), what="loss noticed")
    call = asyncio.create_task(caller.call(RESOLVE, ASK, BusContext()))
    server.start()
    await eventually(lambda: _is(worker.connected), what="worker reconnected")
    try:
        assert await call == ZERO
    except errors.NoWorkers:  # the caller was back first
        assert await caller.call(RESOLVE, ASK, BusContext()) == ZERO


async def test_reconnect_runs_what_was_registered(connect: Connect, server: NatsServer) -> None:
    worker = await connect("state")
    restored = asyncio.Event()

    async def restore() -> None:
        restored.set()

    worker.on_reconnect(restore)
    server.kill()
    server.start()
    await asyncio.wait_for(restored.wait(), 10)


async def test_call_fails_soon_while_the_server_is_away(connect: Connect, server: NatsServer) -> None:
    caller = await connect("edge")
    server.kill()
    await eventually(lambda: _is(not caller.connected), what="loss noticed")
    with pytest.raises(errors.BusDown):
        await asyncio.wait_for(caller.call(RESOLVE, ASK, BusContext()), 5)
    server.start()


async def test_alive_asks_the_server(connect: Connect, server: NatsServer) -> None:
    caller = await connect("edge")
    assert await caller.alive()
    server.send(signal.SIGSTOP)
    try:

        async def dead() -> bool:
            return not await caller.alive(timeout_seconds=0.3)

        await eventually(dead, what="a frozen server noticed")
    finally:
        server.send(signal.SIGCONT)


async def test_connection_closed_for_good_is_told(connect: Connect) -> None:
    caller = await connect("edge")
    # Past Bus's own check, as a defect elsewhere would: the server answers with a violation.
    publishing = asyncio.create_task(caller._connection._nc.publish("x", b"a" * SERVER_MAX_PAYLOAD, headers={"h": "v"}))
    await asyncio.wait_for(caller.closed.wait(), 10)
    assert not caller.connected
    await asyncio.wait({publishing}, timeout=5)


async def test_connect_gives_up_when_nobody_answers() -> None:
    with pytest.raises(errors.StartError, match="no connection to NATS"):
        await Bus.connect(Nats(url="nats://127.0.0.1:9", connect_timeout_seconds=0.5), "edge")


async def _is(value: bool) -> bool:
    return value
