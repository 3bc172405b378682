import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from libs.runtime import metrics
from libs.runtime.errors import StartError
from libs.schemas.records import RECORD_DECODER, CallRecord, HandoffRecord
from services.edge.records.spool import Spool

LARGE = 1024**3


def record(event_id: str, **changes: Any) -> CallRecord:
    fields: dict[str, Any] = {
        "event_id": event_id,
        "ts": 1,
        "tenant": "t",
        "surface": "chat",
        "model_requested": "m",
        "upstream": "u",
        "streamed": True,
        "outcome": "lost",
        "request_id": "r",
    }
    return CallRecord(**{**fields, **changes})


def done(event_id: str) -> CallRecord:
    return record(event_id, outcome="ok", output_tokens=7)


def handoff(event_id: str) -> HandoffRecord:
    return HandoffRecord(
        event_id=event_id, ts=1, tenant="t", request_id="r", upstream="u", model="m", mode="chain", reason="matched"
    )


def told(data: bytes) -> str:
    """The outcome of a call, the mode of a handoff."""
    entry = RECORD_DECODER.decode(data)
    if isinstance(entry, CallRecord):
        return entry.outcome
    assert isinstance(entry, HandoffRecord)
    return entry.mode


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(root: Path) -> Iterator[Spool]:
    spool = Spool(root, LARGE)
    yield spool
    spool.release()


def taken(spool: Spool) -> list[tuple[str, str, bool]]:
    """Take all; return (event id, what it tells, recovered)."""
    found: list[tuple[str, str, bool]] = []
    while (waiting := spool.take()) is not None:
        found.append((waiting.event_id, told(waiting.data), waiting.recovered))
    return found


def files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.jsonl"))


def dropped() -> float:
    return float(metrics.SPOOL_DROPPED._value.get())


