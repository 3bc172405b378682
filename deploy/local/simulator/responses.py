"""The endpoints under /v1/responses: create, retrieve, delete, input_items (translation reference E)."""

import functools
from urllib.parse import parse_qs

from deploy.local.simulator import errors, events, script, tokens
from deploy.local.simulator.context import assemble
from deploy.local.simulator.exchange import Exchange
from deploy.local.simulator.request import ResponsesRequest, to_request
from deploy.local.simulator.response import Answer
from deploy.local.simulator.scenarios import Failure
from deploy.local.simulator.script import SCRIPT_HEADER, Script
from deploy.local.simulator.store import Kept
from deploy.local.simulator.stream import Cut, Pause, Presence, send_stream
from deploy.local.simulator.wire import ENCODER, Json
from deploy.local.simulator.world import World

_PAGE_DEFAULT = 20
_PAGE_MAX = 100


async def create(exchange: Exchange, world: World) -> None:
    """`POST /v1/responses`, streaming or not."""
    account = exchange.authenticate()
    request = to_request(await exchange.json())
    context = assemble(request, account, world.store)
    scripted = script.decide(request, context, exchange.headers.get(SCRIPT_HEADER, ""), account)
    input_tokens, cached = world.prompt_cache.measure(request, context, account)
    answer = Answer(
        request, scripted, tokens.usage(input_tokens, cached, scripted.output_tokens, scripted.reasoning_tokens)
    )
    exchange.entry.response_id = answer.id
    keep = functools.partial(_keep, world, request, context, account)
    if request.stream:
        await send_stream(exchange, events.to_steps(scripted, answer, request.obfuscate, keep), scripted.pace)
    else:
        await _send_whole(exchange, scripted, answer, keep)


def _keep(world: World, request: ResponsesRequest, context: list[Json], account: str, response: Json) -> None:
    if not request.store:
        return
    size = len(ENCODER.encode(request.items)) + len(ENCODER.encode(response))
    world.store.keep(Kept(account, response, request.items, [*context, *response["output"]], size))


async def _send_whole(exchange: Exchange, scripted: Script, answer: Answer, keep: "functools.partial[None]") -> None:
    """The JSON answer, after as long as its stream would have taken."""
    presence = Presence(exchange.receive)
    try:
        await presence.pause(_duration(scripted))
    finally:
        presence.close()
    if presence.gone:
        exchange.entry.disconnected = True
        return
    response = answer.finished()
    for interruption in scripted.interruptions:
        if isinstance(interruption, Failure):
            raise errors.scripted(500, interruption.code, interruption.message)
        if isinstance(interruption, Cut):
            await _send_half(exchange, response)
            return
    keep(response)
    await exchange.answer(200, {**response, "billing": {"payer": "developer"}})


def _duration(scripted: Script) -> float:
    stalled = sum(step.seconds for step in scripted.interruptions if isinstance(step, Pause))
    return stalled + scripted.pace * (scripted.output_tokens - scripted.reasoning_tokens)


async def _send_half(exchange: Exchange, response: Json) -> None:
    body = ENCODER.encode(response)
    await exchange.start(200, "application/json", {"content-length": str(len(body))})
    await exchange.send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    exchange.entry.finished = True


async def retrieve(exchange: Exchange, world: World, response_id: str) -> None:
    """`GET /v1/responses/{id}`."""
    kept = _find(exchange, world, response_id)
    await exchange.answer(200, {**kept.response, "billing": {"payer": "developer"}})


async def delete(exchange: Exchange, world: World, response_id: str) -> None:
    """`DELETE /v1/responses/{id}`."""
    if not world.store.delete(exchange.authenticate(), response_id):
        raise errors.not_found("Response", response_id)
    await exchange.answer(200, {"id": response_id, "object": "response.deleted", "deleted": True})


async def input_items(exchange: Exchange, world: World, response_id: str) -> None:
    """`GET /v1/responses/{id}/input_items?after&limit&order`: newest first unless `order=asc`."""
    kept = _find(exchange, world, response_id)
    query = {name: values[-1] for name, values in parse_qs(exchange.query).items()}
    ordered = kept.input if query.get("order") == "asc" else kept.input[::-1]
    ids = [item["id"] for item in ordered]
    start = ids.index(query["after"]) + 1 if query.get("after") in ids else 0
    limit = min(int(query["limit"]) if query.get("limit", "").isdecimal() else _PAGE_DEFAULT, _PAGE_MAX)
    page = ordered[start : start + limit]
    listed = {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + limit < len(ordered),
    }
    await exchange.answer(200, listed)


def _find(exchange: Exchange, world: World, response_id: str) -> Kept:
    kept = world.store.find(exchange.authenticate(), response_id)
    if kept is None:
        raise errors.not_found("Response", response_id)
    return kept
