"""What tests ask of the simulator itself, under /_simulator: no requests under test, and not in the ledger.

`ledger` tells what arrived; `expire` forgets; `adopt` takes a recorded answer for one of ours; `models` tells what
each family can do; `reset` forgets everything.
"""

from dataclasses import asdict

from simulator.checks import models
from simulator.checks.input_items import to_items
from simulator.endpoints import paging
from simulator.endpoints.memory import Memory
from simulator.http.exchange import Exchange
from simulator.kept.responses import Kept
from simulator.rules.book import refuse
from simulator.scripts.scenario_models import SCENARIO_MODELS
from simulator.wire.json import Json

PREFIX = "/_simulator/"
_LEDGER_LIMIT = 100


async def read_ledger(exchange: Exchange, memory: Memory) -> None:
    """The latest requests, oldest first: `?limit=`, 100 unless given."""
    limit = paging.last(paging.to_query(exchange.query), "limit") or ""
    await exchange.answer(200, memory.ledger.latest(int(limit) if limit.isdecimal() else _LEDGER_LIMIT))


async def clear_ledger(exchange: Exchange, memory: Memory) -> None:
    memory.ledger.clear()
    await read_ledger(exchange, memory)


async def expire(exchange: Exchange, memory: Memory) -> None:
    """`{"response_ids": [...]}` forgets these responses of every account, `{}` or no body all of them."""
    body = await exchange.optional_json()
    await exchange.answer(200, {"expired": memory.store.expire(body.get("response_ids"))})


async def adopt(exchange: Exchange, memory: Memory) -> None:
    """`{"response": {...}, "input": [...], "conversation": id}`, each optional: as if answered here for this bearer."""
    account = exchange.authenticate()
    body = await exchange.json()
    conversation_id = body.get("conversation")
    if conversation_id is not None and not memory.conversations.has(account, conversation_id):
        memory.conversations.create(account, [], {}, conversation_id)
    response = body.get("response")
    if response is not None:
        _adopt_response(memory, account, response, to_items(body.get("input") or []), conversation_id)
    await exchange.answer(200, {"adopted": True})


def _adopt_response(
    memory: Memory, account: str, response: Json, sent: list[Json], conversation_id: str | None
) -> None:
    output = response["output"]
    memory.lineage.record(account, output)
    for item in output:
        memory.lineage.adopt(account, item.get("encrypted_content"))
    if conversation_id is not None:
        memory.conversations.find(account, conversation_id).append([*sent, *output])
    memory.store.keep(Kept(account, response, sent, [*sent, *output], 0))


async def show_models(exchange: Exchange, memory: Memory) -> None:
    """Every family's abilities and prices, by the pattern of its names; and the scenario models with their scripts."""
    families = {
        pattern: {**asdict(model), "endpoints": sorted(model.endpoints)} for pattern, model in models.FAMILIES.items()
    }
    await exchange.answer(200, {"families": families, "scenarios": SCENARIO_MODELS})


async def reset(exchange: Exchange, memory: Memory) -> None:
    memory.clear()
    await exchange.answer(200, {"reset": True})


CONTROLS = {
    ("GET", "ledger"): read_ledger,
    ("DELETE", "ledger"): clear_ledger,
    ("POST", "expire"): expire,
    ("POST", "adopt"): adopt,
    ("GET", "models"): show_models,
    ("POST", "reset"): reset,
}


async def serve(exchange: Exchange, memory: Memory) -> None:
    control = CONTROLS.get((exchange.method, exchange.path.removeprefix(PREFIX)))
    if control is None:
        raise refuse("invalid_url", method=exchange.method, path=exchange.path)
    await control(exchange, memory)
