"""`POST /v1/responses/input_tokens`: how many tokens a context has (docs/mapping.md#what-an-upstream-keeps)."""

from simulator.checks.responses_request import to_context_request
from simulator.context import tokens
from simulator.context.assembly import assemble
from simulator.endpoints.memory import Memory
from simulator.http.exchange import Exchange

_PARAMETERS = (
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


async def count(exchange: Exchange, memory: Memory) -> None:
    account = exchange.authenticate()
    request = to_context_request(await exchange.json(), _PARAMETERS)
    context = assemble(request, account, memory.store, memory.lineage, memory.conversations)
    counted = sum(tokens.sizes(request, context))
    await exchange.answer(200, {"object": "response.input_tokens", "input_tokens": counted})
