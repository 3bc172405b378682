"""Are the arguments that a client echoes those that the model gave? (docs/continuity.md#how-a-turn-is-known-again)

Clients re-serialise them, and drop keys that their schema does not know; both leave the call what it
was. An outline is the set of digests of all parts of a JSON value, so that a value with fewer keys has
a smaller outline. It says nothing to who reads it.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from libs.schemas.wire.surrogates import UNREADABLE

_SIZE = 8
MAX_PARTS = 128  # beyond it only the whole is compared
_EXACT = 2**53  # integers up to here are the same number in every JSON library
_DECODER = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder(order="sorted")


def canonical(arguments: str) -> bytes:
    """Return one form for all ways to write the same arguments; the text itself where it is no JSON."""
    return _canonical(_parsed(arguments))


def outline(arguments: str) -> bytes:
    """Return the digests of all parts of `arguments`, 8 bytes each, the whole alone where they are many."""
    value = _parsed(arguments)
    parts: dict[bytes, None] = {}
    for part in _parts("", value):
        parts[part] = None
        if len(parts) > MAX_PARTS:
            return _digest(b"whole", _canonical(value))
    return b"".join(parts)


def agrees(arguments: str, kept: bytes) -> bool:
    """Whether echoed `arguments` are those of the outline `kept`, or a part of them."""
    known = _split(kept)
    echoed = _split(outline(arguments))
    return echoed <= known or _digest(b"whole", canonical(arguments)) in known


def _split(outline_: bytes) -> set[bytes]:
    return {outline_[k : k + _SIZE] for k in range(0, len(outline_), _SIZE)}


def _parsed(arguments: str) -> Any:
    """The value; a text that is no JSON stands for itself, and no arguments are an empty object."""
    if not arguments.strip():
        return {}
    try:
        return _normal(_DECODER.decode(arguments))
    except UNREADABLE:
        return arguments


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _normal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_normal(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return value


def _canonical(value: Any) -> bytes:
    return _ENCODER.encode(value)


def _parts(path: str, value: Any) -> Iterator[bytes]:
    """A digest for each container and each leaf, with the way to it; a key cannot pass for a step of the way."""
    if isinstance(value, dict):
        yield _digest(path.encode("utf-8", "surrogatepass"), b"{}")
        for key, inner in value.items():
            yield from _parts(f"{path}/{len(key)}:{key}", inner)
    elif isinstance(value, list):
        yield _digest(path.encode("utf-8", "surrogatepass"), b"[%d]" % len(value))
        for index, inner in enumerate(value):
            yield from _parts(f"{path}/#{index}", inner)
    else:
        yield _digest(path.encode("utf-8", "surrogatepass"), _canonical(value))


def _digest(path: bytes, value: bytes) -> bytes:
    return blake2b(value, digest_size=_SIZE, person=blake2b(path, digest_size=16).digest()).digest()
