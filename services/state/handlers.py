"""Answers what other services ask about kept turns; owns no rule about when to continue."""

from typing import Protocol

from libs.runtime import metrics
from libs.runtime.call import Call
from libs.schemas.bus import (
    CommitReply,
    CommitRequest,
    ForgetReply,
    ForgetRequest,
    ResolveReply,
    ResolveRequest,
    Turn,
)


class Store(Protocol):
    """Where turns and heads are kept. All methods raise BusError when the store is away."""

    async def newest(self, scope: str, prefixes: list[str]) -> tuple[int, Turn] | None:
        """Return (index, turn) of the first of `prefixes` that is known."""

    async def put_turn(self, scope: str, prefix: str, turn: Turn) -> None:
        """Keep a turn."""

    async def delete_turn(self, scope: str, prefix: str) -> None:
        """Forget a turn."""

    async def move_head(self, scope: str, conversation: str, prefix: str, turn: Turn) -> int:
        """Make a turn the head of its conversation; return how many answers that has."""


class State:
    """Handles RESOLVE, COMMIT and FORGET. All are safe to repeat."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def resolve(self, request: ResolveRequest, call: Call) -> ResolveReply:
        """Return the newest known turn among the request's digests."""
        found = await self._store.newest(request.scope, request.prefixes)
        metrics.STATE_RESOLVES.labels("miss" if found is None else "hit").inc()
        return ResolveReply() if found is None else ResolveReply(index=found[0], turn=found[1])

    async def commit(self, request: CommitRequest, call: Call) -> CommitReply:
        """Keep the turn first, then move the head: a head never names a turn that is not there."""
        await self._store.put_turn(request.scope, request.prefix, request.turn)
        if request.conversation is None:
            return CommitReply(turns=0)
        turns = await self._store.move_head(request.scope, request.conversation, request.prefix, request.turn)
        return CommitReply(turns=turns)

    async def forget(self, request: ForgetRequest, call: Call) -> ForgetReply:
        """Drop the turn."""
        await self._store.delete_turn(request.scope, request.prefix)
        return ForgetReply()
