"""`POST /v1/chat/completions`, native: the same scripts in the chat form, for calls past the gateway."""

from simulator.checks import models
from simulator.checks.chat_request import to_request
from simulator.endpoints.memory import Memory
from simulator.http.exchange import Exchange
from simulator.http.steps import Cut, Pause
from simulator.http.stream import send_stream
from simulator.play.chat_completion import Reply
from simulator.play.faults import answered_by_fault, send_half, wait
from simulator.scripts import decision
from simulator.scripts.decision import SCRIPT_HEADER, Script
from simulator.scripts.plan import Failure
from simulator.wire import errors
from simulator.wire.json import Json


async def create(exchange: Exchange, memory: Memory) -> None:
    account = exchange.authenticate()
    body = await exchange.json()
    exchange.note(body)
    request = to_request(body)
    header = exchange.headers.get(SCRIPT_HEADER, "")
    scripted = decision.decide(request, request.items, header, account, memory.attempts)
    if await answered_by_fault(exchange, scripted.plan):
        return
    if scripted.plan.failure is not None:
        raise errors.scripted(500, scripted.plan.failure.code, scripted.plan.failure.message)
    prompt_tokens, cached = memory.prompt_cache.measure(request, request.items, account)
    usage = _usage(scripted, prompt_tokens, cached, body.get("n") or 1)
    reply = Reply(request, scripted, usage, body)
    exchange.entry.response_id = reply.id
    headers = models.rate_limits(request.abilities, usage["total_tokens"])
    if request.stream:
        plan = scripted.plan
        await send_stream(exchange, reply.steps(), plan.pace, headers, plan.framing.joins_writes)
    else:
        await _send_whole(exchange, scripted, reply, headers)


async def _send_whole(exchange: Exchange, scripted: Script, reply: Reply, headers: dict[str, str]) -> None:
    for interruption in scripted.plan.interruptions:
        if isinstance(interruption, Pause):
            await wait(exchange, interruption.seconds)
        elif isinstance(interruption, Failure):
            raise errors.scripted(500, interruption.code, interruption.message)
        elif isinstance(interruption, Cut):
            await send_half(exchange, reply.whole())
            if interruption.resets:
                exchange.reset()
            return
    await exchange.answer(200, reply.whole(), headers)


def _usage(scripted: Script, prompt_tokens: int, cached: int, choices: int) -> Json:
    completion_tokens = scripted.output_tokens * choices
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": scripted.reasoning_tokens * choices,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
