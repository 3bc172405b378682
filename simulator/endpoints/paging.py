"""Lists with `after`, `limit` and `order`, and what `include` shows of their items.

See docs/mapping.md#what-an-upstream-keeps.
"""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from simulator.checks.parameters import Bounds, check_bounds, check_include
from simulator.rules.book import invalid_value, refuse
from simulator.wire.json import Json

_PAGE_DEFAULT = 20
_LIMIT = Bounds("integer", low=1, high=100)
_ORDERS = ("asc", "desc")

Query = Mapping[str, list[str]]


def to_query(text: str) -> Query:
    return parse_qs(text, keep_blank_values=True)


def last(query: Query, name: str) -> str | None:
    """The last value of a query parameter, null without one."""
    return query[name][-1] if name in query else None


def included(query: Query) -> frozenset[str]:
    """The `include` values, in either spelling that clients send. Raises the 400 of an unknown one."""
    names = [*query.get("include", []), *query.get("include[]", [])]
    check_include(names)
    return frozenset(names)


def page(items: list[Json], query: Query) -> Json:
    """One page of items that are kept oldest first: newest first unless `order=asc`."""
    order = last(query, "order") or "desc"
    if order not in _ORDERS:
        raise invalid_value("order", order, _ORDERS)
    limit = _number(query, "limit", _PAGE_DEFAULT)
    check_bounds("limit", limit, _LIMIT)
    include = included(query)
    ordered = items if order == "asc" else items[::-1]
    start = _start(ordered, last(query, "after"))
    chosen = [shown(item, include) for item in ordered[start : start + limit]]
    return {
        "object": "list",
        "data": chosen,
        "first_id": chosen[0]["id"] if chosen else None,
        "last_id": chosen[-1]["id"] if chosen else None,
        "has_more": start + limit < len(ordered),
    }


def _start(ordered: list[Json], after: str | None) -> int:
    if not after:
        return 0
    ids = [item["id"] for item in ordered]
    if after not in ids:
        raise refuse("not_found", kind="Item", id=after)
    return ids.index(after) + 1


def _number(query: Query, name: str, default: int) -> int:
    text = last(query, name)
    if text is None:
        return default
    if not text.lstrip("-").isdecimal():
        raise refuse("invalid_type", param=name, expected="an integer", got="a string")
    return int(text)


def number(query: Query, name: str) -> int | None:
    """A query parameter that is a whole number, null without one."""
    return None if last(query, name) is None else _number(query, name, 0)


# What is left out of an item unless its include value is asked for.
_HIDDEN: Mapping[str, tuple[str, Callable[[Json], Json]]] = {
    "message": ("message.input_image.image_url", lambda item: {**item, "content": _without_urls(item["content"])}),
    "file_search_call": ("file_search_call.results", lambda item: {**item, "results": None}),
    "code_interpreter_call": ("code_interpreter_call.outputs", lambda item: {**item, "outputs": None}),
}


def shown(item: Json, include: frozenset[str]) -> Json:
    """An item as a list shows it."""
    name, hide = _HIDDEN.get(item["type"], ("", None))
    return item if hide is None or name in include else hide(item)


def _without_urls(content: list[Json]) -> list[Json]:
    return [{**part, "image_url": None} if part.get("type") == "input_image" else part for part in content]


def check_items(items: object, limit: int) -> None:
    """Raise the 400 of an `items` that is no list, or too long a one."""
    if isinstance(items, list) and len(items) > limit:
        raise refuse("too_many_items", param="items", limit=limit, count=len(items))
