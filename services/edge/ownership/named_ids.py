"""Which ids a request names in its query and its body, wherever they stand.

Read with more care than an API's own reader takes: a key that stands twice, or in other letters, may mean
one thing here and another there.
"""

import json
from collections.abc import Container, Iterator
from typing import Any, NamedTuple, NoReturn
from urllib.parse import parse_qsl

from libs.translate.errors import InvalidRequest
from services.edge.ownership.id_kinds import IdType

PARENT, CONVERSATION = "previous_response_id", "conversation"
MAX_IDS = 1024  # that one request may name

# A body without any of these names no response, conversation or item. The last are letters that
# some readers of keys take for an s and a k, and what may spell any letter.
_MARKS = (b"previous_response_id", b"conversation", b'"id"', b"\\u", b"\xc5\xbf", b"\xe2\x84\xaa")
# The same for what may be shared.
_SHAREABLE_MARKS = (b"file", b"vector_store", b"container", b"skill", b"prompt")
# Of what stands under these keys nothing is an id: text of the client's, and schemas.
_TEXTS = frozenset({"metadata", "parameters", "schema", "variables", "headers", "arguments", "env"})
_KINDS: dict[str, IdType] = {
    "file_id": "file",
    "file_ids": "file",
    "input_file_id": "file",
    "training_file": "file",
    "validation_file": "file",
    "vector_store_id": "vector_store",
    "vector_store_ids": "vector_store",
    "container": "container",
    "container_id": "container",
    "skill_id": "skill",
}
_LISTS = ("input", "items", "messages")
_TOP = frozenset({PARENT, CONVERSATION, "prompt", *_LISTS})
_OF_ITEM = frozenset({"id", "type", "audio"})


class Named(NamedTuple):
    """An id, of what, and the parameter that names it."""

    id_type: IdType
    id: str
    param: str


class Names(NamedTuple):
    """What a request names that must be the caller's, and the ids that it gives to items of its own.

    An answer that echoes the latter has not made them.
    """

    named: list[Named]
    given: frozenset[str] = frozenset()


def of_query(query: bytes) -> list[Named]:
    """Return the responses and conversations that a query names."""
    found: list[Named] = []
    for key, value in parse_qsl(query.decode("latin-1")):
        if key == PARENT:
            found.append(Named("response", value, PARENT))
        elif key == CONVERSATION or (key == "conversation_id" and value.startswith("conv_")):
            found.append(Named("conversation", value, CONVERSATION))
    return found


def may_name(body: bytes, *, shareable: bool) -> bool:
    """Whether a body is worth reading; with `shareable` also for files and their like."""
    lower = body.lower()
    return any(mark in lower for mark in _MARKS) or (shareable and any(mark in lower for mark in _SHAREABLE_MARKS))


def of_body(body: bytes, *, shareable: bool) -> Names:
    """Return the ids that a JSON body names; with `shareable` also those of files and their like.

    Raises InvalidRequest for a body that can be read in two ways, or names too many.
    """
    tree = _read(body)
    if not isinstance(tree, dict):
        return Names([])
    _check_keys(tree, _TOP)
    found = [*_parents(tree), *_items(tree), *(_shareable(tree) if shareable else ())]
    if len(found) > MAX_IDS:
        raise InvalidRequest(f"Your request names more than {MAX_IDS} ids.", None, "array_above_max_length")
    return Names(found, frozenset(_given(tree)))


def field(body: bytes, name: str) -> Any:
    """Return what a JSON body has under `name`. Raises InvalidRequest."""
    tree = _read(body)
    return tree.get(name) if isinstance(tree, dict) else None


def _read(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_json)
    except RecursionError:
        raise InvalidRequest("The body of your request is nested too deeply.", None) from None
    except ValueError:
        raise InvalidRequest("The body of your request is not valid JSON.", None) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise InvalidRequest("The body of your request holds a key twice.", None, "invalid_value")
    return read


def _check_keys(object_: dict[str, Any], known: Container[str]) -> None:
    """Refuse a key that some readers take for one of `known`, and others do not."""
    for key in object_:
        folded = key.casefold()
        if folded != key and folded in known:
            raise InvalidRequest(f"Unknown parameter: '{key}'.", key, "unknown_parameter")


def _no_json(word: str) -> NoReturn:
    raise ValueError(word)


def _parents(tree: dict[str, Any]) -> Iterator[Named]:
    parent, conversation = tree.get(PARENT), tree.get(CONVERSATION)
    if parent not in (None, ""):
        yield Named("response", _id(parent, PARENT), PARENT)
    if conversation not in (None, ""):
        value = conversation.get("id") if isinstance(conversation, dict) else conversation
        yield Named("conversation", _id(value, CONVERSATION), CONVERSATION)


def _items(tree: dict[str, Any]) -> Iterator[Named]:
    """Items that stand for others which the upstream keeps."""
    for key in _LISTS:
        items = tree.get(key)
        for item in items if isinstance(items, list) else ():
            if not isinstance(item, dict):
                continue
            _check_keys(item, _OF_ITEM)
            if _refers(item):
                yield Named("item", _id(item.get("id"), key), key)
            spoken = item.get("audio")  # of an earlier answer, at a chat endpoint
            if isinstance(spoken, dict) and spoken.get("id") not in (None, ""):
                yield Named("audio", _id(spoken["id"], key), key)


def _given(tree: dict[str, Any]) -> Iterator[str]:
    for key in _LISTS:
        items = tree.get(key)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and isinstance(item.get("id"), str):
                yield item["id"]


def _refers(item: dict[str, Any]) -> bool:
    """Whether an item is told by its id alone: a reference, or what the upstream fills in from what it keeps."""
    if item.get("id") in (None, ""):
        return False
    type_ = item.get("type")
    if type_ == "reasoning":
        return not item.get("encrypted_content") and not item.get("content")
    if type_ == "image_generation_call":
        return not item.get("result")
    return type_ == "item_reference" or (not type_ and not (item.get("role") and item.get("content")))


def _shareable(tree: dict[str, Any]) -> Iterator[Named]:
    prompt = tree.get("prompt")
    if isinstance(prompt, dict) and prompt.get("id") is not None:
        yield Named("prompt", _id(prompt["id"], "prompt"), "prompt")
    waiting: list[Any] = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += [one for one in value if isinstance(one, dict | list)]
        else:
            _check_keys(value, _KINDS)
            for key, inner in value.items():
                yield from _under(key, inner)
                if isinstance(inner, dict | list) and key not in _TEXTS:
                    waiting.append(inner)


def _under(key: str, value: Any) -> Iterator[Named]:
    kind = _KINDS.get(key)
    if kind is not None:
        yield from (Named(kind, one, key) for one in (value if isinstance(value, list) else [value]) if _is_id(one))


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _id(value: Any, param: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # as some servers count
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"Invalid type for '{param}': expected an id.", param, "invalid_type")
    return value
