"""What the converter hands the edge besides the upstream body: all that the answer's translation needs.

The edge never re-reads the request. The two run in different processes and, during a rollout, in
different versions: a convert request names the plan version its edge knows, and new fields have
defaults (design, "The path of one chat call").
"""

from typing import Literal

import msgspec

PLAN_VERSION = 1

ContinuityMode = Literal["replay", "chain", "none"]


class Continuity(msgspec.Struct, frozen=True, kw_only=True):
    """How a request was continued, or the one reason why not; told in `x-parley-continuity`."""

    mode: ContinuityMode = "none"
    reason: str
    matched: int = 0
    new_items: int = 0


class CommitPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the state service is told once the answer is whole.

    `scope` and `prefix` are hex digests: of the owner, and of the history up to the answer (F.2).
    `conversation` is the name the client gave, if it gave one.
    """

    scope: str
    prefix: str
    conversation: str | None = None
    account: str
    model: str


class StreamPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How to translate the answer of one request.

    `items[k]` is the index of the message that `input[k]` of the upstream body came from, and
    `renames` maps upstream parameter names to those the client used (G.4).
    """

    version: int = PLAN_VERSION
    stream: bool
    include_usage: bool = False
    structured: bool = False
    items: list[int] = []
    renames: dict[str, str] = {}
    commit: CommitPlan | None = None
