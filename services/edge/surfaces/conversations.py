"""/v1/parley/conversations: what Parley holds of a caller's conversations, to be seen and to be erased."""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from libs.runtime.logs import Log
from libs.schemas.bus.state import ConversationInfo, DeleteRequest, ListRequest, ReadRequest
from libs.schemas.subjects import DELETE, LIST, READ
from libs.translate.errors import InvalidRequest
from libs.translate.request.named_conversation import check_name
from services.edge import state
from services.edge.answering.deletion import delete_upstream
from services.edge.edge import Edge
from services.edge.http.exchange import Exchange
from services.edge.served import ServedRequest, identify

PREFIX = "/v1/parley/conversations"
MAX_PAGE = 100

_LIMIT = re.compile(r"\d{1,4}", re.ASCII)
_ENCODER = msgspec.json.Encoder()

log = Log("parley.edge")


class ConversationsEndpoint:
    """The endpoint of the list, and of everything below it."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. Raises TranslationError."""
        method, path = exchange.scope["method"], exchange.scope["path"]
        served = identify(self._edge, exchange)
        token: str = path.removeprefix(PREFIX).removeprefix("/")
        check_name(token, "conversation")
        shows = _OF_ONE if token else _OF_ALL
        if method not in shows:
            exchange.report({"allow": ", ".join(shows)})
            raise InvalidRequest(f"Not allowed to {method} on {path}", None, "method_not_allowed", status=405)
        shown = await shows[method](served, token)
        await exchange.send(200, _ENCODER.encode(shown))


async def _list(served: ServedRequest, _: str) -> dict[str, Any]:
    query = dict(parse_qsl(served.exchange.scope["query_string"].decode("latin-1")))
    check_name(query.get("after", ""), "after")
    request = ListRequest(after=query.get("after"), limit=_limit(query.get("limit", "20")))
    page = await state.ask(served, LIST, request)
    data = [_shown(info) for info in page.conversations]
    return {
        "object": "list",
        "data": data,
        "has_more": page.has_more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


async def _read(served: ServedRequest, token: str) -> dict[str, Any]:
    reply = await state.ask(served, READ, ReadRequest(conversation=token))
    if reply.conversation is None:
        raise _not_found(token)
    return _shown(reply.conversation)


async def _delete(served: ServedRequest, token: str) -> dict[str, Any]:
    """What was erased here is so, whatever becomes of what is upstream."""
    reply = await state.ask(served, DELETE, DeleteRequest(conversation=token))
    waiting = served.edge.outbox.forget(served.tenant, token)
    if not reply.known and not waiting:
        raise _not_found(token)
    failures = await delete_upstream(served, reply.responses)
    shown = {"id": token, "object": "parley.conversation.deleted", "deleted": True}
    return {**shown, "upstream_failures": failures} if failures else shown


_Show = Callable[[ServedRequest, str], Awaitable[dict[str, Any]]]
_OF_ALL: dict[str, _Show] = {"GET": _list}
_OF_ONE: dict[str, _Show] = {"GET": _read, "DELETE": _delete}


def _shown(info: ConversationInfo) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.structs.asdict(info)
    return {"id": fields.pop("id"), "object": "parley.conversation", **fields}


def _limit(given: str) -> int:
    if not _LIMIT.fullmatch(given) or not 1 <= int(given) <= MAX_PAGE:
        message = f"Invalid 'limit': must be an integer between 1 and {MAX_PAGE}."
        raise InvalidRequest(message, "limit", "invalid_value")
    return int(given)


def _not_found(token: str) -> InvalidRequest:
    return InvalidRequest(f"Conversation '{token}' not found.", None, "not_found", status=404)
