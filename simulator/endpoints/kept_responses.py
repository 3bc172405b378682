"""The endpoints of a kept response: retrieve, resume its stream, delete, cancel, list its input.

See docs/mapping.md#what-an-upstream-keeps.
"""

from collections.abc import Iterator

from simulator.endpoints import paging
from simulator.endpoints.memory import Memory
from simulator.endpoints.responses import BILLING
from simulator.http.exchange import Exchange
from simulator.http.framing import to_frame
from simulator.http.stream import send_stream
from simulator.kept.responses import Job, Kept
from simulator.rules.book import refuse
from simulator.wire.json import Json


async def retrieve(exchange: Exchange, memory: Memory, response_id: str) -> None:
    """`GET /v1/responses/{id}?include&stream&starting_after`: a background response goes a step further."""
    kept = _find(exchange, memory, response_id)
    query = paging.to_query(exchange.query)
    include = paging.included(query)
    if paging.last(query, "stream") == "true":
        await _resume(exchange, kept, query)
        return
    response = kept.poll()
    output = [paging.shown(item, include) for item in response["output"]] if include else response["output"]
    await exchange.answer(200, {**response, "output": output, **BILLING})


async def _resume(exchange: Exchange, kept: Kept, query: paging.Query) -> None:
    if kept.job is None or kept.job.events is None:
        raise refuse("stream_not_kept")
    after = paging.number(query, "starting_after")
    bare = paging.last(query, "include_obfuscation") == "false"
    await send_stream(exchange, _frames(kept, kept.job, -1 if after is None else after, bare), 0)


def _frames(kept: Kept, job: Job, after: int, bare: bool) -> Iterator[bytes]:
    for event in job.events or ():
        if event["sequence_number"] > after:
            yield to_frame(_without_padding(event) if bare else event)
    kept.finish()


def _without_padding(event: Json) -> Json:
    return {name: value for name, value in event.items() if name != "obfuscation"}


async def delete(exchange: Exchange, memory: Memory, response_id: str) -> None:
    """`DELETE /v1/responses/{id}`."""
    if not memory.store.delete(exchange.authenticate(), response_id):
        raise refuse("not_found", kind="Response", id=response_id)
    await exchange.answer(200, {"id": response_id, "object": "response.deleted", "deleted": True})


async def cancel(exchange: Exchange, memory: Memory, response_id: str) -> None:
    """`POST /v1/responses/{id}/cancel`: of a background response, as often as one likes."""
    kept = _find(exchange, memory, response_id)
    if kept.job is None:
        raise refuse("cancel_synchronous")
    kept.cancel()
    await exchange.answer(200, {**kept.response, **BILLING})


async def input_items(exchange: Exchange, memory: Memory, response_id: str) -> None:
    """`GET /v1/responses/{id}/input_items?after&limit&order&include`."""
    kept = _find(exchange, memory, response_id)
    await exchange.answer(200, paging.page(kept.input, paging.to_query(exchange.query)))


def _find(exchange: Exchange, memory: Memory, response_id: str) -> Kept:
    kept = memory.store.find(exchange.authenticate(), response_id)
    if kept is None:
        raise refuse("not_found", kind="Response", id=response_id)
    return kept
