"""What a request says of its conversation in its headers and its query (design, "Named conversations")."""

from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from libs.schemas.bus import Said
from libs.schemas.config import ContinuityWish, Conversation
from libs.translate.errors import InvalidRequest
from libs.translate.naming import check_name, without_control
from services.edge.exchange import Exchange, repeated

T = TypeVar("T")

CONVERSATION_QUERY = "conversation_id"
PARENT_QUERY = "previous_response_id"
HISTORY_HEADER = "x-parley-history"
RETAIN_HEADER = "x-parley-retain"
CONTINUITY_HEADER = "x-parley-continuity"
AFTER_HEADER = "x-parley-after"
MAX_HINT_CHARACTERS = 256

_DELTA = {"whole": False, "delta": True}
_RETAIN = {"all": True, "none": False}
# `auto` is what is configured.
_CONTINUITY: dict[str, ContinuityWish | None] = {"auto": None, "replay": "replay", "chain": "chain", "off": "off"}
_NAMES = {name: name for name in _CONTINUITY}


class Name(msgspec.Struct, frozen=True):
    """A conversation's name, and the header or query parameter that gave it."""

    value: str
    param: str


def read_said(settings: Conversation, exchange: Exchange, *, retain: bool) -> Said:
    """Return what the request says; `retain` false where the tenant's policy keeps nothing.

    Raises InvalidRequest for what cannot be meant, with the header or parameter that said it.
    """
    parent = _checked(PARENT_QUERY, _query(exchange).get(PARENT_QUERY))
    name = find_name(settings, exchange)
    if name is not None and parent is not None:
        raise _exclusive(name.param, PARENT_QUERY)
    headers = exchange.headers
    return Said(
        conversation=None if name is None else name.value,
        previous_response_id=parent,
        delta=_choice(headers, HISTORY_HEADER, _DELTA) or False,
        retain=_choice(headers, RETAIN_HEADER, _RETAIN) is not False and retain,
        continuity=_CONTINUITY[_choice(headers, CONTINUITY_HEADER, _NAMES) or "auto"],
        hint=(_first(headers, settings.hint_headers) or ("", ""))[1][:MAX_HINT_CHARACTERS],
        after=_checked(AFTER_HEADER, headers.get(AFTER_HEADER)),
    )


def find_name(settings: Conversation, exchange: Exchange) -> Name | None:
    """Return the name that the request gives its conversation. Raises InvalidRequest for a bad one, or two."""
    for name in settings.name_headers:
        if name.lower() in exchange.repeated:
            raise repeated(name)
    query = _checked(CONVERSATION_QUERY, _query(exchange).get(CONVERSATION_QUERY))
    header = _first(exchange.headers, settings.name_headers)
    if header is None:
        return None if query is None else Name(query, CONVERSATION_QUERY)
    param, value = header
    if query is not None and query != value:
        raise _exclusive(param, CONVERSATION_QUERY)
    _checked(param, value)
    return Name(value, param)


def to_header(name: str) -> str:
    """Return a name as a header's value, which is bytes in the guise of Latin-1; no line can end in it."""
    return without_control(name).encode("utf-8", "replace").decode("latin-1")


def _first(headers: Mapping[str, str], names: Sequence[str]) -> tuple[str, str] | None:
    """The first of these headers that holds something."""
    given = ((name, _text(headers.get(name.lower(), "")).strip(" \t")) for name in names)
    return next((pair for pair in given if pair[1]), None)


def _text(value: str) -> str:
    """A header's value as the client meant it, so that a name is the same in a header, a query and a path."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value


def _query(exchange: Exchange) -> dict[str, str]:
    """The non-empty value of each parameter. Raises InvalidRequest for one of ours that has two."""
    given = set(parse_qsl(exchange.scope.get("query_string", b"").decode("latin-1")))
    for param in (CONVERSATION_QUERY, PARENT_QUERY):
        if sum(name == param for name, _ in given) > 1:
            raise repeated(param)
    return dict(given)


def _checked(param: str, value: str | None) -> str | None:
    if value is not None:
        check_name(value, param)
    return value


def _choice(headers: Mapping[str, str], header: str, choices: Mapping[str, T]) -> T | None:
    told = headers.get(header)
    if told is not None and told not in choices:
        supported = ", ".join(f"'{choice}'" for choice in choices)
        message = f"Invalid value: '{told}'. Supported values are: {supported}."
        raise InvalidRequest(message, header, "invalid_value")
    return None if told is None else choices[told]


def _exclusive(one: str, other: str) -> InvalidRequest:
    message = f"Mutually exclusive parameters: '{one}' and '{other}'. Ensure you are only providing one of them."
    return InvalidRequest(message, other, "mutually_exclusive_parameters")
