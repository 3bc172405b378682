"""Takes long media out of a JSON body and puts it back into another, without parsing either.

A string is lifted if it is long, by its start a data URL or base64, and stands where a chat body has media: never a
text, a name or an id. Both directions are linear: the search steps over the body in blocks and looks
closer only where a block holds no quote (docs/architecture.md#why-it-is-cut-like-this).
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256

import msgspec

from libs.schemas.bus.convert import Lifted

MIN_BYTES = 16 * 1024
_BLOCK = MIN_BYTES // 2  # any longer run without a quote covers at least one whole block
_HEAD = 256
_REACH = 4096  # how far before a string its key is looked for, and the key of the object that it stands in
_INDEX_DIGITS = 9
_SPACE = b" \t\r\n"
_DATA_URL = re.compile(rb"data:[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(?:;[A-Za-z0-9=._+-]++)*+,")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]*={0,2}")
# The keys of media, and those of the objects that the first two must stand in.
_PLACES: dict[bytes, tuple[bytes, ...] | None] = {
    b"url": (b"image_url",),
    b"data": (b"input_audio", b"audio"),
    b"image_url": None,
    b"file_data": None,
}


class Skeleton(msgspec.Struct, frozen=True):
    """A body without its media: `body` is JSON with placeholders, `values` what each of them stands for."""

    body: bytes
    nonce: str
    lifted: list[Lifted]
    values: list[bytes | memoryview]


class SpliceError(ValueError):
    """A placeholder stands in the converted body twice, or one that was never issued does."""


def lift(body: bytes, nonce: str) -> Skeleton:
    """Return `body` without its long media strings.

    `nonce` must be random, at least 128 bits in hex.
    """
    pieces: list[bytes] = []
    lifted: list[Lifted] = []
    values: list[bytes | memoryview] = []
    position = 0
    for start, end in _spans(body):
        name, value = placeholder(nonce, len(values)), memoryview(body)[start:end]
        pieces += (body[position:start], name.encode())
        lifted.append(_lifted(name, value))
        values.append(value)
        position = end
    if not values:
        return Skeleton(body, nonce, [], [])
    pieces.append(body[position:])
    return Skeleton(b"".join(pieces), nonce, lifted, values)


def placeholder(nonce: str, index: int) -> str:
    """Return what stands for the value of this index."""
    return f"{_prefix(nonce)}{index}."  # the dot ends it, where digits may follow


def splice(converted: bytes, skeleton: Skeleton) -> list[bytes | memoryview]:
    """Return the pieces of `converted` with the values of the skeleton back in place.

    Raises SpliceError.
    """
    prefix = _prefix(skeleton.nonce).encode()
    pieces: list[bytes | memoryview] = []
    position, used = 0, set[int]()
    while skeleton.values and (found := converted.find(prefix, position)) >= 0:
        begins = found + len(prefix)
        ends = converted.find(b".", begins, begins + _INDEX_DIGITS + 1)
        index = converted[begins:ends] if ends >= 0 else b""
        if not index.isdigit() or int(index) in used or int(index) >= len(skeleton.values):
            raise SpliceError("a media placeholder does not stand exactly once in the converted body")
        used.add(int(index))
        pieces += (converted[position:found], skeleton.values[int(index)])
        position = ends + 1
    pieces.append(converted[position:])
    return pieces


def total_bytes(pieces: Sequence[bytes | memoryview]) -> int:
    """Return the length of the pieces together."""
    return sum(len(piece) for piece in pieces)


def _prefix(nonce: str) -> str:
    return f"parley-lift:{nonce}:"


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


def _is_media(body: bytes, start: int, end: int) -> bool:
    """Whether the bytes between two quotes are one whole string that is media, in a place of media."""
    if not _is_place(body, start):
        return False
    if body.find(b"\\", start, end) >= 0 or body.find(b" ", start, end) >= 0:
        return False
    if _DATA_URL.match(body, start, min(end, start + _HEAD)) is None and not _is_base64(body, start, end):
        return False
    return body[start:end].isascii()


def _is_base64(body: bytes, start: int, end: int) -> bool:
    head, tail = body[start : start + _HEAD], body[end - _HEAD : end]
    return _BASE64.fullmatch(head) is not None and b"=" not in head and _BASE64.fullmatch(tail) is not None


def _is_place(body: bytes, start: int) -> bool:
    """Whether the string that begins at `start` is the value of one of `_PLACES`, as far as `_REACH` tells."""
    before, key = _key(body[max(0, start - 1 - _REACH) : start - 1])
    if key not in _PLACES:
        return False
    owners = _PLACES[key]
    if owners is None:
        return True
    begins = before.rfind(b"{")
    return begins >= 0 and b"}" not in before[begins:] and _key(before[:begins])[1] in owners


def _key(before: bytes) -> tuple[bytes, bytes]:
    """What stands before the key that `before` ends with, and the key; empty where it ends with none."""
    before = before.rstrip(_SPACE)
    if not before.endswith(b":"):
        return b"", b""
    before = before[:-1].rstrip(_SPACE)
    begins = before.rfind(b'"', 0, max(len(before) - 1, 0))
    if begins < 0 or not before.endswith(b'"') or before[begins - 1 : begins] == b"\\":
        return b"", b""
    return before[:begins], before[begins + 1 : -1]


def _lifted(placeholder: str, value: memoryview) -> Lifted:
    return Lifted(
        placeholder=placeholder,
        sha256=sha256(value).hexdigest(),
        length=len(value),
        start=bytes(value[:_HEAD]).decode("ascii"),
    )
