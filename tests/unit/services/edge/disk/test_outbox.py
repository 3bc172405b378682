"""What did not get through is kept sealed, tried until it is in, and gone when it must be."""

import asyncio
import os
import resource
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from libs.runtime import metrics
from libs.runtime.backoff import Backoff
from libs.runtime.call import BusContext
from libs.runtime.errors import BusError, NoWorkers, RequestInvalid, WorkerFailed
from libs.schemas.bus.state import ClaimReply, ClaimRequest, CommitReply, CommitRequest, Turn
from libs.schemas.subjects import CLAIM, COMMIT
from services.edge.disk.outbox import Outbox
from services.edge.records.spool import Spool
from tests.support.poll import eventually
from tests.unit.services.edge.records.test_spool import done

SECRET = b"s" * 32
TENANT = "0a" * 16
CALL = BusContext(tenant=TENANT, request_id="req_recognisable", traceparent="00-1-2-01")
LARGE = 1024**3


class Bus:
    """Answers with the next of `replies`, the last for ever; an exception is raised."""

    def __init__(self, *replies: Any) -> None:
        self.connected = True
        self.replies = list(replies)
        self.asked: list[tuple[str, Any, BusContext]] = []
        self._restores: list[Callable[[], Awaitable[None]]] = []

    def on_reconnect(self, restore: Callable[[], Awaitable[None]]) -> None:
        self._restores.append(restore)

    async def reconnect(self) -> None:
        self.connected = True
        for restore in self._restores:
            await restore()

    async def call(self, subject: Any, request: Any, context: BusContext) -> Any:
        data = subject.encoder.encode(request)
        self.asked.append((subject.name, subject.request_decoder.decode(data), context))
        await asyncio.sleep(0)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, BusError):
            raise reply
        return reply


def commit(conversation: str = "recognisable conversation") -> CommitRequest:
    turn = Turn(
        key="e1", response_id="resp_recognisable", upstream="u", account="a", model="m", prefix="p", end="n",
        asked="a", start="s", context="c", conversation=conversation, chainable=True, stored=True, created=1, expires=2,
    )  # fmt: skip
    return CommitRequest(scope="5c", loose="10", turn=turn, items=[b'{"text":"recognisable"}'])


class Stage:
    """One process: its spool, its outbox and a bus."""

    def __init__(self, root: Path, bus: Bus, *, max_bytes: int = LARGE, secret: bytes = SECRET) -> None:
        self.bus = bus
        self.spool = Spool(root, max_bytes)
        self.outbox = Outbox(self.spool.folders, secret, cast(Any, bus))

    def keep(self, conversation: str = "recognisable conversation", *, seconds: float = 3600, **more: Any) -> bool:
        expires = int(time.time() + seconds)
        return self.outbox.keep(COMMIT, commit(conversation), CALL, conversation=conversation, expires=expires, **more)

    async def end(self) -> None:
        await self.outbox.stop(0)
        self.spool.release()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix in (".sealed", ".part"))


def counted(result: str) -> float:
    return float(metrics.OUTBOX.labels(result)._value.get())


async def gone(root: Path) -> None:
    async def empty() -> bool:
        return not files(root)

    await eventually(empty, what="an empty outbox")


async def test_kept_until_it_is_in_as_it_was(root: Path) -> None:
    stage = Stage(root, Bus(NoWorkers("none"), CommitReply()))
    await stage.outbox.start()
    assert stage.keep()
    assert len(files(root)) == 1
    await gone(root)
    assert stage.bus.asked == [(COMMIT.name, commit(), CALL)] * 2
    await stage.end()
    assert list(root.iterdir()) == []


async def test_file_is_private_and_says_nothing(root: Path) -> None:
    stage = Stage(root, Bus(CommitReply()))
    assert stage.keep()
    (path,) = files(root)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"recognisable" not in path.read_bytes() + path.name.encode()
    assert b"parley" not in path.read_bytes()
    await stage.end()


async def test_what_is_left_is_sent_by_the_next_process_and_its_folder_removed(root: Path) -> None:
    first = Stage(root, Bus(NoWorkers("none")))
    first.spool.close(done("a"))
    await first.outbox.start()
    assert first.keep() and first.keep("other")
    first.spool.acknowledge("a")
    await first.end()
    assert len(files(root)) == 2
    second = Stage(root, Bus(CommitReply()))
    assert len(list(root.iterdir())) == 2, "the records are gone, what is kept is not"
    await second.outbox.start()
    await gone(root)
    assert sorted(asked[1].turn.conversation for asked in second.bus.asked) == ["other", "recognisable conversation"]
    assert len(list(root.iterdir())) == 1, "the folder of the dead one is gone"
    await second.end()
    assert list(root.iterdir()) == []


