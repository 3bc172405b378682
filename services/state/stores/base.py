"""What the state service needs of a place that keeps bytes."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from libs.runtime.errors import HandlerFailed


class Conflict(Exception):
    """Another writer moved the key first."""


class StoreDown(HandlerFailed):
    """The store is away, or did not answer in time: what was to be written may be there."""


class Contended(HandlerFailed):
    """Other writers moved a key first, each time that it was tried."""


class Entry(NamedTuple):
    """A value and what `swap` must know of it; a revision is opaque and never 0."""

    value: bytes
    revision: int


class Totals(NamedTuple):
    """What the store holds of all tenants; `bytes` None where it cannot tell."""

    entries: int
    bytes: int | None


class Store(Protocol):
    """Keys are dotted hex words, values sealed bytes.

    A time to live is in seconds, at least 1. Prefixes end with a dot, and are those that `keys.listed`
    names. All methods raise StoreDown.
    """

    name: str
    lags: bool  # whether `read` may miss what was just written

    async def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of those `keys` that have one, in one batch."""

    async def get(self, key: str) -> Entry | None:
        """Return the present entry, whatever `lags` says; None where there is none."""

    async def write(self, key: str, value: bytes, ttl_seconds: int) -> None:
        """Write, whatever is there."""

    async def swap(self, key: str, value: bytes, expect: int, ttl_seconds: int) -> None:
        """Write if the key is at the revision `expect`, 0 meaning that it has no value. Raises Conflict."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove; what is not there is no error."""

    async def keys(self, prefix: str) -> list[str]:
        """Return the present keys under `prefix`, in no order."""

    async def count(self, prefix: str) -> int:
        """Return how many keys there are under `prefix`."""

    async def totals(self) -> Totals:
        """Return what the store holds."""
