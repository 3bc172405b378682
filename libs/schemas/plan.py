"""What the converter hands the edge besides the upstream body: all that the answer's translation needs.

The edge never re-reads the request. The two run in different processes and, during a rollout, in
different versions: a convert request names the plan version its edge knows, and new fields have
defaults (docs/architecture.md#why-it-is-cut-like-this).
"""

from typing import Literal

import msgspec

PLAN_VERSION = 2

ContinuityMode = Literal["replay", "chain", "none"]
ReasoningField = Literal["reasoning_content", "reasoning", "both", "none"]
Format = Literal["chat", "responses"]


class Continuity(msgspec.Struct, frozen=True, kw_only=True):
    """How a request was continued, or the one reason why not; sent in `x-parley-continuity`.

    `matched` answers of the history were known, `new_items` are the input items that go up.
    """

    mode: ContinuityMode = "none"
    reason: str
    matched: int = 0
    new_items: int = 0


class ContinuedTurn(msgspec.Struct, frozen=True, kw_only=True, rename={"turn_key": "entry"}):
    """A kept turn that a request continues, by replay or chaining: its key, and the ids of its output items."""

    turn_key: str
    ids: list[str] = []


class CommitPlan(msgspec.Struct, frozen=True, kw_only=True, rename={"chainable": "parent"}):
    """What the commit needs of the request, sent once the answer has ended.

    Digests are hex: of the owner (`scope`), of the history up to the answer (`asked`), of its part up to
    the newest answer in it (`start`), and of instructions and tool names (`context`). `chainable` says
    that a later request may chain on the answer, `stored` that the upstream keeps it.
    """

    scope: str
    asked: str
    start: str
    context: str
    conversation: str
    upstream: str
    account: str = ""  # not used: an edge of the release before cannot read a plan without it
    model: str
    chainable: bool = False
    stored: bool = False


class MarkPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request is marked as open, so that no partial history continues an older turn meanwhile.

    `asked` and `start` are the digests of the `CommitPlan`. With `known` it is marked only in a conversation that
    has a head already.
    """

    scope: str
    conversation: str
    asked: str = ""
    start: str = ""
    known: bool = False


class StreamPlan(
    msgspec.Struct, frozen=True, kw_only=True, rename={"continued": "replayed", "message_indexes": "items"}
):
    """How to translate the answer of one request.

    `items[k]` is the index of the message that `input[k]` of the upstream body came from, and
    `renames` maps upstream parameter names to those the client used (docs/mapping.md#paths-in-errors). `choices` is
    the client's `n`, `stop` its stop sequences (docs/mapping.md#several-choices, #stop-sequences). `functions` says
    that the client speaks the legacy form of tool calls (docs/mapping.md#legacy-functions), `logprobs` that it asked
    for them (docs/mapping.md#log-probabilities), `structured` that the answer's text must be JSON and nothing else
    (docs/mapping.md#content).
    `continued` are the kept turns that the request goes on from, by replay or by chaining. `delta` says that the
    request holds only what is new, and `mark` where the call is marked as open, if anything could follow it. `parent`
    is the response that the request goes on from, as it is sent upstream; with `only_new` the messages mean nothing
    without it.
    """

    stream: bool
    format: Format = "chat"
    include_usage: bool = False
    structured: bool = False
    logprobs: bool = False
    functions: bool = False
    reasoning_field: ReasoningField = "reasoning_content"
    choices: int = 1
    stop: list[str] = []
    message_indexes: list[int] = []
    renames: dict[str, str] = {}
    continued: list[ContinuedTurn] = []
    commit: CommitPlan | None = None
    delta: bool = False
    mark: MarkPlan | None = None
    parent: str | None = None
    only_new: bool = False
