"""Everything one simulator remembers, made once and handed to each endpoint."""

from collections import deque
from dataclasses import dataclass, field

from deploy.local.simulator.ledger import Ledger
from deploy.local.simulator.store import Store
from deploy.local.simulator.tokens import PromptCache
from deploy.local.simulator.wire import Json

_FILES_KEPT = 1000


@dataclass(frozen=True)
class World:
    """`files` holds (account, file object), newest last; contents are not kept."""

    ledger: Ledger = field(default_factory=Ledger)
    store: Store = field(default_factory=Store)
    prompt_cache: PromptCache = field(default_factory=PromptCache)
    files: deque[tuple[str, Json]] = field(default_factory=lambda: deque(maxlen=_FILES_KEPT))
