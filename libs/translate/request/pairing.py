"""Pairs tool calls with their results, and gives both ids that the Responses API takes.

Chat pairs results with the calls right before them; Responses pairs by id over the whole input, where
no id may be long, or be that of two turns.

See docs/mapping.md#tool-calls-and-results.
"""

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from libs.schemas.wire.chat import ToolCall
from libs.translate.errors import InvalidRequest
from libs.translate.ids import APPROVAL

_APPROVAL_ID = "mcpr_"


class Pair(msgspec.Struct, frozen=True):
    """A call as its result must name it: `kind` is `function`, `custom` or `approval`."""

    id: str
    kind: str


class ToolCallPairs:
    """The calls of one history, message by message."""

    def __init__(self, max_characters: int, *, continues: bool, approvals: bool) -> None:
        self._max_characters = max_characters
        self._continues = continues
        self._approvals = approvals
        self._turns = Counter[str]()  # how many turns had a call of this id
        self._pairs: dict[str, Pair] = {}  # of the newest turn with calls
        self._open: set[str] = set()
        self._caller = 0

    def ask(self, index: int, calls: Sequence[ToolCall]) -> list[Pair]:
        """Take the calls of the assistant message at `index`."""
        pairs = [self._pair(call) for call in calls]
        self._pairs = {call.id: pair for call, pair in zip(calls, pairs, strict=True)}
        self._turns.update(self._pairs.keys())
        self._open = set(self._pairs)
        self._caller = index
        return pairs

    def answer(self, call_id: str | None, where: str) -> Pair:
        """Take a result, whose id stands at `where`. Raises InvalidRequest for one without its call."""
        pair = self._pairs.get(call_id or "")
        if pair is not None and call_id is not None:
            self._open.discard(call_id)
            return pair
        if self._continues and call_id and not self._pairs:  # the call is in what the client names
            return Pair(call_id, "approval" if call_id.startswith(_APPROVAL_ID) else "function")
        raise InvalidRequest(
            "Invalid parameter: a message with role 'tool' must answer a preceding message with 'tool_calls'.",
            where if self._pairs else f"{where.rpartition('.')[0]}.role",
        )

    def close(self) -> None:
        """End the run of results. Raises InvalidRequest when a call has none."""
        if self._open:
            raise InvalidRequest(
                "An assistant message with 'tool_calls' must be followed by tool messages that answer each "
                f"'tool_call_id'. These have no answer: {', '.join(sorted(self._open))}",
                f"messages[{self._caller}].tool_calls",
            )
        self._pairs = {}

    def _pair(self, call: ToolCall) -> Pair:
        function = call.function
        if self._approvals and function is not None and function.name == APPROVAL:
            return Pair(call.id, "approval")  # not a call but an item, whose id is the upstream's own
        kind = "custom" if call.type == "custom" else "function"
        turn = self._turns[call.id]
        if turn == 0 and len(call.id) <= self._max_characters:
            return Pair(call.id, kind)
        digest = sha256(f"{turn}:{call.id}".encode()).hexdigest()
        return Pair(f"call_{digest}"[: self._max_characters], kind)
