"""Takes long media, and secrets of tools, out of a JSON body and puts them back into another, without parsing either.

A string is lifted if it is a value, long, and by its start a data URL or base64; never text. Both
directions are linear: the search steps over the body in blocks and looks closer only where a block
holds no quote (design, "Media never crosses the bus").
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256

import msgspec

from libs.schemas.bus import Lifted

MIN_BYTES = 16 * 1024
_BLOCK = MIN_BYTES // 2  # any longer run without a quote covers at least one whole block
_HEAD = 256
_DATA_URL = re.compile(rb"data:[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(?:;[A-Za-z0-9=._+-]+)*,")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]*={0,2}")
_STRING = rb'"((?:[^"\\]|\\.)+)"'
_AUTHORIZATION = re.compile(rb'(?<!\\)"authorization"\s*:\s*' + _STRING)
_HEADERS = re.compile(rb'(?<!\\)"headers"\s*:\s*\{((?:[^{}"]|"(?:[^"\\]|\\.)*")*)\}')
_VALUE = re.compile(rb":\s*" + _STRING)
_KEY_FOLLOWS = re.compile(rb"[ \t\r\n]*:")


class Skeleton(msgspec.Struct, frozen=True):
    """A body without its media: `body` is JSON with placeholders, `spans` where each stood in the original."""

    body: bytes
    lifted: list[Lifted]
    spans: list[tuple[int, int]]


class SpliceError(ValueError):
    """A placeholder stands in the converted body twice, or one that was never issued does."""


def lift(body: bytes, nonce: str) -> Skeleton:
    """Return `body` without its long media strings and the client's secrets.

    `nonce` must be random, at least 128 bits in hex.
    """
    media = list(_spans(body))
    secrets = set(_secrets(body, list(_gaps(media, len(body)))))
    spans = sorted({*media, *secrets})
    if not spans:
        return Skeleton(body, [], [])
    pieces: list[bytes] = []
    lifted: list[Lifted] = []
    position = 0
    for index, (start, end) in enumerate(spans):
        placeholder = f"parley-lift:{nonce}:{index}."  # the dot ends it, where digits may follow
        pieces += (body[position:start], placeholder.encode())
        value = memoryview(body)[start:end]
        lifted.append(_hidden(placeholder, value) if (start, end) in secrets else _lifted(placeholder, value))
        position = end
    pieces.append(body[position:])
    return Skeleton(b"".join(pieces), lifted, spans)


def splice(converted: bytes, skeleton: Skeleton, original: bytes) -> list[bytes | memoryview]:
    """Return the pieces of `converted` with the media of `original` back in place.

    Raises SpliceError.
    """
    if not skeleton.lifted:
        return [converted]
    prefix = skeleton.lifted[0].placeholder.rpartition(":")[0].encode()
    pieces: list[bytes | memoryview] = []
    position, used = 0, set[int]()
    for found in re.finditer(re.escape(prefix) + rb":(\d+)\.", converted):
        index = int(found[1])
        if index in used or index >= len(skeleton.spans):
            raise SpliceError("a media placeholder does not stand exactly once in the converted body")
        used.add(index)
        start, end = skeleton.spans[index]
        pieces += (converted[position : found.start()], memoryview(original)[start:end])
        position = found.end()
    pieces.append(converted[position:])
    return pieces


def total_bytes(pieces: Sequence[bytes | memoryview]) -> int:
    """Return the length of the pieces together."""
    return sum(len(piece) for piece in pieces)


def _spans(body: bytes) -> Iterator[tuple[int, int]]:
    position = 0
    while position + _BLOCK <= len(body):
        quote = body.find(b'"', position, position + _BLOCK)
        if quote >= 0:
            # A long string may begin here at the earliest; the block after its quote will tell.
            position = body.rfind(b'"', quote, position + _BLOCK) + 1
            continue
        start = body.rfind(b'"', 0, position) + 1
        end = body.find(b'"', position)
        if end < 0:
            return
        if start and end - start >= MIN_BYTES and _is_media(body, start, end):
            yield start, end
        position = end + 1


def _gaps(media: Sequence[tuple[int, int]], length: int) -> Iterator[tuple[int, int]]:
    """What lies between the media: the expressions below would take long over megabytes of base64."""
    position = 0
    for start, end in media:
        yield position, start
        position = end
    yield position, length


def _secrets(body: bytes, gaps: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where the credentials of MCP servers stand: `authorization`, and the values of `headers`.

    A quote inside a text is escaped, so only keys match. What else bears such a name comes back unharmed.
    """
    if all(body.find(b'"mcp"', *gap) < 0 for gap in gaps):
        return
    for gap in gaps:
        for found in _AUTHORIZATION.finditer(body, *gap):
            yield found.span(1)
        for headers in _HEADERS.finditer(body, *gap):
            for value in _VALUE.finditer(body, *headers.span(1)):
                yield value.span(1)


def _is_media(body: bytes, start: int, end: int) -> bool:
    """Whether the bytes between two quotes are one whole string value that is media."""
    if body[start - 2 : start - 1] == b"\\" or _KEY_FOLLOWS.match(body, end + 1):
        return False
    if body.find(b"\\", start, end) >= 0 or body.find(b" ", start, end) >= 0:
        return False
    if _DATA_URL.match(body, start, min(end, start + _HEAD)) is None and not _is_base64(body, start, end):
        return False
    return body[start:end].isascii()


def _is_base64(body: bytes, start: int, end: int) -> bool:
    head, tail = body[start : start + _HEAD], body[end - _HEAD : end]
    return _BASE64.fullmatch(head) is not None and b"=" not in head and _BASE64.fullmatch(tail) is not None


def _hidden(placeholder: str, value: memoryview) -> Lifted:
    """A secret leaves nothing of itself, not even a digest."""
    return Lifted(placeholder=placeholder, sha256="", length=len(value), head="")


def _lifted(placeholder: str, value: memoryview) -> Lifted:
    return Lifted(
        placeholder=placeholder,
        sha256=sha256(value).hexdigest(),
        length=len(value),
        head=bytes(value[:_HEAD]).decode("ascii"),
    )
