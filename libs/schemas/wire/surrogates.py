"""JSON of upstreams whose texts hold halves of characters, which a strict decoder refuses.

A character beyond the first 65,536 is written in JSON as two escapes. A server that cuts texts by their UTF-16
units sends one of them at the end of a delta and the other at the beginning of the next. Others send bytes that are
no UTF-8. What is sound is decoded as always and costs nothing more; only what was refused is read here.
"""

import re
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Raw

T_co = TypeVar("T_co", covariant=True)

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # stands for a half without its other
# What a decoder raises for data that may only be torn; a ValidationError, which is one of them, never is.
TORN = (msgspec.DecodeError, UnicodeDecodeError)

# What reading JSON of others may raise. An endless nesting is no DecodeError.
UNREADABLE = (*TORN, RecursionError)

# An escape of a half without that of the other beside it, in JSON whose escaped backslashes are hidden.
_LONE = re.compile(
    rb"\\u(d[89ab][0-9a-f]{2})(?!\\ud[c-f][0-9a-f]{2})|(?<!\\ud[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE
)
_BACKSLASH = rb"\\"
_HIDDEN = b"\0\0"  # no JSON holds such bytes
_MARKS = range(0xFDD0, 0xFDF0)  # no characters, and for such a use
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)


class Decodes(Protocol[T_co]):
    """A decoder of msgspec, or one that is built on it."""

    def decode(self, data: Any, /) -> T_co: ...


def joined_halves(text: str) -> str:
    """Return `text` with halves that follow each other joined, and each of the others replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def ends_in_half(text: str) -> bool:
    """Whether the last thing in `text` is the first half of a character."""
    return "\ud800" <= text[-1:] <= "\udbff"


def mended(data: bytes | Raw) -> bytes:
    """Return the same JSON with whole characters only; what is no JSON stays none."""
    return _replaced(bytes(data), rb"\\ufffd")


def read_text(data: bytes, member: str) -> str:
    """Return a text that an object holds, with its halves. Raises msgspec.DecodeError where there is none."""
    lower = data.lower()
    free = (mark for mark in _MARKS if chr(mark).encode() not in data and rb"\u%04x" % mark not in lower)
    mark = next(free, 0xFFFD)  # a text that holds all of them is not worth more
    marked = _MEMBERS.decode(_replaced(data, rb"\\u%04x\1\2" % mark))
    first, *rest = _TEXT.decode(marked[member]).split(chr(mark))
    return first + "".join(chr(int(piece[:4], 16)) + piece[4:] for piece in rest) if mark != 0xFFFD else first


def _replaced(data: bytes, replacement: bytes) -> bytes:
    if b"\0" in data:
        return data
    hidden = _utf8(data).replace(_BACKSLASH, _HIDDEN)
    return _LONE.sub(replacement, hidden).replace(_HIDDEN, _BACKSLASH)


def _utf8(data: bytes) -> bytes:
    """Halves may also stand there as bytes, which UTF-8 forbids: they become escapes, and all else is replaced."""
    try:
        return data.decode("utf-8", "surrogatepass").encode("utf-8", "backslashreplace")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace").encode()


def sound(data: bytes) -> bytes:
    """Return JSON whose bytes are UTF-8, mended where they are not: a decoder does not look into what it keeps raw."""
    if not data.isascii():
        try:
            str(data, "utf-8")
        except UnicodeDecodeError:
            return mended(data)
    return data


def read(decoder: Decodes[T_co], data: bytes | Raw) -> T_co | None:
    """Decode, mended if need be; None for what cannot be read."""
    try:
        return decode(decoder, data)
    except UNREADABLE:
        return None


def decode(decoder: Decodes[T_co], data: bytes | Raw) -> T_co:
    """Decode, mended if need be. Raises one of `UNREADABLE`."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except TORN:
        return decoder.decode(mended(data))
