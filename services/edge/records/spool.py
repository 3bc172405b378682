"""The edge's local spool: every record is on disk before its answer ends, and stays there until the
stream has it. Survives the death of the process, not of the machine: a write, no fsync.

JSON lines in segment files in the process's own folder; those of dead processes are adopted (`folders.py`).
Called on the event loop: nothing here waits or raises.
"""

import errno
import os
from collections import OrderedDict, deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from libs.runtime import metrics
from libs.runtime.errors import StartError
from libs.runtime.logs import Log, RareLog
from libs.schemas.records import RECORD_ENCODER, CallRecord, Record, kind
from services.edge.disk.folders import Folder, Folders

SEGMENT_BYTES = 4 * 1024 * 1024
MAX_SEGMENTS_OF_OPEN_CALLS = 4  # an older segment with nothing but open calls is written again and removed
_OPEN, _CLOSE, _ACK = b'{"open":', b'{"close":', b'{"ack":'
_END = b"}\n"

log = Log("parley.edge.spool")


class _Line(msgspec.Struct):
    open: msgspec.Raw = msgspec.Raw()
    close: msgspec.Raw = msgspec.Raw()
    ack: str | None = None


class _RecordKey(msgspec.Struct):
    """All of a record that must be known to find it and to publish it: its kind may be one of a newer release."""

    event_id: str
    kind: str

    def __post_init__(self) -> None:
        if not self.kind.isidentifier():  # it becomes a word of a subject
            raise ValueError("not a kind of record")


_LINE = msgspec.json.Decoder(_Line)
_RECORD_KEY = msgspec.json.Decoder(_RecordKey)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A record to publish, as JSON; `recovered` when it is a dead process's and may be in the stream."""

    event_id: str
    kind: str
    data: bytes
    recovered: bool


class _Segment:
    """One file, open as long as it is of use; `live` are the records whose newest line is in it."""

    def __init__(self, path: Path, file: int, size: int = 0) -> None:
        self.path = path
        self.file = file
        self.size = size
        self.live: set[str] = set()


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the newest line of a record is; `offset` and `length` of the record's own JSON, in bytes."""

    kind: str
    segment: _Segment
    offset: int
    length: int
    closed: bool
    recovered: bool = False


