"""How many turns each tenant holds: counted by the store now and then, and by this replica between."""

import time
from collections import OrderedDict
from collections.abc import Callable

from services.state.keys import Keys
from services.state.vault import Vault

COUNT_SECONDS = 60.0
_TENANTS = 10_000  # remembered; others are counted again


class Tenancy:
    """Counts that may lag behind the other replicas by a minute."""

    def __init__(self, vault: Vault, clock: Callable[[], float] = time.monotonic) -> None:
        self._vault = vault
        self._clock = clock
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def turns(self, keys: Keys) -> int:
        """Return how many turns the tenant holds. Raises BusDown."""
        count, until = self._counts.get(keys.tenant, (0, 0.0))
        if until <= self._clock():
            count = await self._vault.count(keys.turns())
            self._counts[keys.tenant] = (count, self._clock() + COUNT_SECONDS)
            while len(self._counts) > _TENANTS:
                self._counts.popitem(last=False)
        return count

    def added(self, keys: Keys) -> None:
        """Count a turn that was just kept; one that was kept before counts again until the next minute."""
        count, until = self._counts.get(keys.tenant, (0, 0.0))
        self._counts[keys.tenant] = (count + 1, until)

    def forget(self, keys: Keys) -> None:
        """Count anew: the tenant has erased turns."""
        self._counts.pop(keys.tenant, None)
