"""Which upstream made an id for a tenant: what was never claimed is nobody's here.

A claim lasts `link_ttl_seconds`, and longer where its id is in use: conversations and files outlive that.
"""

import asyncio
from collections.abc import Collection

from libs.runtime.logs import Log
from libs.schemas.bus.state import ClaimRequest
from services.state.keys import Keys
from services.state.records import OWNER, Owner
from services.state.stores.base import Conflict, StoreDown
from services.state.vault import Vault

RENEW_SECONDS = 86400  # how old a claim may be before a look-up writes it anew
MAX_LATE = 64  # ids of one question that the leader is asked for, where a replica does not know them

log = Log("parley.state")


async def claim(vault: Vault, keys: Keys, request: ClaimRequest, now: int, ttl_seconds: int) -> None:
    """Remember the owner of each id. Safe to repeat."""
    owner = Owner(upstream=request.upstream, written=now)
    names = {request.upstream_id, *request.more}
    await asyncio.gather(*(vault.write(keys.owner(name), owner, ttl_seconds) for name in names))


async def release(vault: Vault, keys: Keys, upstream_id: str) -> None:
    """Forget the owner of an id."""
    await vault.delete([keys.owner(upstream_id)])


async def read(vault: Vault, keys: Keys, names: Collection[str], now: int, ttl_seconds: int) -> dict[str, str]:
    """Return the upstreams of those ids that have one."""
    wanted = {keys.owner(name): name for name in names}
    found = await vault.read(dict.fromkeys(wanted, OWNER))
    if vault.store.lags:
        late = [key for key in wanted if key not in found][:MAX_LATE]
        late_entries = await asyncio.gather(*(vault.get(key, OWNER) for key in late))
        found |= {key: entry.record for key, entry in zip(late, late_entries, strict=True) if entry.record is not None}
    old = [key for key, owner in found.items() if now - owner.written > min(RENEW_SECONDS, ttl_seconds // 4)]
    await asyncio.gather(*(_renew(vault, key, now, ttl_seconds) for key in old))
    return {wanted[key]: owner.upstream for key, owner in found.items()}


async def _renew(vault: Vault, key: str, now: int, ttl_seconds: int) -> None:
    """Write a claim anew, unless it was released meanwhile; the next look-up tries again where that fails."""
    try:
        owner, revision = await vault.get(key, OWNER)
        if owner is not None:
            await vault.swap(key, Owner(upstream=owner.upstream, written=now), revision, ttl_seconds)
    except (Conflict, StoreDown) as error:
        log.warning("claim_not_renewed", error=type(error).__name__)
