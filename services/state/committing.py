"""Keeps an answered turn: itself and its items, then what leads to it, then the conversation's head.

In that order nothing ever leads to what is not there. A write whose answer was lost may have happened:
what is moved by compare-and-set is read again and compared.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec

from libs.runtime import metrics
from libs.runtime.errors import BusDown
from libs.schemas.bus import CommitReply, CommitRequest, Head, StoredResponse, Turn
from libs.schemas.config import State as Settings
from services.state.keys import Keys
from services.state.records import HEAD, POINTER, TURN, KeptHead, KeptItems, KeptTurn, Member, Owner, Pointer
from services.state.stores.base import Conflict
from services.state.tenancy import Tenancy
from services.state.vault import Vault

TRIES = 16  # of compare-and-set against other writers
UNKNOWN_TRIES = 1  # how often a lost answer is looked after
RECENT = 16  # answers that a head remembers as counted


class Committing:
    """One COMMIT request of one tenant, at the time `now` in Unix seconds."""

    def __init__(self, vault: Vault, tenancy: Tenancy, settings: Settings, keys: Keys, now: int) -> None:
        self._vault = vault
        self._tenancy = tenancy
        self._settings = settings
        self._keys = keys
        self._now = now

    async def commit(self, request: CommitRequest) -> CommitReply:
        """Keep the turn; safe to repeat."""
        turn, keys = request.turn, self._keys
        items = request.items if sum(map(len, request.items)) <= self._settings.max_items_bytes else []
        # All keys first: a request with a bad digest must write nothing.
        turn_key, items_key, loose_key = keys.turn(turn.entry), keys.items(turn.entry), keys.loose(request.loose)
        head_key = keys.head(turn.conversation, request.scope)
        if await self._full(turn_key):
            metrics.STATE_COMMITS.labels("tenant_full").inc()
            return CommitReply(refused="tenant_full")
        kept = KeptTurn(turn=turn, loose=request.loose, items_bytes=sum(map(len, items)))
        writes = [self._vault.write(turn_key, kept, self._ttl(turn.stored))]
        if items:
            expires = self._now + self._settings.items_ttl_seconds
            record = KeptItems(response_id=turn.response_id, items=items, expires=expires)
            writes.append(self._vault.write(items_key, record, self._settings.items_ttl_seconds))
        await asyncio.gather(*writes)
        self._tenancy.added(keys)
        await asyncio.gather(self._point(loose_key, turn), *self._list(request))
        turns = await self._move(head_key, turn)
        metrics.STATE_COMMITS.labels("without_items" if len(items) < len(request.items) else "kept").inc()
        return CommitReply(turns=turns)

    async def _full(self, turn_key: str) -> bool:
        if await self._tenancy.turns(self._keys) < self._settings.max_tenant_turns:
            return False
        # A repeated commit found room the first time, and may have taken the last.
        return (await self._vault.get(turn_key, TURN)).record is None

    def _ttl(self, stored: bool) -> int:
        return self._settings.link_ttl_seconds if stored else self._settings.items_ttl_seconds

    def _list(self, request: CommitRequest) -> list[Coroutine[Any, Any, None]]:
        """Write what DELETE finds the turn by, and who owns its response."""
        turn = request.turn
        stored = StoredResponse(upstream=turn.upstream, response_id=turn.response_id) if turn.stored else None
        records: dict[str, msgspec.Struct] = {
            self._keys.member(turn.conversation, turn.entry, turn.response_id): Member(
                entry=turn.entry, loose=request.loose, stored=stored
            )
        }
        if stored is not None:
            records[self._keys.owner(turn.response_id)] = Owner(upstream=turn.upstream)
        ttl = self._ttl(turn.stored)
        return [self._vault.write(key, record, ttl) for key, record in records.items()]

    async def _point(self, key: str, turn: Turn) -> None:
        """Have the loose key lead to the turn; to none for good, where it leads to another already."""
        expect, pointer = 0, Pointer(entry=turn.entry)
        for _ in range(TRIES):
            try:
                return await self._vault.swap(key, pointer, expect, self._ttl(turn.stored))
            except Conflict:
                present, expect = await self._vault.get(key, POINTER)
                other = present is not None and present.entry != turn.entry
                pointer = Pointer(entry=None if other else turn.entry)
        raise BusDown("the pointer to the turn is moved by too many writers")

    async def _move(self, key: str, turn: Turn) -> int:
        """Make the turn the head of its conversation, and return how many answers that has.

        Parallel branches both succeed: the later one is the head.
        """
        unknown = 0
        for _ in range(TRIES):
            present, revision = await self._vault.get(key, HEAD)
            if present is not None and _answer(turn) in present.recent:
                return int(present.head.turns)
            stored = turn.stored or (present is not None and present.head.stored)
            moved = next_head(present, turn, stored, self._now, self._ttl(stored))
            try:
                await self._vault.swap(key, moved, revision, self._ttl(stored))
                return moved.head.turns
            except Conflict:
                metrics.STATE_HEAD_CONFLICTS.inc()
            except BusDown:
                unknown += 1
                if unknown > UNKNOWN_TRIES:
                    raise
        raise BusDown("the head of the conversation is moved by too many writers")


def _answer(turn: Turn) -> str:
    return f"{turn.entry}.{turn.response_id}"


def next_head(present: KeptHead | None, turn: Turn, stored: bool, now: int, ttl_seconds: int) -> KeptHead:
    """Return the head after `turn`: an addition to the present one, another try of it, or a branch."""
    before = None
    if present is not None and turn.start == present.end:
        before = present.head.entry
    elif present is not None and turn.start == present.start:
        before = present.head.before
    head = Head(
        conversation=turn.conversation,
        entry=turn.entry,
        before=before,
        response_id=turn.response_id,
        model=turn.model,
        upstream=turn.upstream,
        stored=stored,
        turns=1 if present is None else present.head.turns + 1,
        created=turn.created if present is None else present.head.created,
        updated=turn.created,
    )
    recent = [_answer(turn), *(() if present is None else present.recent)][:RECENT]
    return KeptHead(head=head, start=turn.start, end=turn.end, expires=now + ttl_seconds, recent=recent)
