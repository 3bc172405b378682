"""What both kinds of answers share: faults that come before the first byte, and half a body."""

from simulator.http.exchange import ClientLeft, Exchange
from simulator.http.stream import Presence
from simulator.scripts.plan import Plan
from simulator.wire.json import ENCODER, Json


async def answered_by_fault(exchange: Exchange, plan: Plan) -> bool:
    """Whether a scripted fault was the whole answer. Raises the `ApiError` of a scripted status."""
    if plan.header_delay:
        await wait(exchange, plan.header_delay)
    if plan.resets_at_once:
        exchange.entry.finished = True
        exchange.reset()
        return True
    if plan.http_error is not None:
        raise plan.http_error
    if plan.raw_answer is not None:
        await exchange.raw(plan.raw_answer.status, plan.raw_answer.content_type, plan.raw_answer.body)
        return True
    return False


async def wait(exchange: Exchange, seconds: float) -> None:
    """Be silent for so long. Raises `ClientLeft` when the client does not wait."""
    presence = Presence(exchange.receive)
    try:
        await presence.pause(seconds)
    finally:
        presence.close()
    if presence.gone:
        raise ClientLeft


async def send_half(exchange: Exchange, body: Json) -> None:
    """Half of a JSON body, then the end of the connection."""
    raw = ENCODER.encode(body)
    await exchange.start(200, "application/json", {"content-length": str(len(raw))})
    await exchange.send({"type": "http.response.body", "body": raw[: len(raw) // 2], "more_body": True})
    exchange.entry.finished = True
