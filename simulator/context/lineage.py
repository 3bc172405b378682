"""Which reasoning led to which item: what OpenAI checks when output items are replayed as input.

docs/mapping.md#what-an-upstream-keeps: a reasoning item is replayed with the item it led to and the other way round,
both under their ids; or neither.
"""

from collections import OrderedDict
from dataclasses import dataclass

from simulator.checks.responses_request import ResponsesRequest
from simulator.context import encrypted_content
from simulator.context.call_pairs import OUTPUT_TYPES
from simulator.kept.responses import Store
from simulator.rules.book import refuse
from simulator.wire.json import Json

_INPUT_ROLES = ("user", "system", "developer")


@dataclass(frozen=True, slots=True)
class Origin:
    """Of an output item: the reasoning right before it, and for reasoning the item right after it."""

    reasoning_id: str | None
    following_id: str | None


class Lineage:
    """The origins of the items issued lately, by account and id; bounded, oldest forgotten first."""

    def __init__(self, limit: int = 200_000) -> None:
        self._origins: OrderedDict[tuple[str, str], Origin] = OrderedDict()
        self._limit = limit
        self._adopted: set[tuple[str, str]] = set()

    def adopt(self, account: str, token: str | None) -> None:
        """Take encrypted content that was recorded elsewhere for issued to this account."""
        if token is not None:
            self._adopted.add((account, token))

    def is_issued(self, account: str, token: str) -> bool:
        return encrypted_content.is_issued(token, account) or (account, token) in self._adopted

    def clear(self) -> None:
        self._origins.clear()
        self._adopted.clear()

    def record(self, account: str, output: list[Json]) -> None:
        for position, item in enumerate(output):
            before = output[position - 1] if position else None
            after = output[position + 1] if position + 1 < len(output) else None
            self._origins[account, item["id"]] = Origin(
                before["id"] if before is not None and before["type"] == "reasoning" else None,
                after["id"] if after is not None and item["type"] == "reasoning" else None,
            )
        while len(self._origins) > self._limit:
            self._origins.popitem(last=False)

    def find(self, account: str, item_id: str) -> Origin | None:
        return self._origins.get((account, item_id))


def check_replay(own: list[Json], request: ResponsesRequest, account: str, lineage: Lineage, store: Store) -> None:
    """Raise the refusal of the first replayed item that is not sealed for this account, or torn from its pair."""
    seen: set[str] = set()
    for position, item in enumerate(own):
        after = own[position + 1] if position + 1 < len(own) else None
        if item["type"] in ("reasoning", "compaction"):
            _check_seal(item, request, account, lineage, store)
        if item["id"] in request.named_ids:
            origin = lineage.find(account, item["id"])
            if item["type"] == "reasoning":
                _check_following(item, after, request, origin)
            elif origin is not None and origin.reasoning_id is not None and origin.reasoning_id not in seen:
                raise refuse("reasoning_absent", id=item["id"], type=item["type"], reasoning_id=origin.reasoning_id)
        seen.add(item["id"])


def check_chain(earlier: list[Json], own: list[Json]) -> None:
    """Raise the refusal of a chain or conversation that was cut off after a reasoning item.

    See docs/mapping.md#what-an-upstream-keeps.
    """
    following: list[Json | None] = [*earlier[1:], own[0] if own else None]
    for item, after in zip(earlier, following, strict=False):
        if item["type"] == "reasoning" and (after is None or is_input(after)):
            raise refuse("reasoning_alone", id=item["id"])


def _check_seal(item: Json, request: ResponsesRequest, account: str, lineage: Lineage, store: Store) -> None:
    token = item.get("encrypted_content")
    if token is not None:
        if not lineage.is_issued(account, token):
            raise refuse("encrypted_content")
        return
    if not request.store:
        raise refuse("item_not_persisted", id=item["id"])
    if store.find_item(account, item["id"]) is None:
        raise refuse("item_not_found", id=item["id"])


def _check_following(item: Json, after: Json | None, request: ResponsesRequest, origin: Origin | None) -> None:
    follows = after is not None and not is_input(after) and after["id"] in request.named_ids
    if follows and origin is not None:
        follows = after is not None and after["id"] == origin.following_id
    if not follows:
        raise refuse("reasoning_alone", id=item["id"])


def is_input(item: Json) -> bool:
    """Whether an item comes from the client's side rather than from a model's answer."""
    return item.get("role") in _INPUT_ROLES or item["type"] in OUTPUT_TYPES
