"""How much is done: a full run, and a quick one that shows only that everything works."""

import msgspec


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and times; a window is what is measured of a load that goes on."""

    rounds: int = 3
    streams: int = 100
    pace_ms: int = 20
    settle_seconds: float = 1.0
    window_seconds: float = 5.0
    calls: int = 1500
    concurrency: int = 8
    records_seconds: float = 2.5  # until the records of the last call are rows
    first_token_calls: int = 400
    piled_streams: int = 200
    history_calls: int = 150
    histories: tuple[int, ...] = (1, 10, 50, 200, 1000)
    image_bytes: int = 20 * 1024 * 1024
    uploads: int = 3
    upload_window_seconds: float = 3.0
    turn_messages: int = 200
    turn_calls: int = 60
    resolved: tuple[int, ...] = (1, 10, 100)
    state_calls: int = 150
    kept_turns: int = 100
    filled_turns: int = 100_000
    fill_seconds: float = 180.0


FULL = Sizes()
QUICK = Sizes(
    rounds=1,
    streams=3,
    settle_seconds=0.1,
    window_seconds=0.3,
    calls=10,
    concurrency=2,
    records_seconds=0.1,
    first_token_calls=5,
    piled_streams=5,
    history_calls=3,
    histories=(1, 10),
    image_bytes=256 * 1024,
    uploads=1,
    upload_window_seconds=0.8,
    turn_messages=14,
    turn_calls=3,
    resolved=(1, 10),
    state_calls=3,
    kept_turns=3,
    filled_turns=200,
    fill_seconds=10.0,
)
