"""`POST /v1/responses/compact`: a context made small (docs/mapping.md#what-an-upstream-keeps)."""

import time

from simulator.checks.responses_request import to_context_request
from simulator.context import encrypted_content, tokens
from simulator.context.assembly import assemble
from simulator.endpoints.memory import Memory
from simulator.http.exchange import Exchange
from simulator.output import hosted
from simulator.output.items import to_wire
from simulator.wire.ids import new_id

_PARAMETERS = (
    "input",
    "instructions",
    "model",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
)
_COMPACTION_TOKENS = 64


async def create(exchange: Exchange, memory: Memory) -> None:
    """The user's messages as they are, and one compaction item for all the rest."""
    account = exchange.authenticate()
    request = to_context_request(await exchange.json(), _PARAMETERS)
    context = assemble(request, account, memory.store, memory.lineage, memory.conversations)
    users = [item for item in context if item.get("role") == "user"]
    counted = sum(tokens.sizes(request, context))
    token = encrypted_content.issue(f"compaction of {counted}", account, _COMPACTION_TOKENS)
    compacted = {
        "id": new_id("resp"),
        "object": "response.compaction",
        "created_at": int(time.time()),
        "output": [*users, to_wire(hosted.compaction(token), "completed")],
        "usage": tokens.usage(counted, 0, _COMPACTION_TOKENS, 0),
    }
    await exchange.answer(200, compacted)
