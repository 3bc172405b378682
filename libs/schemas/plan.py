"""What the converter hands the edge besides the upstream body: all that the answer's translation needs.

The edge never re-reads the request. The two run in different processes and, during a rollout, in
different versions: a convert request names the plan version its edge knows, and new fields have
defaults (design, "The path of one chat call").
"""

from typing import Literal

import msgspec

PLAN_VERSION = 1

ContinuityMode = Literal["replay", "chain", "none"]
ReasoningField = Literal["reasoning_content", "reasoning", "both", "none"]
Format = Literal["chat", "responses"]


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
    `renames` maps upstream parameter names to those the client used (G.4). `choices` is the client's
    `n`, `stop` its stop sequences (A.7, A.8). `functions` says that the client speaks the legacy form of
    tool calls (A.6), `logprobs` that it asked for them (B.6), `structured` that the answer's text must be
    JSON and nothing else (B.2.1). `forced_tool` says that one named tool was forced (B.3).
    """

    version: int = PLAN_VERSION
    stream: bool
    format: Format = "chat"
    include_usage: bool = False
    structured: bool = False
    logprobs: bool = False
    functions: bool = False
    forced_tool: bool = False
    reasoning_field: ReasoningField = "reasoning_content"
    choices: int = 1
    stop: list[str] = []
    items: list[int] = []
    renames: dict[str, str] = {}
    commit: CommitPlan | None = None
