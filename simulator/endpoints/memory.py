"""Everything one simulator remembers, made once and handed to each endpoint."""

from collections import deque
from dataclasses import dataclass, field

from simulator.context.lineage import Lineage
from simulator.context.tokens import PromptCache
from simulator.http.ledger import Ledger
from simulator.kept.conversations import Conversations
from simulator.kept.responses import Store
from simulator.scripts.attempts import Attempts
from simulator.wire.json import Json

_FILES_KEPT = 1000


@dataclass(frozen=True)
class Memory:
    """`files` holds (account, file object), newest last; contents are not kept."""

    ledger: Ledger = field(default_factory=Ledger)
    store: Store = field(default_factory=Store)
    lineage: Lineage = field(default_factory=Lineage)
    conversations: Conversations = field(default_factory=Conversations)
    attempts: Attempts = field(default_factory=Attempts)
    prompt_cache: PromptCache = field(default_factory=PromptCache)
    files: deque[tuple[str, Json]] = field(default_factory=lambda: deque(maxlen=_FILES_KEPT))

    def clear(self) -> None:
        for kept in (self.ledger, self.store, self.lineage, self.conversations, self.attempts, self.prompt_cache):
            kept.clear()
        self.files.clear()
