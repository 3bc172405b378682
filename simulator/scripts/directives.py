"""Reading directives: `[[name]]` and `[[name: value]]` in a text, in order, and the text without them."""

import json
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

_START = re.compile(r"\[\[([a-z_-]+)(:\s?)?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s)?")
_UNITS = {"ms": 0.001, "s": 1.0, None: 1.0}
_JSON = json.JSONDecoder()


@dataclass(frozen=True)
class Directive:
    name: str
    value: str = ""


def parse(text: str, known: Container[str] | None = None) -> tuple[list[Directive], str]:
    """The directives of a text, and what is left of it.

    With `known`, other names are plain text, as an unclosed `[[` always is: a person may write a wiki link.
    """
    found: list[Directive] = []
    left: list[str] = []
    position = 0
    while (start := _START.search(text, position)) is not None:
        end = _value_end(text, start.end())
        is_valued = start.group(2) is not None
        if end < 0 or (not is_valued and end != start.end()) or (known is not None and start.group(1) not in known):
            left.append(text[position : start.end()])
            position = start.end()
            continue
        found.append(Directive(start.group(1), text[start.end() : end]))
        left.append(text[position : start.start()])
        position = end + 2
    left.append(text[position:])
    return found, "".join(left).strip()


def _value_end(text: str, start: int) -> int:
    """Where the closing brackets are. JSON in the value is skipped whole: it may hold brackets of its own."""
    close = text.find("]]", start)
    brace = text.find("{", start)
    if 0 <= brace < close:
        try:
            _, after = _JSON.raw_decode(text, brace)
        except ValueError:
            return close
        return text.find("]]", after)
    return close


def seconds(value: str) -> float:
    """`20ms`, `5s`, `0.5`: seconds; 0 when it is no duration."""
    match = _DURATION.fullmatch(value.strip())
    return float(match.group(1)) * _UNITS[match.group(2)] if match else 0.0


def name_and_rest(value: str) -> tuple[str, str]:
    """The first word of a value and what follows it."""
    name, _, rest = value.strip().partition(" ")
    return name, rest.strip()


def whole_number(value: str) -> int:
    """A count; 0 when the value is none."""
    return int(value) if value.strip().isdecimal() else 0


def compact_json(value: str) -> Any:
    """The same JSON text without spaces between its parts, as models write it; other text as it is."""
    try:
        return json.dumps(json.loads(value), separators=(",", ":"), ensure_ascii=False)
    except ValueError:
        return value
