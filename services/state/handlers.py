"""Answers what other services ask about kept turns; owns no rule about when to continue.

All requests are safe to repeat. All raise StoreDown, Contended, BusDown where the other replicas cannot be told,
and msgspec.ValidationError for a tenant or digest that is none.
"""

import time
from collections.abc import Callable
from functools import partial

import msgspec

from libs.runtime.call import BusContext
from libs.schemas.bus.state import (
    ClaimReply,
    ClaimRequest,
    CommitReply,
    CommitRequest,
    DeleteReply,
    DeleteRequest,
    ListReply,
    ListRequest,
    MarkReply,
    MarkRequest,
    ReadReply,
    ReadRequest,
    ReleaseReply,
    ReleaseRequest,
    ResolveReply,
    ResolveRequest,
    StateStatus,
    StateStatusRequest,
)
from libs.schemas.config import Retention
from libs.schemas.config import State as Settings
from services.state import conversations, heads, owners
from services.state.committing import Committing
from services.state.keys import Keys
from services.state.moving import move
from services.state.records import ERASURE
from services.state.resolving import MAX_TURNS, Resolving
from services.state.tenancy import Tenancy
from services.state.vault import Vault


class State:
    """Handles the nine subjects of the state service."""

    def __init__(
        self, vault: Vault, settings: Settings, retention: Retention, clock: Callable[[], float] = time.time
    ) -> None:
        self._vault = vault
        self._settings = settings
        self._retention = retention
        self._tenancy = Tenancy(vault)
        self._clock = clock
        self._hits = 0
        self._misses = 0

    async def resolve(self, request: ResolveRequest, context: BusContext) -> ResolveReply:
        """Return what is known of a history, and the head of its conversation."""
        reply = await Resolving(self._vault, Keys(context.tenant), self._clock()).resolve(request)
        self._hits += len(reply.found)
        self._misses += min(len(request.turns), MAX_TURNS) - len(reply.found)
        return reply

    async def commit(self, request: CommitRequest, context: BusContext) -> CommitReply:
        """Keep a turn."""
        keys, now = Keys(context.tenant), int(self._clock())
        committing = Committing(self._vault, self._tenancy, self._settings, self._retention, keys, now)
        return await committing.commit(request)

    async def mark(self, request: MarkRequest, context: BusContext) -> MarkReply:
        """Note what has become of an open call."""
        key, now = Keys(context.tenant).head(request.conversation, request.scope), int(self._clock())
        change = partial(heads.marked, request=request, now=now, ttl_seconds=self._retention.items_ttl_seconds)
        return MarkReply(number=await move(self._vault, key, change, now))

    async def read(self, request: ReadRequest, context: BusContext) -> ReadReply:
        """Return what is held of a conversation, and the owners of ids."""
        keys = Keys(context.tenant)
        reply = await conversations.read(self._vault, keys, request)
        if not request.upstream_ids:
            return reply
        now, ttl_seconds = int(self._clock()), self._retention.link_ttl_seconds
        found = await owners.read(self._vault, keys, request.upstream_ids, now, ttl_seconds)
        return msgspec.structs.replace(reply, owners=found)

    async def claim(self, request: ClaimRequest, context: BusContext) -> ClaimReply:
        """Remember the owner of ids."""
        now, ttl_seconds = int(self._clock()), self._retention.link_ttl_seconds
        await owners.claim(self._vault, Keys(context.tenant), request, now, ttl_seconds)
        return ClaimReply()

    async def release(self, request: ReleaseRequest, context: BusContext) -> ReleaseReply:
        """Forget the owner of an id."""
        await owners.release(self._vault, Keys(context.tenant), request.upstream_id)
        return ReleaseReply()

    async def list(self, request: ListRequest, context: BusContext) -> ListReply:
        """Return a page of the tenant's conversations."""
        return await conversations.page(self._vault, Keys(context.tenant), request.after, request.limit)

    async def delete(self, request: DeleteRequest, context: BusContext) -> DeleteReply:
        """Erase a conversation, or single turns."""
        keys = Keys(context.tenant)
        self._tenancy.forget(keys)
        if request.conversation is not None:
            return await self._erase(keys, request.conversation, context.request_id)
        return await conversations.delete_turns(self._vault, keys, request.turn_keys)

    async def _erase(self, keys: Keys, conversation: str, request_id: str) -> DeleteReply:
        """Erase a conversation, once for each request: what was begun anew under the name survives a late repeat."""
        now, ttl_seconds = int(self._clock()), self._retention.items_ttl_seconds
        key = keys.erasure(request_id, conversation)
        if request_id:
            present = (await self._vault.get(key, ERASURE)).record
            if isinstance(present, DeleteReply):
                return present
        reply = await conversations.delete(self._vault, keys, conversation, now, ttl_seconds)
        if request_id:
            await self._vault.write(key, reply, ttl_seconds)
        return reply

    async def status(self, request: StateStatusRequest, context: BusContext) -> StateStatus:
        """Return the store, its limits and how often it was of use."""
        totals = await self._vault.totals()
        return StateStatus(
            store=self._vault.store.name,
            entries=totals.entries,
            bytes=totals.bytes,
            link_ttl_seconds=self._retention.link_ttl_seconds,
            items_ttl_seconds=self._retention.items_ttl_seconds,
            max_items_bytes=self._settings.max_items_bytes,
            max_tenant_turns=self._settings.max_tenant_turns,
            hits=self._hits,
            misses=self._misses,
        )
