"""`POST /v1/responses/input_tokens` and `/compact`: what a context weighs, and a context made small (reference E)."""

import time
from collections.abc import Iterable

from simulator import hosted, models, sealed, tokens
from simulator.context import assemble
from simulator.exchange import Exchange
from simulator.ids import new_id
from simulator.input_items import to_items
from simulator.items import to_wire
from simulator.kinds import check_fields
from simulator.parameters import PARAMETERS
from simulator.request import ResponsesRequest
from simulator.rules.book import refuse
from simulator.tools import check_tools
from simulator.wire import Json
from simulator.world import World

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


async def count_input(exchange: Exchange, world: World) -> None:
    account = exchange.authenticate()
    request = _to_request(await exchange.json(), _COUNTED)
    context = assemble(request, account, world.store, world.lineage, world.conversations)
    counted = sum(tokens.sizes(request, context))
    await exchange.answer(200, {"object": "response.input_tokens", "input_tokens": counted})


async def compact(exchange: Exchange, world: World) -> None:
    """The user's messages as they are, and one compaction item for all the rest."""
    account = exchange.authenticate()
    request = _to_request(await exchange.json(), _COMPACTED)
    context = assemble(request, account, world.store, world.lineage, world.conversations)
    users = [item for item in context if item.get("role") == "user"]
    counted = sum(tokens.sizes(request, context))
    token = sealed.issue(f"compaction of {counted}", account, _COMPACTION_TOKENS)
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
