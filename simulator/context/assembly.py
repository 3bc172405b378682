"""What the model sees: the chain or conversation behind a request and its own input, checked as a whole."""

from simulator.checks.responses_request import ResponsesRequest
from simulator.context.call_pairs import check_pairs
from simulator.context.lineage import Lineage, check_chain, check_replay
from simulator.context.reading import texts
from simulator.context.tokens import count_item
from simulator.kept.conversations import Conversation, Conversations
from simulator.kept.responses import Store
from simulator.rules.book import refuse
from simulator.wire.json import Json


def assemble(
    request: ResponsesRequest, account: str, store: Store, lineage: Lineage, conversations: Conversations
) -> list[Json]:
    """Every item the model sees, oldest first. Raises the `ApiError` for a chain or a pairing that does not hold."""
    earlier = _earlier(request, account, store, conversations)
    own = [_resolved(item, account, store) for item in request.items]
    check_replay(own, request, account, lineage, store)
    check_chain(earlier, own)
    context = _after_compaction([*earlier, *own])
    check_pairs(context)
    _check_json_word(request, context)
    return _fitting(request, context)


def conversation_of(request: ResponsesRequest, account: str, conversations: Conversations) -> Conversation | None:
    """The conversation a request names. Raises the 404 of an unknown one."""
    id = request.conversation_id
    return None if id is None else conversations.find(account, id)


def _earlier(request: ResponsesRequest, account: str, store: Store, conversations: Conversations) -> list[Json]:
    conversation = conversation_of(request, account, conversations)
    if conversation is not None:
        return conversation.items
    previous = request.params.get("previous_response_id")
    if previous is None:
        return []
    if not previous.startswith("resp"):
        raise refuse("previous_response_id", id=previous)
    parent = store.find(account, previous)
    if parent is None or parent.response["status"] in ("queued", "in_progress"):
        raise refuse("previous_response_not_found", id=previous)
    return parent.context


def _resolved(item: Json, account: str, store: Store) -> Json:
    if item["type"] != "item_reference":
        return item
    found = store.find_item(account, item["id"])
    if found is None:
        raise refuse("item_not_found", id=item["id"])
    return found


def _after_compaction(context: list[Json]) -> list[Json]:
    """A compaction item stands for all that came before it (docs/mapping.md#what-an-upstream-keeps)."""
    for position in range(len(context) - 1, -1, -1):
        if context[position]["type"] == "compaction":
            return context[position:]
    return context


def _check_json_word(request: ResponsesRequest, context: list[Json]) -> None:
    if request.text_format["type"] != "json_object":
        return
    if not any("json" in text.lower() for item in context if item["type"] == "message" for text in texts(item)):
        raise refuse("json_word")


def _fitting(request: ResponsesRequest, context: list[Json]) -> list[Json]:
    """The newest items that fit into the context window, all of them unless `truncation` is `auto`."""
    window = request.abilities.context_window
    sizes = [count_item(item) for item in context]
    total = sum(sizes)
    if total <= window:
        return context
    if request.params.get("truncation") != "auto":
        raise refuse("context_length")
    dropped = 0
    while total > window and dropped < len(context) - 1:
        total -= sizes[dropped]
        dropped += 1
    return context[dropped:]
