"""How many turns each tenant holds: counted by the store now and then, and by this replica between."""

import time
from collections.abc import Callable

from cachetools import TLRUCache

from services.state.keys import Keys
from services.state.vault import Vault

COUNT_SECONDS = 60.0
_TENANTS = 10_000  # remembered; others are counted again


class Tenancy:
    """Counts that may lag behind the other replicas by a minute."""

    def __init__(self, vault: Vault, clock: Callable[[], float] = time.monotonic) -> None:
        self._vault = vault
        self._clock = clock
        # By tenant: the count, and until when it is taken for true.
        self._counts: TLRUCache[str, tuple[int, float]] = TLRUCache(_TENANTS, lambda _, counted, now: counted[1], clock)

    async def turns(self, keys: Keys) -> int:
        """Return how many turns the tenant holds. Raises StoreDown."""
        counted = self._counts.get(keys.tenant)
        if counted is None:
            counted = (await self._vault.count(keys.turns()), self._clock() + COUNT_SECONDS)
            self._counts[keys.tenant] = counted
        return counted[0]

    def added(self, keys: Keys) -> None:
        """Count a turn that was just kept; one that was kept before counts again until the next minute."""
        counted = self._counts.get(keys.tenant)
        if counted is not None:
            self._counts[keys.tenant] = (counted[0] + 1, counted[1])

    def forget(self, keys: Keys) -> None:
        """Count anew: the tenant has erased turns."""
        self._counts.pop(keys.tenant, None)