class Spool:
    """Records of this process and of the dead ones it found. In memory a record takes a few hundred bytes."""

    def __init__(self, root: Path | str, max_bytes: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Lock a directory of its own under `root` and adopt the abandoned ones. Raises StartError."""
        self._segment_bytes = min(segment_bytes, max(max_bytes // 8, 1))
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._queue: deque[str] = deque()  # closed, not acknowledged, not being published
        self._broken = False  # the newest segment may end in half a line
        self._next_segment = 1
        self._rarely = RareLog("parley.edge.spool")
        self._own: deque[_Segment] = deque()
        self._adopted: dict[Folder, deque[_Segment]] = {}
        try:
            self.folders = Folders(Path(root), max_bytes)
            for folder in self.folders.adopted:
                self._adopted[folder] = deque()
                self._adopt(folder.path, self._adopted[folder])
            self._rotate()  # with one file open, no record is lost for want of a descriptor
        except OSError as error:
            raise StartError(f"edge.spool_dir {root}: {error.strerror or error}") from None
        self._recover()

    # -- what the edge calls ------------------------------------------------------------------------

    def open(self, record: CallRecord) -> None:
        """A call begins. `record` says what to report if this process dies: its outcome is `lost`."""
        if record.event_id not in self._places:
            self._append(_OPEN, record)

    def close(self, record: Record) -> None:
        """From now on the record waits to be published, whether or not it was opened. Again: no effect."""
        place = self._places.get(record.event_id)
        if place is not None and place.closed:
            return
        if self._append(_CLOSE, record):
            self._queue.append(record.event_id)
            return
        metrics.SPOOL_DROPPED.inc()
        self._forget(record.event_id)

    def acknowledge(self, event_id: str) -> None:
        """The stream has the record: forget it."""
        if event_id in self._places:
            self._write(_ACK + msgspec.json.encode(event_id) + _END)
            self._forget(event_id)

    # -- what the publisher calls -------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many closed records are not acknowledged and not being published."""
        return len(self._queue)

    def take(self) -> Waiting | None:
        """Return the oldest closed record that can be read; None when there is none. `acknowledge` it.

        One that cannot be read at this moment waits on, behind all others.
        """
        for _ in range(len(self._queue)):
            event_id = self._queue.popleft()
            place = self._places.get(event_id)
            if place is None or not place.closed:
                continue
            try:
                data = self._read(place)
            except OSError as error:
                self._rarely.error("spool_broken", error=str(error))
                self._queue.append(event_id)
                continue
            if data is not None:
                return Waiting(event_id=event_id, kind=place.kind, data=data, recovered=place.recovered)
            self._rarely.error("spool_broken", error="a segment was cut")
            metrics.SPOOL_DROPPED.inc()
            self._forget(event_id)
        return None

    def release(self) -> None:
        """Give up the locks; what is not acknowledged is for the next process."""
        self._remove_finished(keep=0)
        for segments in (self._own, *self._adopted.values()):
            while segments:
                os.close(segments.popleft().file)
        self.folders.release()

    # -- writing ------------------------------------------------------------------------------------

    def _append(self, mark: bytes, record: Record) -> bool:
        data = RECORD_ENCODER.encode(record)
        line = mark + data + _END
        if not self.folders.room(len(line)):
            self._rarely.error("spool_full", bytes=self.folders.bytes)
            return False
        if not self._write(line):
            return False
        segment = self._own[-1]
        offset = segment.size - len(_END) - len(data)
        place = _Place(kind=kind(type(record)), segment=segment, offset=offset, length=len(data), closed=mark is _CLOSE)
        self._put(record.event_id, place)
        return True

    def _write(self, line: bytes) -> bool:
        try:
            self._add_line(self._segment(len(line)), line)
        except OSError as error:
            self._rarely.error("spool_broken", error=str(error))
            return False
        return True

    def _segment(self, size: int) -> _Segment:
        """Return the segment for the next `size` bytes. Raises OSError."""
        newest = self._own[-1]
        if not self._broken and newest.size + size <= self._segment_bytes:
            return newest
        try:
            return self._rotate()
        except OSError as error:
            if self._broken:
                raise
            self._rarely.error("spool_broken", error=str(error))
            return newest  # a long file is better than a lost record

    def _add_line(self, segment: _Segment, line: bytes) -> None:
        """Write one line at the end of a segment, all of it or nothing. Raises OSError."""
        try:
            written = os.write(segment.file, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, "short write")
        except OSError:
            try:
                os.ftruncate(segment.file, segment.size)
            except OSError:
                self._broken = True
            raise
        segment.size += written
        self.folders.count(written)

    def _rotate(self) -> _Segment:
        """Begin a new segment. Raises OSError."""
        path = self.folders.own.path / f"{self._next_segment:08}.jsonl"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL
        segment = _Segment(path, self.folders.descriptors.open(path, flags))
        self._next_segment += 1
        self._broken = False
        if self._own and not self._own[-1].size:
            self._remove(self._own.pop())
        self._own.append(segment)
        if len(self._own) > MAX_SEGMENTS_OF_OPEN_CALLS:
            self._carry_over(self._own[0])
        self._remove_finished()
        return segment

    def _carry_over(self, segment: _Segment) -> None:
        """Write the calls still open in `segment` again, so that one long call does not keep all files."""
        if any(self._places[event_id].closed for event_id in segment.live):
            return
        newest = self._own[-1]
        try:
            for event_id in list(segment.live):
                place = self._places[event_id]
                data = self._read(place)
                if data is None:
                    return
                self._add_line(newest, _OPEN + data + _END)
                offset = newest.size - len(_END) - len(data)
                self._put(event_id, msgspec.structs.replace(place, segment=newest, offset=offset))
        except OSError as error:  # they stay where they are
            self._rarely.error("spool_broken", error=str(error))

    # -- what is where ------------------------------------------------------------------------------

    def _put(self, event_id: str, place: _Place) -> None:
        before = self._places.get(event_id)
        if before is not None:
            before.segment.live.discard(event_id)
        place.segment.live.add(event_id)
        self._places[event_id] = place

    def _forget(self, event_id: str) -> None:
        place = self._places.pop(event_id, None)
        if place is None:
            return
        place.segment.live.discard(event_id)
        if not place.segment.live:
            self._remove_finished()

    def _remove_finished(self, keep: int = 1) -> None:
        """Remove segments that nothing lives in; of this process's own `keep` the newest, which is being written."""
        self._remove_oldest(self._own, keep)
        for folder, segments in list(self._adopted.items()):
            self._remove_oldest(segments)
            if not segments:
                del self._adopted[folder]
                self.folders.finished(folder)

    def _remove_oldest(self, segments: deque[_Segment], keep: int = 0) -> None:
        """Remove from the oldest on: a later segment may say that a record of an earlier one is done."""
        while len(segments) > keep and not segments[0].live:
            self._remove(segments.popleft())

    def _remove(self, segment: _Segment) -> None:
        self.folders.count(-segment.size)
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            self._rarely.error("spool_broken", error=str(error))
        self.folders.descriptors.close(segment.file)

    def _read(self, place: _Place) -> bytes | None:
        """Return a record's JSON; None where the file has less than it had. Raises OSError."""
        data = os.pread(place.segment.file, place.length, place.offset)
        return data if len(data) == place.length else None

    # -- recovery -----------------------------------------------------------------------------------

    def _adopt(self, path: Path, segments: deque[_Segment]) -> None:
        for file in sorted(path.glob("*.jsonl")):
            descriptor = self.folders.descriptors.open(file, os.O_RDONLY)
            with open(descriptor, "rb", closefd=False) as lines:
                content = lines.read()
            segment = _Segment(file, descriptor, len(content))
            segments.append(segment)
            self.folders.count(segment.size)
            for event_id, place in _lines(content, segment):
                if place is not None:
                    self._put(event_id, place)
                elif event_id in self._places:
                    self._places.pop(event_id).segment.live.discard(event_id)

    def _recover(self) -> None:
        """What dead processes left: closed records, and open ones, which are lost calls."""
        lost = 0
        for event_id, place in self._places.items():
            if not place.closed:
                lost += 1
                self._places[event_id] = msgspec.structs.replace(place, closed=True)
            self._queue.append(event_id)
        if self._places:
            log.warning("spool_recovered", records=len(self._places), lost_calls=lost)
        self._remove_finished()


def _lines(content: bytes, segment: _Segment) -> Iterator[tuple[str, _Place | None]]:
    """Yield the event id of every whole line and the place of its record, None for one that is acknowledged.

    Half a line is what a crash leaves.
    """
    offset, skipped = 0, 0
    for line in content.split(b"\n"):
        try:
            found = _LINE.decode(line) if line else _Line()
            if found.ack is not None:
                yield found.ack, None
            for mark, raw in ((_OPEN, found.open), (_CLOSE, found.close)):
                if data := bytes(raw):
                    head, start = _RECORD_KEY.decode(data), offset + len(mark)
                    yield (
                        head.event_id,
                        _Place(
                            kind=head.kind,
                            segment=segment,
                            offset=start,
                            length=len(data),
                            closed=mark is _CLOSE,
                            recovered=True,
                        ),
                    )
        except (msgspec.MsgspecError, UnicodeDecodeError):
            skipped += 1
        offset += len(line) + 1
    if skipped:
        log.warning("spool_lines_skipped", lines=skipped)