async def test_live_process_is_not_robbed(root: Path) -> None:
    first, second = Stage(root, Bus(CommitReply())), None
    assert first.keep()
    second = Stage(root, Bus(CommitReply()))
    await second.outbox.start()
    await second.end()
    assert (second.bus.asked, len(files(root))) == ([], 1)
    await first.end()


async def test_nothing_is_tried_without_a_connection(root: Path) -> None:
    stage = Stage(root, Bus(CommitReply()))
    stage.bus.connected = False
    await stage.outbox.start()
    assert stage.keep()
    await asyncio.sleep(0.6)
    assert stage.bus.asked == []
    await stage.bus.reconnect()
    started = time.monotonic()
    await gone(root)
    assert time.monotonic() - started < 0.5
    await stage.end()


async def test_one_that_got_in_makes_all_others_due(root: Path) -> None:
    stage = Stage(root, Bus(*[NoWorkers("none")] * 10, CommitReply()))
    for number in range(8):
        assert stage.keep(f"c{number}")
    for entry in list(stage.outbox._entries.values())[1:]:
        entry.backoff = Backoff(60.0, 60.0)
    await stage.outbox.start()
    await gone(root)
    await stage.end()


@pytest.mark.parametrize("reply", [CommitReply(refused="tenant_full"), RequestInvalid("cannot be read")])
async def test_refusal_ends_it(root: Path, reply: Any, caplog: pytest.LogCaptureFixture) -> None:
    stage, before = Stage(root, Bus(reply)), counted("refused")
    await stage.outbox.start()
    assert stage.keep()
    await gone(root)
    assert (len(stage.bus.asked), counted("refused") - before) == (1, 1)
    assert "outbox_refused" in caplog.text
    await stage.end()


async def test_one_that_always_fails_holds_up_no_other(root: Path) -> None:
    class Choosy(Bus):
        async def call(self, subject: Any, request: Any, context: BusContext) -> Any:
            await super().call(subject, request, context)
            asked = subject.request_decoder.decode(subject.encoder.encode(request))
            if asked.turn.conversation == "poison":
                raise WorkerFailed("of its own")
            return CommitReply()

    stage = Stage(root, Choosy(CommitReply()))
    await stage.outbox.start()
    for conversation in ("poison", *(f"c{number}" for number in range(100))):
        assert stage.keep(conversation)

    async def alone() -> bool:
        return len(files(root)) == 1

    await eventually(alone, what="all but one")
    assert len(stage.bus.asked) < 110
    await stage.end()


