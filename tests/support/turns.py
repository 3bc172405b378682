"""A kept turn, for tests that need just any."""

from libs.schemas.bus import Turn

TURN = Turn(
    entry="e0",
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
    parent=True,
    stored=True,
    created=0,
    expires=1,
)
