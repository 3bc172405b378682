"""Keeps turns and conversation heads in JetStream key-value buckets.

A turn is immutable and found by the digest of its history; a head moves by compare-and-set. Both are
MessagePack. A write whose answer never came may have happened: heads are read again and compared.
"""

import asyncio
from collections.abc import Awaitable
from hashlib import blake2b
from typing import TypeVar

import msgspec
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError

from libs.runtime import metrics
from libs.runtime.errors import BusDown
from libs.runtime.jetstream import KeyValue, RevisionConflict
from libs.schemas.bus import Head, Turn
from libs.schemas.subjects import HEADS, TURNS

T = TypeVar("T")

MAX_CANDIDATES = 32  # of the newest answers of a history; an older one would hardly save anything
HEAD_TRIES = 8

_ENCODER = msgspec.msgpack.Encoder()
_TURN = msgspec.msgpack.Decoder(Turn)
_HEAD = msgspec.msgpack.Decoder(Head)


class JetStreamStore:
    """Turns and heads of all tenants; every key begins with the scope of its owner."""

    def __init__(self, js: JetStreamContext, turn_ttl_seconds: int) -> None:
        self._turns = KeyValue(js, TURNS)
        self._heads = KeyValue(js, HEADS)
        self._ttl = turn_ttl_seconds

    async def newest(self, scope: str, prefixes: list[str]) -> tuple[int, Turn] | None:
        """Return (index, turn) of the first of `prefixes` that is known.

        Replicas may lag behind a write: the very newest is asked again from the leader.
        """
        candidates = prefixes[:MAX_CANDIDATES]
        found = await asyncio.gather(*(self._turn(scope, prefix, leader=False) for prefix in candidates))
        if candidates and found[0] is None:
            found[0] = await self._turn(scope, candidates[0], leader=True)
        return next(((index, turn) for index, turn in enumerate(found) if turn is not None), None)

    async def _turn(self, scope: str, prefix: str, *, leader: bool) -> Turn | None:
        entry = await _guarded(self._turns.get(f"{scope}.{prefix}", leader=leader))
        return None if entry is None else _TURN.decode(entry[0])

    async def put_turn(self, scope: str, prefix: str, turn: Turn) -> None:
        """Keep a turn; a later one with the same history replaces it, for it says the same."""
        await _guarded(self._turns.put(f"{scope}.{prefix}", _ENCODER.encode(turn), ttl_seconds=self._ttl))

    async def delete_turn(self, scope: str, prefix: str) -> None:
        """Forget a turn."""
        await _guarded(self._turns.delete(f"{scope}.{prefix}"))

    async def move_head(self, scope: str, conversation: str, prefix: str, turn: Turn) -> int:
        """Make `turn` the head of its conversation, and return how many answers that has.

        Parallel branches both succeed: the later one is the head. Raises BusDown when the bucket
        does not answer.
        """
        key = f"{scope}.{blake2b(conversation.encode(), digest_size=16).hexdigest()}"
        for _ in range(HEAD_TRIES):
            entry = await _guarded(self._heads.get(key, leader=True))
            head, revision = (None, 0) if entry is None else (_HEAD.decode(entry[0]), entry[1])
            if head is not None and head.response_id == turn.response_id:
                return head.turns  # an earlier try was applied, though its answer was lost
            moved = Head(
                response_id=turn.response_id,
                prefix=prefix,
                turns=1 if head is None else head.turns + 1,
                updated=turn.created,
            )
            try:
                await _guarded(self._heads.put(key, _ENCODER.encode(moved), expect=revision, ttl_seconds=self._ttl))
                return moved.turns
            except RevisionConflict:
                metrics.STATE_HEAD_CONFLICTS.inc()
        raise BusDown("the head of the conversation is moved by too many writers")


async def _guarded(operation: Awaitable[T]) -> T:
    """Await a JetStream operation; its failures are the bus's."""
    try:
        return await operation
    except (NatsError, APIError, OSError, TimeoutError) as error:
        raise BusDown(f"JetStream: {type(error).__name__}") from None
