"""Looks up the turns of a history: by their own keys first, then by the loose ones, each time in one batch."""

import asyncio
from typing import NamedTuple

import msgspec

from libs.runtime import metrics
from libs.schemas.bus.state import Found, Head, HeadTurns, OpenRequest, ResolveReply, ResolveRequest, Turn, Wanted
from services.state.heads import open_requests
from services.state.keys import Keys
from services.state.records import HEAD, ITEMS, POINTER, TURN, KeptHead, KeptItems, KeptTurn, Pointer
from services.state.vault import Vault

MAX_TURNS = 300  # the newest of a history


class _Hit(NamedTuple):
    exact: bool
    kept: KeptTurn


class Resolving:
    """One RESOLVE request of one tenant, at the time `now` in Unix seconds."""

    def __init__(self, vault: Vault, keys: Keys, now: float) -> None:
        self._vault = vault
        self._keys = keys
        self._now = now

    async def resolve(self, request: ResolveRequest) -> ResolveReply:
        """Return the known turns, items as far as `items_bytes` goes, and the conversation's head."""
        wanted = request.turns[:MAX_TURNS]
        hits, (head, open_) = await asyncio.gather(self._find(wanted), self._head(request.head, request.scope))
        metrics.STATE_TURNS.labels("hit").inc(len(hits))
        metrics.STATE_TURNS.labels("miss").inc(len(wanted) - len(hits))
        chained = request.chains and 0 in hits and _is_chainable(hits[0])
        items = {} if chained else await self._items(hits, request.items_bytes)
        found = [
            Found(index=index, exact=hits[index].exact, turn=hits[index].kept.turn, items=items.get(index))
            for index in sorted(hits)
        ]
        return ResolveReply(found=found, head=head, open=open_)

    async def _find(self, wanted: list[Wanted]) -> dict[int, _Hit]:
        """Return the known turns by their place; only the newest missing one is asked of the leader too."""
        hits = await self._read(wanted)
        missing = next((index for index in range(len(wanted)) if index not in hits), None)
        if missing is not None and self._vault.store.lags:
            hit = await self._from_leader(wanted[missing])
            if hit is not None:
                hits[missing] = hit
        return hits

    async def _read(self, wanted: list[Wanted]) -> dict[int, _Hit]:
        keys = [self._keys.turn(one.turn_key) for one in wanted]
        turns = await self._vault.read(dict.fromkeys(keys, TURN)) if keys else {}
        hits = {index: _Hit(True, turns[key]) for index, key in enumerate(keys) if self._live(turns.get(key))}
        return hits | await self._read_loose({k: one for k, one in enumerate(wanted) if k not in hits})

    async def _read_loose(self, wanted: dict[int, Wanted]) -> dict[int, _Hit]:
        """Return those that another history or context leads to; most histories come as they were, and need none."""
        keys = {index: self._keys.loose(one.loose) for index, one in wanted.items()}
        pointers = await self._vault.read(dict.fromkeys(keys.values(), POINTER)) if keys else {}
        led = {
            index: self._keys.turn(pointer.turn_key)
            for index, key in keys.items()
            if (pointer := pointers.get(key)) is not None and pointer.turn_key is not None
        }
        turns = await self._vault.read(dict.fromkeys(led.values(), TURN)) if led else {}
        return {index: _Hit(False, turns[key]) for index, key in led.items() if self._live(turns.get(key))}

    async def _from_leader(self, one: Wanted) -> _Hit | None:
        turn = (await self._vault.get(self._keys.turn(one.turn_key), TURN)).record
        if self._live(turn):
            return _Hit(True, turn)
        pointer: Pointer | None = (await self._vault.get(self._keys.loose(one.loose), POINTER)).record
        if pointer is None or pointer.turn_key is None:
            return None
        turn = (await self._vault.get(self._keys.turn(pointer.turn_key), TURN)).record
        return _Hit(False, turn) if self._live(turn) else None

    async def _items(self, hits: dict[int, _Hit], budget: int) -> dict[int, list[bytes]]:
        """Return items by place, newest first; after one that does not fit, no older ones either.

        The turns say how large they are: so nothing is read that would not be sent.
        """
        asked = {}
        for index in sorted(hits):
            kept = hits[index].kept
            budget -= kept.items_bytes
            if budget < 0:
                break
            if kept.items_bytes:
                asked[index] = self._keys.items(kept.turn.key)
        found = await self._vault.read(dict.fromkeys(asked.values(), ITEMS)) if asked else {}
        return {
            index: found[key].items
            for index, key in asked.items()
            if key in found and self._belongs(found[key], hits[index].kept)
        }

    def _belongs(self, items: KeptItems, kept: KeptTurn) -> bool:
        size = sum(map(len, items.items))
        return (items.response_id, size) == (kept.turn.response_id, kept.items_bytes) and items.expires > self._now

    async def _head(self, conversation: str | None, scope: str) -> tuple[HeadTurns | None, list[OpenRequest]]:
        """Return the newest turn, as far as it is kept, and the open calls."""
        if conversation is None:
            return None, []
        kept: KeptHead | None = (await self._vault.get(self._keys.head(conversation, scope), HEAD)).record
        if kept is None:
            return None, []
        return None if kept.head is None else await self._turns(kept, kept.head), open_requests(kept, self._now)

    async def _turns(self, kept: KeptHead, head: Head) -> HeadTurns | None:
        wanted = [(head.turn_key, head.response_id, kept.end)]
        if head.before is not None:
            wanted.append((head.before, head.before_response_id, kept.start))
        found = await self._vault.read({self._keys.turn(entry): TURN for entry, _, _ in wanted})
        newest, *before = [await self._turn(found.get(self._keys.turn(each[0])), *each) for each in wanted]
        return None if newest is None else HeadTurns(turn=newest, before=before[0] if before else None)

    async def _turn(self, kept: KeptTurn | None, entry: str, response_id: str, end: str) -> Turn | None:
        """Return the turn of this response. What was read may be old, or of another answer with the same words."""
        is_it = kept is not None and kept.turn.response_id == (response_id or kept.turn.response_id)
        if not is_it and (kept is not None or self._vault.store.lags):
            kept = (await self._vault.get(self._keys.turn(entry), TURN)).record
        if kept is None or not self._live(kept):
            return None
        if kept.turn.response_id == response_id or not response_id:
            return kept.turn
        # The other answer was kept later, in the same place: all that counts is the same in both, but their ids.
        return msgspec.structs.replace(kept.turn, response_id=response_id) if kept.turn.end == end else None

    def _live(self, kept: KeptTurn | None) -> bool:
        return kept is not None and kept.turn.expires > self._now


def _is_chainable(hit: _Hit) -> bool:
    return hit.exact and hit.kept.turn.chainable and hit.kept.turn.stored
