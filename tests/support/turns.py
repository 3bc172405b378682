"""Kept turns: just any, and those of a conversation by their number."""

import time
from typing import Any

from libs.schemas.bus.state import Turn

TURN = Turn(
    key="e0",
    response_id="resp_1",
    upstream="a",
    account="acc",
    model="m",
    prefix="a0",
    end="b0",
    asked="c0",
    start="d0",
    context="f0",
    conversation="c",
    chainable=True,
    stored=True,
    created=0,
    expires=1,
)


def turn_of(number: int, **fields: Any) -> Turn:
    """Return the turn with this number of the conversation `c`, which follows the one before it."""
    now = int(time.time())
    made = dict[str, Any](
        key=f"e{number:x}",
        response_id=f"resp_{number}",
        upstream="up",
        account="a",
        model="m",
        prefix=f"p{number}",
        end=f"h{number}",
        asked="q",
        start=f"h{number - 1}",
        context="x",
        conversation="c",
        chainable=True,
        stored=False,
        created=now,
        expires=now + 3600,
    )
    return Turn(**made | fields)
