"""The names of what a request lost, as a header can carry them (docs/architecture.md#guarantees)."""

import re
from collections import Counter
from collections.abc import Sequence

_MANY = 8  # of one kind; beyond it they are told as one
_LONGEST = 4096  # bytes of all names together: clients bound the headers they take
_INDEX = re.compile(r"\[\d+\]")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.\[\]*-]")


def to_told(paths: Sequence[str]) -> list[str]:
    """Return the paths once each, many of one kind as one with `[*]`, in characters that a header may hold.

    Names of fields are the client's own words. What does not fit is counted in a last entry, `+n`.
    """
    kinds = Counter(map(_kind, paths))
    names = dict.fromkeys(path if kinds[_kind(path)] <= _MANY else _kind(path) for path in paths)
    told: list[str] = []
    room = _LONGEST
    for position, name in enumerate(names):
        safe = _UNSAFE.sub(_escaped, name[: _LONGEST + 1])  # a longer one has no room
        room -= len(safe) + 1
        if room < 0:
            return [*told, f"+{len(names) - position}"]
        told.append(safe)
    return told


def _kind(path: str) -> str:
    return _INDEX.sub("[*]", path)


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "replace"))
