"""Claims that this process has sent, and that the state service may not have yet."""

from collections.abc import Iterable

from cachetools import LRUCache

SIZE = 10_000


class Claims:
    """Upstreams by tenant and name; the oldest are forgotten beyond SIZE."""

    def __init__(self) -> None:
        self._upstreams: LRUCache[tuple[str, str], str] = LRUCache(SIZE)

    def note(self, tenant: str, names: Iterable[str], upstream: str) -> None:
        """Claims are on their way."""
        for name in names:
            self._upstreams[tenant, name] = upstream

    def forget(self, tenant: str, names: Iterable[str]) -> None:
        """The state service has them, or what they were about is gone."""
        for name in names:
            self._upstreams.pop((tenant, name), None)

    def get(self, tenant: str, name: str) -> str | None:
        """Return the upstream of a claim; None where none is under way."""
        return self._upstreams.get((tenant, name))
