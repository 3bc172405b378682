"""Counts the records of calls, from ClickHouse, as an operator reads them: through the running cluster."""

import asyncio
import time
from collections.abc import Collection

from tests.faults.site import Site
from tests.support.queries import rows

_AT_ONCE = 800  # ids of one query


async def recorded(site: Site, request_ids: Collection[str], seconds: float) -> tuple[int, int, int]:
    """Return how many of these calls there were, how many have a record by then, and how many records are doubled."""
    ends, wanted = time.monotonic() + seconds, sorted(request_ids)
    while True:
        found, doubled = await asyncio.to_thread(_count, site.cluster.nats.url, wanted)
        if found >= len(wanted) or time.monotonic() > ends:
            return len(wanted), found, doubled
        await asyncio.sleep(0.2)


def _count(nats_url: str, wanted: list[str]) -> tuple[int, int]:
    found = doubled = 0
    for first in range(0, len(wanted), _AT_ONCE):
        listed = ", ".join(f"'{request_id}'" for request_id in wanted[first : first + _AT_ONCE])
        sql = f"SELECT uniqExact(request_id), count() - uniqExact(event_id) FROM calls WHERE request_id IN ({listed})"
        for some, twice in rows(nats_url, sql):
            found, doubled = found + some, doubled + twice
    return found, doubled
