"""Kept responses of each account: what retrieve, delete, input_items and previous_response_id look in.

Bounded by number and bytes, least recently used first; each keeps the whole context a child of it would see.
"""

from collections import OrderedDict
from dataclasses import dataclass

from simulator.wire.json import Json


@dataclass
class Job:
    """What a background response still has before it: polls in progress, then its final body.

    `events` are those of its stream, for a response made with `stream`; null otherwise.
    """

    final: Json
    polls: int
    events: list[Json] | None = None
    is_cancelled: bool = False


@dataclass(slots=True)
class Kept:
    """One stored response: its body, its own input items (with ids), and all a chained request sees before its own."""

    account: str
    response: Json
    input: list[Json]
    context: list[Json]
    size: int
    job: Job | None = None

    def poll(self) -> Json:
        """The body now; each look at an unfinished background response takes it a step further."""
        job = self.job
        if job is None or self.response["status"] not in ("queued", "in_progress"):
            return self.response
        if job.polls > 0:
            job.polls -= 1
            self.response = {**self.response, "status": "in_progress"}
        else:
            self.response = job.final
        return self.response

    def finish(self) -> None:
        if self.job is not None and not self.job.is_cancelled:
            self.response = self.job.final

    def cancel(self) -> None:
        """Idempotent; a response that is done stays as it is."""
        if self.job is not None and self.response["status"] in ("queued", "in_progress"):
            self.job.is_cancelled = True
            self.response = {**self.response, "status": "cancelled"}


class Store:
    def __init__(self, limit: int = 10_000, limit_bytes: int = 512 << 20) -> None:
        self._kept: OrderedDict[tuple[str, str], Kept] = OrderedDict()
        self._items: dict[tuple[str, str], Json] = {}
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._bytes = 0

    def keep(self, kept: Kept) -> None:
        self._kept[kept.account, kept.response["id"]] = kept
        self._items.update(((kept.account, item["id"]), item) for item in _own_items(kept))
        self._bytes += kept.size
        while len(self._kept) > self._limit or (self._bytes > self._limit_bytes and len(self._kept) > 1):
            self._forget(next(iter(self._kept)))

    def find(self, account: str, response_id: str) -> Kept | None:
        kept = self._kept.get((account, response_id))
        if kept is not None:
            self._kept.move_to_end((account, response_id))
        return kept

    def find_item(self, account: str, item_id: str) -> Json | None:
        """An item of a kept response by its own id: what an `item_reference` means."""
        return self._items.get((account, item_id))

    def delete(self, account: str, response_id: str) -> bool:
        known = (account, response_id) in self._kept
        if known:
            self._forget((account, response_id))
        return known

    def expire(self, response_ids: list[str] | None) -> int:
        """Forget these responses of whatever account, or all of them; how many there were."""
        keys = [key for key in self._kept if response_ids is None or key[1] in response_ids]
        for key in keys:
            self._forget(key)
        return len(keys)

    def clear(self) -> None:
        self.expire(None)

    def _forget(self, key: tuple[str, str]) -> None:
        kept = self._kept.pop(key)
        self._bytes -= kept.size
        for item in _own_items(kept):
            self._items.pop((kept.account, item["id"]), None)


def _own_items(kept: Kept) -> list[Json]:
    final = kept.response if kept.job is None else kept.job.final
    return [*kept.input, *final["output"]]
