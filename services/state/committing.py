"""Keeps an answered turn: itself and its items, then what leads to it, then the conversation's head.

In that order nothing ever leads to what is not there.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import msgspec

from libs.runtime import metrics
from libs.schemas.bus.state import CommitReply, CommitRequest, MarkRequest, StoredResponse, Turn
from libs.schemas.config import Retention
from libs.schemas.config import State as Settings
from services.state import heads
from services.state.conversations import of_entries
from services.state.keys import Keys
from services.state.moving import TRIES, move
from services.state.records import HEAD, POINTER, TURN, KeptHead, KeptItems, KeptTurn, Member, Owner, Pointer
from services.state.stores.base import Conflict, Contended
from services.state.tenancy import Tenancy
from services.state.vault import Vault


class Committing:
    """One COMMIT request of one tenant, at the time `now` in Unix seconds."""

    def __init__(
        self, vault: Vault, tenancy: Tenancy, settings: Settings, retention: Retention, keys: Keys, now: int
    ) -> None:
        self._vault = vault
        self._tenancy = tenancy
        self._settings = settings
        self._retention = retention
        self._keys = keys
        self._now = now

    async def commit(self, request: CommitRequest) -> CommitReply:
        """Keep the turn; safe to repeat, and too late after a deletion of its conversation."""
        turn, keys = request.turn, self._keys
        items = request.items if sum(map(len, request.items)) <= self._settings.max_items_bytes else []
        # All keys first: a request with a bad digest must write nothing.
        turn_key, items_key, loose_key = keys.turn(turn.key), keys.items(turn.key), keys.loose(request.loose)
        head_key = keys.head(turn.conversation, request.scope)
        present = await self._vault.get(head_key, HEAD)
        if heads.is_erased(present.record, request):
            return self._refused("deleted")
        if heads.is_counted(present.record, turn):
            return CommitReply(turns=present.record.head.turns if present.record.head else 0)
        if await self._full(turn_key):
            await self._spoil(head_key, request)
            return self._refused("tenant_full")
        kept = KeptTurn(turn=turn, loose=request.loose, items_bytes=sum(map(len, items)))
        writes = [self._vault.write(turn_key, kept, self._ttl(turn.stored))]
        if items:
            expires = self._now + self._retention.items_ttl_seconds
            record = KeptItems(response_id=turn.response_id, items=items, expires=expires)
            writes.append(self._vault.write(items_key, record, self._retention.items_ttl_seconds))
        await asyncio.gather(*writes)
        self._tenancy.added(keys)
        await asyncio.gather(self._point(loose_key, turn), *self._list(request))
        turns = await move(self._vault, head_key, partial(self._committed, request), self._now, present)
        if turns == heads.ERASED:
            await self._undo(request)
            return self._refused("deleted")
        metrics.STATE_COMMITS.labels("without_items" if len(items) < len(request.items) else "kept").inc()
        return CommitReply(turns=turns)

    def _committed(self, request: CommitRequest, present: KeptHead | None) -> heads.Change:
        stored = request.turn.stored or bool(present is not None and present.head and present.head.stored)
        return heads.committed(present, request, self._now, self._ttl(stored))

    def _refused(self, why: str) -> CommitReply:
        metrics.STATE_COMMITS.labels(why).inc()
        return CommitReply(refused=why)

    async def _spoil(self, head_key: str, request: CommitRequest) -> None:
        """Nothing may follow the turn before: the client has seen an answer that is not kept."""
        turn = request.turn
        if request.mark:
            mark = MarkRequest(scope=request.scope, conversation=turn.conversation, id=request.mark, change="spoil")
            change = partial(heads.marked, request=mark, now=self._now, ttl_seconds=self._retention.items_ttl_seconds)
            await move(self._vault, head_key, change, self._now)

    async def _undo(self, request: CommitRequest) -> None:
        """Erase what was written while the conversation was being deleted; a turn that was written over stays."""
        turn, keys = request.turn, self._keys
        gone = [keys.member(turn.conversation, turn.key, turn.response_id), keys.owner(turn.response_id)]
        kept = (await self._vault.get(keys.turn(turn.key), TURN)).record
        if kept is not None and kept.turn.response_id == turn.response_id:
            gone += await of_entries(self._vault, keys, {turn.key: request.loose})
        await self._vault.delete(gone)

    async def _full(self, turn_key: str) -> bool:
        if await self._tenancy.turns(self._keys) < self._settings.max_tenant_turns:
            return False
        # A repeated commit found room the first time, and may have taken the last.
        return (await self._vault.get(turn_key, TURN)).record is None

    def _ttl(self, stored: bool) -> int:
        return self._retention.link_ttl_seconds if stored else self._retention.items_ttl_seconds

    def _list(self, request: CommitRequest) -> list[Coroutine[Any, Any, None]]:
        """Write what DELETE finds the turn by, and who owns its response."""
        turn = request.turn
        stored = StoredResponse(upstream=turn.upstream, response_id=turn.response_id) if turn.stored else None
        records: dict[str, msgspec.Struct] = {
            self._keys.member(turn.conversation, turn.key, turn.response_id): Member(
                turn_key=turn.key, loose=request.loose, stored=stored
            )
        }
        if stored is not None:
            records[self._keys.owner(turn.response_id)] = Owner(upstream=turn.upstream, written=self._now)
        ttl = self._ttl(turn.stored)
        return [self._vault.write(key, record, ttl) for key, record in records.items()]

    async def _point(self, key: str, turn: Turn) -> None:
        """Have the loose key lead to the turn; to none for good, where it leads to another already."""
        expect, pointer = 0, Pointer(turn_key=turn.key)
        for _ in range(TRIES):
            try:
                return await self._vault.swap(key, pointer, expect, self._ttl(turn.stored))
            except Conflict:
                present, expect = await self._vault.get(key, POINTER)
                other = present is not None and present.turn_key != turn.key
                pointer = Pointer(turn_key=None if other else turn.key)
        raise Contended("the pointer to the turn is moved by too many writers")
