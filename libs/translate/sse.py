"""Bytes to server-sent-event frames, in linear time and bounded space; no sockets.

Data may be cut anywhere, also inside a UTF-8 character, and lines may end in LF, CR or CRLF
(docs/mapping.md#frames).
"""

MAX_FRAME_BYTES = 32 * 1024 * 1024

Frame = tuple[bytes, bytes]  # the event's name, empty when it had none, and its data

_BOM = b"\xef\xbb\xbf"


class FrameTooLarge(Exception):
    """A frame is longer than `MAX_FRAME_BYTES`: nothing sensible sends one."""


class FrameParser:
    """Takes network reads, gives the frames they complete. Comments and frames without data vanish."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of the frame that has begun
        self._size = 0
        self._after_cr = False  # the last byte was a CR, already taken for a line end
        self._head: bytes | None = b""  # what may be part of a byte order mark; None once that is decided
        self._is_between = False  # has every frame that began ended?

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames completed by `data`. Raises FrameTooLarge."""
        if self._is_between and data[-2:] == b"\n\n" and b"\r" not in data:
            return _frames(data[:-2])  # what nearly every read is: whole frames
        self._is_between = False
        frames = self._feed(data)
        self._is_between = not self._pieces and not self._after_cr and self._head is None
        return frames

    def _feed(self, data: bytes) -> list[Frame]:
        if self._head is not None:
            data = self._without_bom(self._head + data)
        data = self._with_lf(data)
        if not data:
            return []
        straddles = data[:1] == b"\n" and bool(self._pieces) and self._pieces[-1].endswith(b"\n")
        self._pieces.append(data)
        if not straddles and b"\n\n" not in data:
            self._size += len(data)
            if self._size > MAX_FRAME_BYTES:
                raise FrameTooLarge
            return []
        # Joined only when a frame ends, so that a frame of many reads is copied once.
        block = b"".join(self._pieces)
        end = block.rfind(b"\n\n")
        rest = block[end + 2 :]
        self._pieces = [rest] if rest else []
        self._size = len(rest)
        return _frames(block[:end])

    def _without_bom(self, data: bytes) -> bytes:
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._head = data
            return b""
        self._head = None
        return data.removeprefix(_BOM)

    def _with_lf(self, data: bytes) -> bytes:
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            self._after_cr = False
        if not data:
            return data
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data


def _frames(block: bytes) -> list[Frame]:
    return [frame for text in block.split(b"\n\n") if (frame := _parse(text)) is not None]


def _parse(text: bytes) -> Frame | None:
    name, begun, value = text.partition(b"\ndata: ")
    if begun and name[:7] == b"event: " and b"\n" not in value and b"\n" not in name:
        return name[7:], value  # as all upstreams write it
    return _parse_lines(text)


def _parse_lines(text: bytes) -> Frame | None:
    name, data = b"", list[bytes]()
    for line in text.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return (name, b"\n".join(data)) if data else None
