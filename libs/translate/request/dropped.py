"""The names of what a request lost, as a header can carry them (docs/architecture.md#guarantees)."""

import re
from collections import Counter
from collections.abc import Sequence

_MANY = 8  # of one kind; beyond it they are reported as one
_LONGEST = 4096  # bytes of all names together: clients bound the headers they take
_INDEX = re.compile(r"\[\d+\]")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.\[\]*-]")


def to_header_names(paths: Sequence[str]) -> list[str]:
    """Return the paths once each, many of one kind as one with `[*]`, in characters that a header may hold.

    Names of fields are the client's own words. What does not fit is counted in a last entry, `+n`.
    """
    kinds = Counter(map(_pattern, paths))
    names = dict.fromkeys(path if kinds[_pattern(path)] <= _MANY else _pattern(path) for path in paths)
    safe_names: list[str] = []
    room = _LONGEST
    for position, name in enumerate(names):
        safe = _UNSAFE.sub(_escaped, name[: _LONGEST + 1])  # a longer one has no room
        room -= len(safe) + 1
        if room < 0:
            return [*safe_names, f"+{len(names) - position}"]
        safe_names.append(safe)
    return safe_names


def _pattern(path: str) -> str:
    return _INDEX.sub("[*]", path)


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "replace"))
