"""What the load generator can be told to do, and what it tells of it."""

import msgspec

from tests.bench.requests import Request


class Hold(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Open `streams` streams, let them settle, then measure for `seconds`.

    `begin_at`, of the monotonic clock, delays the window, so that two generators can agree on it.
    """

    port: int
    request: Request
    streams: int
    settle_seconds: float
    seconds: float
    pids: dict[str, int] = {}
    begin_at: float = 0.0


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a window saw: events and reads of all streams, CPU seconds, and the longest gap, in seconds."""

    events: int
    reads: int
    cpu: dict[str, float]
    longest_gap: float


class Calls(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Make `calls` calls, `concurrency` at a time; then wait for what follows a call elsewhere."""

    port: int
    request: Request
    calls: int
    concurrency: int
    settle_seconds: float = 0.0
    pids: dict[str, int] = {}
    begin_at: float = 0.0


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds of all calls together, over `seconds`."""

    cpu: dict[str, float]
    seconds: float


class FirstToken(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Call each target in turn, `calls` times."""

    targets: list[tuple[int, Request]]
    calls: int


class Pile(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Open `streams` more streams, `times` times, and read the memory of `pid` after each."""

    port: int
    request: Request
    streams: int
    times: int
    settle_seconds: float
    pid: int


Job = Hold | Calls | FirstToken | Pile