async def test_after_its_time_it_is_removed_and_told(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    stage, before = Stage(root, Bus(NoWorkers("none"))), counted("expired")
    stage.bus.connected = False
    await stage.outbox.start()
    assert stage.keep(seconds=0)
    await gone(root)
    assert counted("expired") - before == 1
    assert "outbox_expired" in caplog.text
    await stage.end()


async def test_deleted_conversation_is_dropped_whoever_kept_it(root: Path) -> None:
    first = Stage(root, Bus(NoWorkers("none")))
    assert first.keep("gone") and first.keep("stays")
    await first.end()
    stage = Stage(root, Bus(NoWorkers("none")))
    assert stage.keep("gone")
    assert stage.outbox.forget("0b" * 16, "gone") == 0
    assert stage.outbox.forget(TENANT, "gone") == 2
    assert len(files(root)) == 1
    stage.bus.replies = [CommitReply()]
    await stage.outbox.start()
    await gone(root)
    assert [asked[1].turn.conversation for asked in stage.bus.asked] == ["stays"]
    await stage.end()


async def test_one_in_flight_at_a_deletion_is_not_kept_again(root: Path) -> None:
    answer = asyncio.Event()

    class Slow(Bus):
        async def call(self, subject: Any, request: Any, context: BusContext) -> Any:
            await super().call(subject, request, context)
            await answer.wait()
            raise NoWorkers("none")

    stage, begun = Stage(root, Slow(CommitReply())), time.monotonic()
    await stage.outbox.start()
    assert stage.keep()

    async def asked() -> bool:
        return bool(stage.bus.asked)

    await eventually(asked, what="a try")
    assert stage.outbox.forget(TENANT, "recognisable conversation") == 1
    answer.set()
    await asyncio.sleep(0.5)
    assert (files(root), len(stage.bus.asked)) == ([], 1)
    assert not stage.keep(begun=begun), "its first try was under way at the deletion"
    assert stage.keep(begun=time.monotonic()), "a call after the deletion begins the conversation anew"
    await stage.end()


async def test_first_try_that_ends_well_after_all_is_the_only_one(root: Path) -> None:
    async def late() -> CommitReply:
        await asyncio.sleep(1.0)
        return CommitReply()

    stage = Stage(root, Bus(CommitReply()))
    await stage.outbox.start()
    assert stage.keep(sending=asyncio.create_task(late()))
    assert len(files(root)) == 1
    await gone(root)
    assert stage.bus.asked == []
    await stage.end()


async def test_spool_s_limit_holds_for_it_too(root: Path) -> None:
    stage, before = Stage(root, Bus(NoWorkers("none")), max_bytes=4000), counted("full")
    kept = [stage.keep() for _ in range(20)]
    assert kept[0] and not kept[-1]
    assert counted("full") - before == kept.count(False)
    assert sum(path.stat().st_size for path in files(root)) == stage.spool.folders.bytes <= 2000
    stage.spool.close(done("a"))
    assert stage.spool.waiting == 1, "there is always room for records"
    stage.spool.acknowledge("a")
    while stage.spool.folders.room(500):
        stage.spool.open(done(f"e{stage.spool.folders.bytes}"))
    stage.outbox.forget(TENANT, "recognisable conversation")
    while stage.spool.folders.room(300):
        stage.spool.open(done(f"e{stage.spool.folders.bytes}"))
    assert not stage.keep(), "nor is there more than the spool may hold"
    await stage.end()


async def test_what_is_gone_gives_its_room_back(root: Path) -> None:
    stage = Stage(root, Bus(NoWorkers("none")))
    assert stage.keep()
    stage.outbox.forget(TENANT, "recognisable conversation")
    assert stage.spool.folders.bytes == 0
    await stage.end()


async def test_half_a_file_or_another_secret_is_never_fatal(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Stage(root, Bus(NoWorkers("none")))
    for conversation in ("cut", "empty", "whole"):
        assert first.keep(conversation)
    cut, empty, _ = [entry.path for entry in first.outbox._entries.values()]
    cut.write_bytes(cut.read_bytes()[:-1])
    empty.write_bytes(b"")
    cut.with_suffix(".part").write_bytes(b"what a dead process was writing")
    await first.end()
    second = Stage(root, Bus(CommitReply()))
    await second.outbox.start()
    await gone(root)
    assert [asked[1].turn.conversation for asked in second.bus.asked] == ["whole"]
    assert second.keep()
    await second.end()
    third, before = Stage(root, Bus(CommitReply()), secret=b"n" * 32), counted("unreadable")
    await third.outbox.start()
    await gone(root)
    assert (third.bus.asked, counted("unreadable") - before) == ([], 1)
    assert "outbox_unreadable" in caplog.text
    await third.end()
    assert list(root.iterdir()) == []


async def test_a_file_that_is_not_ours_is_left_alone(root: Path) -> None:
    first = Stage(root, Bus(NoWorkers("none")))
    stray = first.spool.folders.own.path / "x.sealed"
    stray.write_bytes(b"?")
    await first.end()
    second = Stage(root, Bus(CommitReply()))
    assert second.keep()
    await second.end()
    assert stray.exists()


async def test_disk_that_fails_keeps_nothing_and_raises_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(root, Bus(NoWorkers("none")))

    def fails(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fails)
        assert not stage.keep()
    assert files(root) == []
    assert not stage.outbox.keep(
        COMMIT, commit(), BusContext(tenant="../x"), conversation=None, expires=int(time.time()) + 60
    ), "what cannot stand in a name"
    assert stage.keep()
    await stage.end()


async def test_without_a_descriptor_to_be_had_it_is_kept_and_sent(root: Path) -> None:
    stage, held = Stage(root, Bus(CommitReply())), []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    await stage.outbox.start()
    await asyncio.sleep(0)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, limits[1]))
        with pytest.raises(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        assert stage.keep() and stage.keep("other")

        async def sent() -> bool:
            return not stage.outbox._entries

        await eventually(sent, what="an empty outbox")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in held:
            os.close(descriptor)
    assert files(root) == []
    await stage.end()


async def test_bytes_go_on_as_a_neighbouring_release_wrote_them(root: Path) -> None:
    class Newer(ClaimRequest, frozen=True, kw_only=True):
        account: str = ""

    sent = []

    class Raw(Bus):
        async def call(self, subject: Any, request: Any, context: BusContext) -> Any:
            sent.append(msgspec.msgpack.decode(subject.encoder.encode(request)))
            return ClaimReply()

    stage = Stage(root, Raw(ClaimReply()))
    await stage.outbox.start()
    request = Newer(upstream_id="resp_1", upstream="u", account="new")
    assert stage.outbox.keep(CLAIM, request, CALL, conversation=None, expires=int(time.time()) + 60)
    await gone(root)
    assert sent == [{"upstream_id": "resp_1", "upstream": "u", "more": [], "account": "new"}]
    await stage.end()
