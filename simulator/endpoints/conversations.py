"""The endpoints under /v1/conversations (docs/mapping.md#what-an-upstream-keeps)."""

from simulator.checks.fields import ARRAY, OBJECT, Field, check_fields
from simulator.checks.input_items import to_items
from simulator.checks.parameters import check_metadata
from simulator.endpoints import paging
from simulator.endpoints.memory import Memory
from simulator.http.exchange import Exchange
from simulator.kept.conversations import ITEMS_AT_ONCE, Conversation
from simulator.rules.book import refuse
from simulator.wire.json import Json

_METADATA = Field(OBJECT, nullable=True)
_CREATE = {"items": Field(ARRAY, nullable=True), "metadata": _METADATA}
_UPDATE = {"metadata": Field(OBJECT, nullable=True, required=True)}
_ADD = {"items": Field(ARRAY, required=True)}


async def create(exchange: Exchange, memory: Memory) -> None:
    """`POST /v1/conversations`; an empty body is one without items."""
    account = exchange.authenticate()
    body = await exchange.optional_json()
    check_fields(body, _CREATE)
    metadata = body.get("metadata") or {}
    check_metadata(metadata)
    made = memory.conversations.create(account, _to_items(body.get("items") or []), metadata)
    await exchange.answer(200, made.to_wire())


async def retrieve(exchange: Exchange, memory: Memory, id: str) -> None:
    await exchange.answer(200, _find(exchange, memory, id).to_wire())


async def update(exchange: Exchange, memory: Memory, id: str) -> None:
    conversation = _find(exchange, memory, id)
    body = await exchange.json()
    check_fields(body, _UPDATE)
    check_metadata(body["metadata"] or {})
    conversation.metadata = body["metadata"] or {}
    await exchange.answer(200, conversation.to_wire())


async def delete(exchange: Exchange, memory: Memory, id: str) -> None:
    memory.conversations.delete(exchange.authenticate(), id)
    await exchange.answer(200, {"id": id, "object": "conversation.deleted", "deleted": True})


async def add_items(exchange: Exchange, memory: Memory, id: str) -> None:
    """`POST /v1/conversations/{id}/items`: the items added, as a list."""
    conversation = _find(exchange, memory, id)
    body = await exchange.json()
    check_fields(body, _ADD)
    added = _to_items(body["items"])
    conversation.append(added)
    listed = {"data": added, "first_id": added[0]["id"] if added else None}
    last_id = added[-1]["id"] if added else None
    await exchange.answer(200, {"object": "list", **listed, "last_id": last_id, "has_more": False})


async def list_items(exchange: Exchange, memory: Memory, id: str) -> None:
    conversation = _find(exchange, memory, id)
    await exchange.answer(200, paging.page(conversation.items, paging.to_query(exchange.query)))


async def retrieve_item(exchange: Exchange, memory: Memory, id: str, item_id: str) -> None:
    await exchange.answer(200, _item(_find(exchange, memory, id), item_id))


async def delete_item(exchange: Exchange, memory: Memory, id: str, item_id: str) -> None:
    conversation = _find(exchange, memory, id)
    removed = _item(conversation, item_id)
    conversation.items = [item for item in conversation.items if item is not removed]
    await exchange.answer(200, conversation.to_wire())


def _to_items(items: list[Json]) -> list[Json]:
    paging.check_items(items, ITEMS_AT_ONCE)
    return to_items(items, "items")


def _find(exchange: Exchange, memory: Memory, id: str) -> Conversation:
    return memory.conversations.find(exchange.authenticate(), id)


def _item(conversation: Conversation, item_id: str) -> Json:
    for item in conversation.items:
        if item["id"] == item_id:
            return item
    raise refuse("not_found", kind="Item", id=item_id)
