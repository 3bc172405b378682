"""JSON of upstreams whose texts hold halves of characters, which a strict decoder refuses.

A character beyond the first 65,536 is written in JSON as two escapes. A server that cuts texts by their UTF-16
units sends one of them at the end of a delta and the other at the beginning of the next. Others send bytes that are
no UTF-8. What is sound is decoded as always and costs nothing more; only what was refused is read here.
"""

import json
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Raw

T_co = TypeVar("T_co", covariant=True)

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # stands for a half without its other
# What a decoder raises for data that may only be torn; a ValidationError, which is one of them, never is.
TORN = (msgspec.DecodeError, UnicodeDecodeError)


class _Decodes(Protocol[T_co]):
    def decode(self, data: Any, /) -> T_co: ...


def whole(text: str) -> str:
    """Return `text` with halves that follow each other joined, and each of the others replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def ends_in_half(text: str) -> bool:
    """Whether the last thing in `text` is the first half of a character."""
    return "\ud800" <= text[-1:] <= "\udbff"


def read(data: bytes | Raw) -> Any:
    """Return the value of some JSON; its strings may hold halves. Raises msgspec.DecodeError where it is no JSON."""
    try:
        return json.loads(_characters(bytes(data)))
    except ValueError as error:
        raise msgspec.DecodeError(f"JSON is malformed: {error}") from None


def mended(data: bytes | Raw) -> bytes:
    """Return the same JSON with whole characters only. Raises msgspec.DecodeError where it is none."""
    try:
        text = json.dumps(read(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise msgspec.DecodeError(f"JSON is malformed: {error}") from None
    return whole(text).encode()


def sound(data: bytes) -> bytes:
    """Return JSON whose bytes are UTF-8, mended where they are not: a decoder does not look into what it keeps raw."""
    if not data.isascii():
        try:
            str(data, "utf-8")
        except UnicodeDecodeError:
            return mended(data)
    return data


def decode(decoder: _Decodes[T_co], data: bytes | Raw) -> T_co:
    """Decode, mended if need be. Raises msgspec.DecodeError."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except TORN:
        return decoder.decode(mended(data))


def _characters(data: bytes) -> str:
    """Halves may also stand there as bytes, which UTF-8 forbids."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")
