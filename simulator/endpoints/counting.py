"""`POST /v1/responses/input_tokens` and `/compact`: what a context weighs, and a context made small (reference E)."""

import time
from collections.abc import Iterable

from simulator.checks import models
from simulator.checks.fields import check_fields
from simulator.checks.input_items import to_items
from simulator.checks.parameters import PARAMETERS
from simulator.checks.responses_request import ResponsesRequest
from simulator.checks.tools import check_tools
from simulator.context import encrypted_content, tokens
from simulator.context.assembly import assemble
from simulator.endpoints.memory import Memory
from simulator.http.exchange import Exchange
from simulator.output import hosted
from simulator.output.items import to_wire
from simulator.rules.book import refuse
from simulator.wire.ids import new_id
from simulator.wire.json import Json

_COUNTED = (
    "conversation",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
)
_COMPACTED = (
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


async def count_input(exchange: Exchange, memory: Memory) -> None:
    account = exchange.authenticate()
    request = _to_request(await exchange.json(), _COUNTED)
    context = assemble(request, account, memory.store, memory.lineage, memory.conversations)
    counted = sum(tokens.sizes(request, context))
    await exchange.answer(200, {"object": "response.input_tokens", "input_tokens": counted})


async def compact(exchange: Exchange, memory: Memory) -> None:
    """The user's messages as they are, and one compaction item for all the rest."""
    account = exchange.authenticate()
    request = _to_request(await exchange.json(), _COMPACTED)
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


def _to_request(body: Json, names: Iterable[str]) -> ResponsesRequest:
    check_fields(body, {name: PARAMETERS[name] for name in names})
    params = {name: value for name, value in body.items() if value is not None}
    models.find(params["model"])
    if "previous_response_id" in params and "conversation" in params:
        raise refuse("two_parents")
    check_tools(params.get("tools", []), params.get("tool_choice"))
    return ResponsesRequest(params, to_items(params.get("input", [])))