def killed(root: Path, code: str) -> None:
    """Run `code`, which has `spool`, `record`, `done` and `handoff`, in a process that ends without a clean-up."""
    script = (
        "import os\nfrom pathlib import Path\nfrom services.edge.records.spool import Spool\n"
        "from tests.unit.services.edge.records.test_spool import done, handoff, record\n"
        f"spool = Spool(Path({str(root)!r}), {LARGE})\n{code}\nos.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[5]).returncode == -9


def test_closed_records_are_taken_in_order_and_as_they_were(spool: Spool) -> None:
    for event_id in ("a", "b", "c"):
        spool.open(record(event_id))
    for event_id in ("b", "a"):
        spool.close(done(event_id))
    assert spool.waiting == 2
    waiting = spool.take()
    assert waiting is not None and RECORD_DECODER.decode(waiting.data) == done("b")
    assert taken(spool) == [("a", "ok", False)]
    assert spool.take() is None


def test_a_record_that_was_never_opened_can_be_closed(spool: Spool) -> None:
    spool.close(done("a"))
    assert taken(spool) == [("a", "ok", False)]


def test_each_kind_is_known_when_it_is_taken(spool: Spool) -> None:
    spool.open(record("a"))
    spool.close(handoff("h"))
    spool.close(done("a"))
    first, second = spool.take(), spool.take()
    assert first is not None and second is not None
    assert (first.kind, RECORD_DECODER.decode(first.data)) == ("handoff", handoff("h"))
    assert (second.kind, RECORD_DECODER.decode(second.data)) == ("call", done("a"))


def test_closing_or_opening_a_closed_record_changes_nothing(spool: Spool) -> None:
    spool.close(done("a"))
    spool.close(record("a"))
    spool.open(record("a"))
    assert taken(spool) == [("a", "ok", False)]


def test_acknowledging_twice_or_the_unknown_is_harmless(spool: Spool) -> None:
    spool.close(done("a"))
    for event_id in ("a", "a", "never seen"):
        spool.acknowledge(event_id)
    assert taken(spool) == []


def test_after_a_kill_closed_records_come_back_and_open_ones_are_lost(root: Path) -> None:
    killed(root, 'for e in "abcd": spool.open(record(e))\nfor e in "abc": spool.close(done(e))\nspool.acknowledge("b")')
    spool = Spool(root, LARGE)
    assert taken(spool) == [("a", "ok", True), ("c", "ok", True), ("d", "lost", True)]
    spool.release()


def test_after_a_kill_handoffs_come_back_unless_they_were_acknowledged(root: Path) -> None:
    killed(
        root,
        'spool.open(record("a"))\nfor h in ("h1", "h2"): spool.close(handoff(h))\nspool.acknowledge("h1")',
    )
    for _ in range(2):  # a recovered handoff is not gone before it is acknowledged
        spool = Spool(root, LARGE)
        found = [waiting for waiting in (spool.take(), spool.take()) if waiting is not None]
        assert [(waiting.event_id, waiting.kind, waiting.recovered) for waiting in found] == [
            ("a", "call", True),
            ("h2", "handoff", True),
        ]
        assert RECORD_DECODER.decode(found[1].data) == handoff("h2")
        spool.release()


def test_recovered_records_survive_a_second_kill_until_they_are_acknowledged(root: Path) -> None:
    killed(root, 'for e in "ab": spool.open(record(e))\nspool.close(done("a"))')
    killed(root, 'assert spool.waiting == 2\nspool.open(record("c"))')
    spool = Spool(root, LARGE)
    assert sorted(taken(spool)) == [("a", "ok", True), ("b", "lost", True), ("c", "lost", True)]
    for event_id in "abc":
        spool.acknowledge(event_id)
    spool.release()
    assert list(root.iterdir()) == [], "nothing is left behind"


def test_a_live_process_is_not_robbed(root: Path, spool: Spool) -> None:
    spool.close(done("a"))
    other = Spool(root, LARGE)
    assert other.waiting == 0
    other.release()


def test_a_folder_that_lost_its_lock_is_found_and_what_is_not_ours_is_left_alone(root: Path) -> None:
    killed(root, 'spool.close(done("a"))')
    (folder,) = root.iterdir()
    (folder / "lock").unlink()
    (root / "lost+found").mkdir()
    (root / ("0" * 32)).write_text("a file")
    spool = Spool(root, LARGE)
    assert taken(spool) == [("a", "ok", True)]
    spool.acknowledge("a")
    spool.release()
    assert sorted(path.name for path in root.iterdir()) == ["0" * 32, "lost+found"]
    assert list((root / "lost+found").iterdir()) == []


def test_a_clean_end_leaves_what_was_not_acknowledged(root: Path) -> None:
    first = Spool(root, LARGE)
    for event_id in "ab":
        first.close(done(event_id))
    first.acknowledge("a")
    first.release()
    second = Spool(root, LARGE)
    assert taken(second) == [("b", "ok", True)]
    second.acknowledge("b")
    second.release()
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_half_a_line_at_the_end_is_tolerated(root: Path, cut: int) -> None:
    killed(root, 'spool.close(done("a"))\nspool.close(done("b"))')
    (path,) = files(root)
    path.write_bytes(path.read_bytes()[:-cut])
    spool = Spool(root, LARGE)
    assert taken(spool) == ([("a", "ok", True), ("b", "ok", True)] if cut == 1 else [("a", "ok", True)])
    spool.release()


def test_rubbish_between_lines_is_skipped(root: Path) -> None:
    killed(root, 'spool.close(done("a"))')
    (path,) = files(root)
    unknown = b'{"close":{"no":"id"}}\n{"close":{"event_id":"b","kind":"?"}}\n'
    path.write_bytes(b'\xff\x00{"open":\n[]\n' + unknown + path.read_bytes())
    spool = Spool(root, LARGE)
    assert taken(spool) == [("a", "ok", True)]
    spool.release()


def test_a_record_of_a_type_that_a_newer_release_declares_is_published_as_it_is(root: Path) -> None:
    killed(root, 'spool.close(done("a"))')
    (path,) = files(root)
    newer = b'{"event_id":"b","kind":"newer","of":1}'
    path.write_bytes(path.read_bytes() + b'{"close":' + newer + b"}\n")
    spool = Spool(root, LARGE)
    assert spool.take() is not None
    waiting = spool.take()
    assert waiting is not None and (waiting.kind, waiting.data) == ("newer", newer)
    spool.release()


def test_segments_go_when_all_their_records_are_acknowledged(root: Path) -> None:
    spool = Spool(root, LARGE, segment_bytes=1000)
    for number in range(40):
        spool.close(done(f"e{number}"))
    assert len(files(root)) > 5
    for number in range(40):
        spool.acknowledge(f"e{number}")
    assert len(files(root)) == 1
    spool.release()


def test_one_long_call_does_not_keep_every_segment(root: Path) -> None:
    spool = Spool(root, LARGE, segment_bytes=1000)
    spool.open(record("long"))
    for number in range(200):
        spool.open(record(f"e{number}"))
        spool.close(done(f"e{number}"))
        spool.acknowledge(f"e{number}")
        assert len(files(root)) <= 6
    assert taken(spool) == []
    spool.close(done("long"))
    assert taken(spool) == [("long", "ok", False)]
    spool.release()


def test_a_handoff_that_waits_keeps_its_segment_and_its_kind(root: Path) -> None:
    spool = Spool(root, LARGE, segment_bytes=1000)
    spool.open(record("long"))
    spool.close(handoff("h"))
    for number in range(50):
        spool.close(done(f"e{number}"))
        spool.acknowledge(f"e{number}")
    waiting = spool.take()
    assert waiting is not None and (waiting.event_id, waiting.kind) == ("h", "handoff")
    spool.acknowledge("h")
    for number in range(50):
        spool.close(done(f"f{number}"))
        spool.acknowledge(f"f{number}")
    assert len(files(root)) <= 6
    spool.release()


def test_a_long_call_that_was_carried_over_is_found_after_a_kill(root: Path) -> None:
    killed(
        root,
        "spool._segment_bytes = 1000\nspool.open(record('long'))\n"
        "for n in range(100): spool.close(done(f'e{n}')); spool.acknowledge(f'e{n}')",
    )
    spool = Spool(root, LARGE)
    assert taken(spool) == [("long", "lost", True)]
    spool.release()


def test_a_finished_record_never_comes_back_as_lost(root: Path) -> None:
    """Its opening stands in an early segment, its end in one that could be removed before."""
    killed(
        root,
        "spool._segment_bytes = 1000\nspool.open(record('long'))\nspool.open(record('short'))\n"
        "for n in range(3): spool.close(done(f'e{n}')); spool.acknowledge(f'e{n}')\n"
        "spool.close(done('short')); spool.acknowledge('short')\n"
        "for n in range(5): spool.close(done(f'f{n}')); spool.acknowledge(f'f{n}')",
    )
    spool = Spool(root, LARGE)
    assert taken(spool) == [("long", "lost", True)]
    spool.release()


def test_above_its_bound_records_are_dropped_and_counted(root: Path) -> None:
    spool, before = Spool(root, 3000), dropped()
    for number in range(30):
        spool.close(done(f"e{number}"))
    kept = len(taken(spool))
    assert 0 < kept < 30
    assert dropped() - before == 30 - kept
    assert sum(path.stat().st_size for path in files(root)) <= 3000
    for number in range(30):
        spool.acknowledge(f"e{number}")
    spool.close(done("again"))
    assert taken(spool) == [("again", "ok", False)]
    spool.release()


def test_a_disk_that_fails_drops_and_later_works_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spool, before = Spool(root, LARGE), dropped()
    write = os.write

    def fails(file: int, data: bytes) -> int:
        write(file, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    spool.close(done("a"))
    monkeypatch.setattr(os, "write", fails)
    spool.open(record("b"))
    spool.close(done("b"))
    spool.close(done("c"))
    monkeypatch.setattr(os, "write", write)
    spool.close(done("d"))
    assert dropped() - before == 2
    assert [event_id for event_id, _, _ in taken(spool)] == ["a", "d"]
    assert len([entry for entry in caplog.records if entry.getMessage() == "spool_broken"]) == 1
    spool.release()
    again = Spool(root, LARGE)
    assert [event_id for event_id, _, _ in taken(again)] == ["a", "d"]
    again.release()


def test_a_segment_that_was_cut_is_counted_not_raised(root: Path, spool: Spool) -> None:
    before = dropped()
    spool.close(done("a"))
    os.truncate(files(root)[0], 10)
    assert spool.take() is None
    assert dropped() - before == 1


def test_what_cannot_be_read_at_this_moment_is_not_forgotten(
    root: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, read = dropped(), os.pread
    for event_id in "abc":
        spool.close(done(event_id))
    first = spool._places["a"].offset

    def fails(file: int, length: int, offset: int) -> bytes:
        if offset == first:
            raise OSError(5, "Input/output error")
        return read(file, length, offset)

    monkeypatch.setattr(os, "pread", fails)
    assert [event_id for event_id, _, _ in taken(spool)] == ["b", "c"]
    assert (spool.waiting, dropped() - before) == (1, 0)
    monkeypatch.setattr(os, "pread", read)
    assert taken(spool) == [("a", "ok", False)]


def test_without_a_descriptor_to_be_had_every_record_is_written_and_read(root: Path) -> None:
    script = (
        "import os, resource\nfrom pathlib import Path\nfrom services.edge.records.spool import Spool\n"
        "from tests.unit.services.edge.records.test_spool import dropped, done, record, taken\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        f"spool = Spool(Path({str(root)!r}), {LARGE}, segment_bytes=1000)\n"
        "held = []\n"
        "try:\n    while True: held.append(os.open(os.devnull, os.O_RDONLY))\nexcept OSError: pass\n"
        "for n in range(200): spool.open(record(f'e{n}'))\n"
        "for n in range(200): spool.close(done(f'e{n}'))\n"
        "assert [found[0] for found in taken(spool)] == [f'e{n}' for n in range(200)]\n"
        "for n in range(0, 200, 2): spool.acknowledge(f'e{n}')\n"
        "assert dropped() == 0\nos.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[5]).returncode == -9
    spool = Spool(root, LARGE)
    assert sorted(taken(spool)) == sorted((f"e{number}", "ok", True) for number in range(1, 200, 2))
    spool.release()


def test_a_disk_that_is_full_for_long_leaves_no_files_and_no_descriptors(
    root: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> int:
        raise OSError(28, "No space left on device")

    spool.close(done("a"))
    before = len(os.listdir("/proc/self/fd"))
    for broken in ((), ("ftruncate",)):  # half a line can be taken away, or cannot
        with monkeypatch.context() as patch:
            for name in ("write", *broken):
                patch.setattr(os, name, fails)
            for number in range(50):
                spool.close(done(f"e{number}"))
        assert len(files(root)) <= 2
        assert len(os.listdir("/proc/self/fd")) - before <= 1
    spool.close(done("b"))
    assert [event_id for event_id, _, _ in taken(spool)] == ["a", "b"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_costs_the_records_of_that_time_and_no_others(root: Path, tmp_path: Path) -> None:
    """On a real one: of a call that was opened before, the next process knows no more than that it began."""
    root.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(root)]).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        spool, before = Spool(root, LARGE), dropped()
        spool.open(record("long"))
        written = 0
        while dropped() == before:
            spool.close(done(f"e{written}"))
            written += 1
        spool.close(done("long"))
        lost = int(dropped() - before)
        assert lost == 2, "the last and the long one"
        found = taken(spool)
        assert [event_id for event_id, _, _ in found] == [f"e{number}" for number in range(written - 1)]
        for event_id, _, _ in found[: len(found) // 2]:
            spool.acknowledge(event_id)
        kept = [event_id for event_id, _, _ in found[len(found) // 2 :]]
        os.close(spool.folders.own._lock)  # as if it had died
        again = Spool(root, LARGE)
        told_again = {event_id: outcome for event_id, outcome, _ in taken(again)}
        assert {event_id: told_again[event_id] for event_id in kept} == dict.fromkeys(kept, "ok")
        assert told_again["long"] == "lost"
        again.release()
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)


def test_a_directory_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="spool_dir"):
        Spool(tmp_path / "file" / "spool", LARGE)


def test_the_gauge_follows_the_bytes(root: Path) -> None:
    spool = Spool(root, LARGE)
    spool.close(done("a"))
    assert metrics.SPOOL_BYTES._value.get() == files(root)[0].stat().st_size
    spool.acknowledge("a")
    spool.release()
    assert metrics.SPOOL_BYTES._value.get() == 0
