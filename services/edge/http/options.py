"""What a request asks of Parley in its headers and its query (docs/continuity.md#named-conversations)."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from libs.schemas.bus.convert import ClientOptions
from libs.schemas.config import Conversation
from libs.translate.errors import InvalidRequest
from libs.translate.request.named_conversation import check_name, without_control
from libs.translate.request.options import CONVERSATION_QUERY, MAX_HINT_CHARACTERS, OPTIONS, PARENT_QUERY, Option
from services.edge.http.exchange import Exchange, repeated


class Given(msgspec.Struct, frozen=True):
    """The value of an option, and the header or query parameter that it came from."""

    value: str
    param: str


class Asked(msgspec.Struct, frozen=True):
    """What a request asks for outside of its body, and the header or query parameter that names its conversation."""

    client_options: ClientOptions
    name_param: str = ""


def read_options(settings: Conversation, exchange: Exchange, *, retain: bool) -> Asked:
    """Return what the request asks for outside of its body; `retain` is false where the tenant keeps nothing.

    Raises InvalidRequest for an invalid value, with its header or parameter.
    """
    given = {option.field: found for option in OPTIONS if (found := _read(option, settings, exchange)) is not None}
    name, parent = given.get("conversation"), given.get("previous_response_id")
    if name is not None and parent is not None:
        raise _exclusive(name.param, parent.param)
    meant = {option.field: _meaning(option, given[option.field]) for option in OPTIONS if option.field in given}
    client_options = ClientOptions(**meant)
    return Asked(
        client_options if retain else msgspec.structs.replace(client_options, retain=False), name.param if name else ""
    )


def to_header(name: str) -> str:
    """Return a name as a header's value, which is bytes in the guise of Latin-1; no line can end in it."""
    return without_control(name).encode("utf-8", "replace").decode("latin-1")


def _first(headers: Mapping[str, str], names: Sequence[str]) -> Given | None:
    """The first of these headers that holds something."""
    given = (Given(_text(headers.get(name.lower(), "")).strip(" \t"), name) for name in names)
    return next((found for found in given if found.value), None)


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


def _read(option: Option, settings: Conversation, exchange: Exchange) -> Given | None:
    """Return the value of an option. Raises InvalidRequest where it is given twice, or cannot be a name."""
    headers = getattr(settings, option.setting) if option.setting else [option.header] if option.header else []
    for name in headers if option.decides else ():
        if name.lower() in exchange.repeated:
            raise repeated(name)
    query = _query(exchange).get(option.query) if option.query else None
    found = None if query is None else Given(query, option.query)
    if option.words:
        return Given(exchange.headers[option.header], option.header) if option.header in exchange.headers else None
    header = _first(exchange.headers, headers)
    if header is not None and found is not None and header.value != found.value:
        raise _exclusive(header.param, found.param)
    found = header or found
    if found is not None and option.decides:
        check_name(found.value, found.param)
    return found


def _meaning(option: Option, found: Given) -> Any:
    """Return the value as the field of `ClientOptions` holds it. Raises InvalidRequest for an unknown word."""
    if not option.words:
        return found.value if option.decides else found.value[:MAX_HINT_CHARACTERS]
    if found.value not in option.words:
        supported = ", ".join(f"'{word}'" for word in option.words)
        message = f"Invalid value: '{found.value}'. Supported values are: {supported}."
        raise InvalidRequest(message, found.param, "invalid_value")
    return option.words[found.value]


def _exclusive(one: str, other: str) -> InvalidRequest:
    message = f"Mutually exclusive parameters: '{one}' and '{other}'. Ensure you are only providing one of them."
    return InvalidRequest(message, other, "mutually_exclusive_parameters")
