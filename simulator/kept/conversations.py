"""Conversations: items kept by name, appended after each answer, worked on by one request at a time."""

import time
from collections import OrderedDict
from dataclasses import dataclass, field

from simulator.rules.book import refuse
from simulator.wire.ids import new_id
from simulator.wire.json import Json

ITEMS_AT_ONCE = 20


@dataclass
class Conversation:
    """`items` are oldest first; `busy` while an answer to it is on its way."""

    id: str
    metadata: Json
    created_at: int = field(default_factory=lambda: int(time.time()))
    items: list[Json] = field(default_factory=list)
    busy: bool = False

    def lock(self) -> None:
        if self.busy:
            raise refuse("conversation_locked")
        self.busy = True

    def release(self) -> None:
        self.busy = False

    def append(self, items: list[Json]) -> None:
        # A new list: an answer that is still being made keeps reading the one it began with.
        self.items = [*self.items, *items]

    def to_wire(self) -> Json:
        return {
            "id": self.id,
            "object": "conversation",
            "created_at": self.created_at,
            "metadata": self.metadata,
        }


class Conversations:
    """Every account's conversations, at most `limit`, least recently used forgotten first."""

    def __init__(self, limit: int = 10_000) -> None:
        self._kept: OrderedDict[tuple[str, str], Conversation] = OrderedDict()
        self._limit = limit

    def create(self, account: str, items: list[Json], metadata: Json, id: str | None = None) -> Conversation:
        conversation = Conversation(id or new_id("conv"), metadata, items=items)
        self._kept[account, conversation.id] = conversation
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        return conversation

    def find(self, account: str, id: str) -> Conversation:
        """Raises the 404 of an unknown, deleted or foreign conversation."""
        conversation = self._kept.get((account, id))
        if conversation is None:
            raise refuse("not_found", kind="Conversation", id=id)
        self._kept.move_to_end((account, id))
        return conversation

    def has(self, account: str, id: str) -> bool:
        return (account, id) in self._kept

    def delete(self, account: str, id: str) -> None:
        self.find(account, id)
        del self._kept[account, id]

    def clear(self) -> None:
        self._kept.clear()
