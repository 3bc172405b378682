"""Changes the head of a conversation by compare-and-set, against all other writers.

A write whose answer was lost may have happened: the head is read again, and a change that it has already had
changes nothing.
"""

from collections.abc import Callable

from libs.runtime import metrics
from services.state.heads import Change
from services.state.records import HEAD, KeptHead
from services.state.stores.base import Conflict, Contended, StoreDown
from services.state.vault import Vault, Versioned

TRIES = 16  # against other writers
UNKNOWN_TRIES = 1  # how often a lost answer is looked after


async def move(
    vault: Vault, key: str, change: Callable[[KeptHead | None], Change], now: int, present: Versioned | None = None
) -> int:
    """Apply `change` to the head under `key` and return its result. `present` is the head where it was just read.

    `now` in Unix seconds. Raises StoreDown, Contended.
    """
    unknown = 0
    for _ in range(TRIES):
        record, revision = present or await vault.get(key, HEAD)
        present = None
        head, result = change(record)
        if head is None:
            return result
        try:
            await vault.swap(key, head, revision, max(1, head.expires - now))
            return result
        except Conflict:
            metrics.STATE_HEAD_CONFLICTS.inc()
        except StoreDown:
            unknown += 1
            if unknown > UNKNOWN_TRIES:
                raise
    raise Contended("the head of the conversation is moved by too many writers")
