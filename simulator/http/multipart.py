"""Reading a multipart body as it arrives: each part's name, filename, size and digest, never its whole content."""

import hashlib
import re

_HEADER_LIMIT = 16 << 10
_VALUE_LIMIT = 256
_NAME = re.compile(rb'name="([^"]*)"')
_FILENAME = re.compile(rb'filename="([^"]*)"')
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')


class Part:
    """`value` is the start of the content; `size` counts all of it, in bytes."""

    def __init__(self, header: bytes) -> None:
        name, filename = _NAME.search(header), _FILENAME.search(header)
        self.name = name.group(1).decode() if name else ""
        self.filename = filename.group(1).decode() if filename else None
        self.size = 0
        self.value = b""
        self._digest = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        self.value += data[: max(0, _VALUE_LIMIT - len(self.value))]
        self._digest.update(data)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class MultipartReader:
    """Feed it the body in any pieces; `parts` then holds what has begun so far, `complete` that the end was seen."""

    def __init__(self, content_type: str) -> None:
        match = _BOUNDARY.search(content_type)
        if match is None:
            raise ValueError("a multipart body needs a boundary")
        self.parts: list[Part] = []
        self.complete = False
        self._delimiter = b"\r\n--" + match.group(1).encode()
        # The first delimiter has no line before it.
        self._buffer = b"\r\n"
        self._in_part = False

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while not self.complete and (self._read_content() if self._in_part else self._read_header()):
            continue

    def _read_header(self) -> bool:
        start = self._buffer.find(self._delimiter)
        after = start + len(self._delimiter)
        if start >= 0 and self._buffer[after : after + 2] == b"--":
            self.complete = True
            return False
        end = self._buffer.find(b"\r\n\r\n", max(start, 0))
        if start < 0 or end < 0:
            if len(self._buffer) > _HEADER_LIMIT:
                raise ValueError("a multipart header is too long")
            return False
        self.parts.append(Part(self._buffer[after:end]))
        self._buffer = self._buffer[end + 4 :]
        self._in_part = True
        return True

    def _read_content(self) -> bool:
        end = self._buffer.find(self._delimiter)
        # Without a delimiter in sight, the tail may still be the start of one.
        taken = end if end >= 0 else max(0, len(self._buffer) - len(self._delimiter))
        self.parts[-1].feed(self._buffer[:taken])
        self._buffer = self._buffer[taken:]
        self._in_part = end < 0
        return end >= 0
