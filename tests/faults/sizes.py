"""How much is done: a full run, and a quick one that keeps the run itself from rotting."""

import msgspec


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and seconds. Faults of the walk are those of the state service and of NATS together."""

    turns: int = 1000
    faults: int = 200
    others: int = 12  # faults of the edges and the converter beside those
    talks: int = 24
    shortest: float = 0.1
    longest: float = 10.0
    pause: float = 0.9  # between two faults of the same process, on average
    think: float = 2.0  # of a client between two turns, on average
    patience: float = 100.0  # of a client with one question: longer than an open call may live
    strikes: int = 4  # of each process in its own scenario
    strike_seconds: float = 2.5  # at most
    callers: int = 6
    window: float = 3.0  # in which a stream is watched
    full_calls: int = 100  # through a stream with room for a few
    body_bytes: int = 7 * 1024 * 1024
    settle: float = 60.0  # until every record is a row
    hang: float = 6.0  # a body that is not answered by then has stopped its edge for good
    limit: float = 560.0  # of a scenario


FULL = Sizes()
QUICK = Sizes(
    turns=50,
    faults=10,
    others=1,
    talks=8,
    longest=2.0,
    pause=0.8,
    think=0.3,
    strikes=2,
    strike_seconds=0.8,
    callers=3,
    full_calls=40,
    window=1.0,
)
