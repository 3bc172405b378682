"""How many turns a tenant holds: asked of the store now and then, and counted by the replica between."""

from typing import Any, cast

from services.state.keys import Keys
from services.state.tenancy import COUNT_SECONDS, Tenancy
from services.state.vault import Vault

KEYS, OTHER = Keys("0a" * 16), Keys("0b" * 16)


class Counting:
    """A vault that says how many turns there are, and notes how often it is asked."""

    def __init__(self) -> None:
        self.turns = 7
        self.asked = 0

    async def count(self, prefix: str) -> int:
        self.asked += 1
        return self.turns


def counted() -> tuple[Counting, Tenancy, list[float]]:
    now, vault = [100.0], Counting()
    return vault, Tenancy(cast(Vault, cast(Any, vault)), lambda: now[0]), now


async def test_the_store_counts_once_a_minute_and_the_replica_between() -> None:
    vault, tenancy, now = counted()
    tenancy.added(KEYS)  # not counted yet: the store will count it
    assert [await tenancy.turns(KEYS), await tenancy.turns(OTHER), vault.asked] == [7, 7, 2]
    tenancy.added(KEYS)
    assert [await tenancy.turns(KEYS), await tenancy.turns(OTHER), vault.asked] == [8, 7, 2]
    vault.turns, now[0] = 20, 100.0 + COUNT_SECONDS
    assert [await tenancy.turns(KEYS), vault.asked] == [20, 3]


async def test_a_tenant_that_erased_turns_is_counted_anew() -> None:
    vault, tenancy, _ = counted()
    await tenancy.turns(KEYS)
    vault.turns = 0
    tenancy.forget(KEYS)
    assert await tenancy.turns(KEYS) == 0
