"""Every request the simulator received, for tests to read: bounded, newest last, secrets as short hashes."""

import hashlib
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from simulator.wire.json import ENCODER, Json

LONG_STRING = 2048
_SECRET_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "cookie"})
_NO_BODY = msgspec.Raw(b"null")


def short_hash(secret: str) -> str:
    """Eight hexadecimal digits that tell two secrets apart without showing either."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: _shown_header(name, value) for name, value in headers.items()}


def _shown_header(name: str, value: str) -> str:
    if name not in _SECRET_HEADERS:
        return value
    scheme, _, secret = value.rpartition(" ")
    return f"{scheme} sha256:{short_hash(secret)}".strip()


def compact(value: Any) -> Any:
    """The same JSON with every string over 2 KiB replaced by `{"sha256": hex, "length": characters}`."""
    if isinstance(value, str):
        if len(value) <= LONG_STRING:
            return value
        return {"sha256": hashlib.sha256(value.encode()).hexdigest(), "length": len(value)}
    if isinstance(value, list):
        return [compact(element) for element in value]
    if isinstance(value, dict):
        return {key: compact(element) for key, element in value.items()}
    return value


_SHOWN_KEYS = ("type", "role", "id", "call_id", "phase", "status")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _shown_item(item: Json) -> dict[str, str]:
    shown = {name: value for name in _SHOWN_KEYS if isinstance(value := item.get(name), str)}
    shown.setdefault("type", "message" if "role" in item else "item_reference")
    if isinstance(token := item.get("encrypted_content"), str):
        shown["encrypted_content"] = short_hash(token)
    return shown


class Entry(msgspec.Struct):
    """One request; `status` stays null until its answer starts, `finished` false until its answer ends.

    `items` are the input items in order, each with what it has of type, role, id, call_id, phase, status and a short
    hash of its encrypted_content; `rule` is the name of the rule that refused the request; `disconnected` tells that
    the client left early.
    """

    number: int
    method: str
    path: str
    query: str
    headers: dict[str, str]
    account: str | None
    body: msgspec.Raw = _NO_BODY
    model: str | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: str | None = None
    include: list[str] = []
    items: list[dict[str, str]] = []
    rule: str | None = None
    response_id: str | None = None
    status: int | None = None
    disconnected: bool = False
    finished: bool = False


class Ledger:
    """The latest requests, at most `limit` of them and `limit_bytes` of their bodies."""

    def __init__(self, limit: int = 2000, limit_bytes: int = 64 << 20) -> None:
        self._entries: deque[Entry] = deque()
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._received = 0

    def open(self, method: str, path: str, query: str, headers: Mapping[str, str], account: str | None) -> Entry:
        entry = Entry(self._received, method, path, query, shown_headers(headers), account)
        self._received += 1
        self._entries.append(entry)
        self._evict()
        return entry

    def record_body(self, entry: Entry, body: Any) -> None:
        entry.body = msgspec.Raw(ENCODER.encode(compact(body)))
        self._bytes += len(bytes(entry.body))
        self._evict()

    def note(self, entry: Entry, body: Json) -> None:
        """What tests of continuity look for in a body, as it came: also of a body that is then refused."""
        entry.model = _text(body.get("model"))
        entry.store = body["store"] if isinstance(body.get("store"), bool) else None
        entry.previous_response_id = _text(body.get("previous_response_id"))
        conversation = body.get("conversation")
        entry.conversation = _text(conversation.get("id") if isinstance(conversation, dict) else conversation)
        include, items = body.get("include"), body.get("input")
        entry.include = [str(name) for name in include] if isinstance(include, list) else []
        entry.items = [_shown_item(item) for item in items if isinstance(item, dict)] if isinstance(items, list) else []

    def latest(self, limit: int) -> Json:
        """`{"received": how many since the start, "requests": [the latest, oldest first]}`."""
        first = max(0, len(self._entries) - limit)
        return {"received": self._received, "requests": list(self._entries)[first:]}

    def clear(self) -> None:
        self._entries.clear()
        self._bytes = 0

    def _evict(self) -> None:
        while len(self._entries) > self._limit or (self._bytes > self._limit_bytes and len(self._entries) > 1):
            self._bytes -= len(bytes(self._entries.popleft().body))
