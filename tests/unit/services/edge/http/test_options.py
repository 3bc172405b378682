"""What a request says of its conversation outside its body."""

from typing import Any, cast

import pytest

from libs.schemas.bus.convert import ClientOptions
from libs.schemas.config import Conversation
from libs.translate.errors import InvalidRequest
from services.edge.http.exchange import Exchange
from services.edge.http.options import read_options, to_header
from tests.unit.services.edge.fakes import Client


async def said(query: str = "", *, retain: bool = True, **headers: str) -> ClientOptions:
    exchange = Client("POST", "/v1/chat/completions", query, **cast(Any, headers)).exchange()
    return read_options(Conversation(), exchange, retain=retain).client_options


async def test_silence_is_the_usual() -> None:
    assert await said() == ClientOptions()


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ("", {"x_parley_conversation": " a/b "}, {"conversation": "a/b"}),
        ("conversation_id=a%2Fb", {}, {"conversation": "a/b"}),
        ("conversation_id=a", {"x_parley_conversation": "a"}, {"conversation": "a"}),
        ("conversation_id=a&conversation_id=a&conversation_id=", {}, {"conversation": "a"}),
        ("conversation_id=caf%C3%A9", {"x_parley_conversation": "café"}, {"conversation": "café"}),
        ("previous_response_id=resp_1", {}, {"previous_response_id": "resp_1"}),
        ("", {"x_parley_history": "delta"}, {"delta": True}),
        ("", {"x_parley_history": "whole"}, {}),
        ("", {"x_parley_retain": "none"}, {"retain": False}),
        ("", {"x_parley_retain": "all"}, {}),
        ("", {"x_parley_format": "responses"}, {"format": "responses"}),
        ("", {"x_parley_after": "resp_1"}, {"after": "resp_1"}),
        ("", {"x_parley_continuity": "chain"}, {"continuity": "chain"}),
        ("", {"x_parley_continuity": "auto"}, {"continuity": None}),
        ("", {"x_session_affinity": "b", "x_session_id": "h" * 300}, {"hint": "h" * 256}),
    ],
)
async def test_what_is_said_is_heard(query: str, headers: dict[str, str], expected: dict[str, Any]) -> None:
    assert await said(query, **cast(Any, headers)) == ClientOptions(**expected)


@pytest.mark.parametrize(
    ("query", "headers", "param", "code"),
    [
        ("conversation_id=a", {"x_parley_conversation": "b"}, "conversation_id", "mutually_exclusive_parameters"),
        ("conversation_id=a&previous_response_id=r", {}, "previous_response_id", "mutually_exclusive_parameters"),
        ("", {"x_parley_conversation": "a" * 513}, "x-parley-conversation", "string_above_max_length"),
        ("conversation_id=a%0d%0ab", {}, "conversation_id", "invalid_value"),
        ("conversation_id=a%C2%85b", {}, "conversation_id", "invalid_value"),
        ("conversation_id=a%7F", {}, "conversation_id", "invalid_value"),
        ("previous_response_id=resp_%00", {}, "previous_response_id", "invalid_value"),
        ("", {"x_parley_conversation": "a\x9fb"}, "x-parley-conversation", "invalid_value"),
        ("", {"x_parley_conversation": "a\x85"}, "x-parley-conversation", "invalid_value"),
        ("", {"x_parley_conversation": "\x1fa"}, "x-parley-conversation", "invalid_value"),
        ("conversation_id=a&conversation_id=b", {}, "conversation_id", "invalid_value"),
        ("previous_response_id=a&previous_response_id=b", {}, "previous_response_id", "invalid_value"),
        ("", {"x_parley_format": "some"}, "x-parley-format", "invalid_value"),
        ("", {"x_parley_after": "a\x85"}, "x-parley-after", "invalid_value"),
        ("", {"x_parley_history": "some"}, "x-parley-history", "invalid_value"),
        ("", {"x_parley_retain": "some"}, "x-parley-retain", "invalid_value"),
        ("", {"x_parley_continuity": "on"}, "x-parley-continuity", "invalid_value"),
    ],
)
async def test_what_cannot_be_meant_is_refused(query: str, headers: dict[str, str], param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await said(query, **cast(Any, headers))
    assert (caught.value.status, caught.value.error.param, caught.value.error.code) == (400, param, code)


async def test_name_in_two_headers_is_refused() -> None:
    client = Client("POST", "/v1/chat/completions", x_chat="a")
    scope = {**client.scope, "headers": [(b"x-chat", b"a"), (b"x-chat", b"a")]}
    exchange = Exchange(scope, client.receive, client.send, "chat")
    with pytest.raises(InvalidRequest) as caught:
        read_options(Conversation(name_headers=["X-Chat"]), exchange, retain=True)
    assert caught.value.error.param == "X-Chat"


async def test_tenant_that_keeps_nothing_wins() -> None:
    assert not (await said(retain=False, x_parley_retain="all")).retain


def test_no_name_ends_the_header_it_is_told_in() -> None:
    assert to_header("a\r\nb") == "a??b"
    assert to_header("café").encode("latin-1").decode() == "café"
