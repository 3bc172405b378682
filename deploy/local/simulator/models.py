"""Models: the few that are listed, and the dated name under which any model answers."""

import re

from deploy.local.simulator.wire import Json

DATE_SUFFIX = "-2026-08-07"
_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_CREATED = 1786060800
_LISTED = ("gpt-5.6-sol", "gpt-5.5", "gpt-5", "gpt-5-mini", "gpt-4.1", "gpt-4o", "o4-mini", "text-embedding-3-small")


def dated(model: str) -> str:
    """The name in an answer: the requested one with a date, unless it has one."""
    return model if _DATED.search(model) else model + DATE_SUFFIX


def to_model(name: str) -> Json:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "system"}


def listed() -> Json:
    return {"object": "list", "data": [to_model(name) for name in _LISTED]}
