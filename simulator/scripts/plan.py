"""The plan of an answer: everything that directives can ask for. What is left at its default the request decides."""

from dataclasses import dataclass, field

from simulator.http.framing import Framing
from simulator.http.steps import Interruption
from simulator.wire.errors import ApiError
from simulator.wire.json import Json


@dataclass(frozen=True)
class PlannedCall:
    """A tool call; empty `arguments` are synthesised from the tool's schema."""

    name: str
    arguments: str
    is_custom: bool = False


@dataclass(frozen=True)
class PlannedUse:
    """A use of a hosted tool, by the name of its maker."""

    kind: str
    query: str


@dataclass(frozen=True)
class Failure:
    """What stands in `response.error`. `is_flat` and `is_told` say how an `error` event goes before it."""

    code: str
    message: str
    is_flat: bool = False
    is_told: bool = True


@dataclass(frozen=True)
class RawAnswer:
    """An answer that no API gives: from a proxy, a balancer or another framework."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Limit:
    """Faults happen for the first `times` requests with this `key` only."""

    times: int
    key: str


@dataclass
class Plan:
    # What is answered.
    text: str | None = None
    refuses: bool = False
    commentary: list[str] = field(default_factory=list)
    calls: list[PlannedCall] = field(default_factory=list)
    uses: list[PlannedUse] = field(default_factory=list)
    outputs: list[Json] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    reasoning_tokens: int | None = None
    annotations: list[Json] = field(default_factory=list)
    speaks: bool = False
    withheld: str | None = None
    # How it ends.
    incomplete_reason: str | None = None
    stops_in_reasoning: bool = False
    failure: Failure | None = None
    # How it travels.
    pace: float = 0.0
    queued: bool = False
    polls: int = 1
    keepalive_every: int = 0
    whole_deltas: bool = False
    overlaps: bool = False
    distortions: list[str] = field(default_factory=list)
    framing: Framing = field(default_factory=Framing)
    # What goes wrong on the way.
    limit: Limit | None = None
    http_error: ApiError | None = None
    raw_answer: RawAnswer | None = None
    header_delay: float = 0.0
    resets_at_once: bool = False
    interruptions: list[Interruption | Failure] = field(default_factory=list)
