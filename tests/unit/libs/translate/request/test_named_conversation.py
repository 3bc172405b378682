from typing import Any

import pytest

from libs.schemas.bus.convert import ClientOptions
from libs.schemas.wire.chat import ChatRequest
from libs.translate.errors import InvalidRequest
from libs.translate.request.body import is_given
from libs.translate.request.named_conversation import (
    MAX_NAME_CHARACTERS,
    Named,
    name,
    names_parent,
    without_control,
)
from libs.translate.request.options import merged
from tests.support.chats import Json, request


def _name(body: Json | None = None, **said: Any) -> tuple[ChatRequest, Named]:
    chat = request(**(body or {}))
    return name(chat, merged(ClientOptions(**said), chat.parley))


def _refusal(body: Json | None = None, **said: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        _name(body, **said)
    return raised.value


# -- conversations of Parley's ----------------------------------------------------------------------


def test_a_request_without_names_has_none() -> None:
    chat, named = _name()
    assert (named, named.by_client, named.only_new) == (Named(), False, False)
    assert chat.previous_response_id is None and not is_given(chat.conversation)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, {"conversation": "c"}),  # the header, or `conversation_id` of the query
        ({"conversation": "c"}, {}),
        ({"conversation": {"id": "c"}}, {}),
        ({"conversation_id": "c"}, {}),
        ({"conversation": "c", "conversation_id": "c"}, {"conversation": "c"}),
        ({"conversation": "c"}, {"conversation": ""}),
        ({"conversation": None, "conversation_id": None}, {"conversation": "c"}),
    ],
)
def test_a_name_of_the_clients_stays_with_parley(body: Json, said: Json) -> None:
    chat, named = _name(body, **said)
    assert named == Named(name="c")
    assert named.by_client and not named.only_new
    assert not is_given(chat.conversation) and chat.conversation_id is None and chat.previous_response_id is None


def test_a_token_that_parley_issued_is_no_choice_of_the_client() -> None:
    named = _name(conversation="pc_1")[1]
    assert named == Named(name="pc_1") and not named.by_client


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"conversation": "a"}, {"conversation": "b"}),
        ({"conversation_id": "a"}, {"conversation": "b"}),
        ({"conversation": "a", "conversation_id": "b"}, {}),
        ({"conversation": "conv_a"}, {"conversation": "conv_b"}),
        ({"conversation": "conv_a"}, {"conversation": "b"}),
    ],
)
def test_two_different_conversations_are_refused(body: Json, said: Json) -> None:
    error = _refusal(body, **said)
    assert (error.status, error.error.code) == (400, "mutually_exclusive_parameters")
    assert error.error.message == "Two different conversations may not be given together."


@pytest.mark.parametrize("value", [7, "", {}, {"id": None}, {"id": ""}, ["c"], True])
def test_what_is_no_name_is_refused(value: Any) -> None:
    error = _refusal({"conversation": value}).error
    assert (error.param, error.code) == ("conversation", "invalid_type")
    assert error.message == "Invalid type for 'conversation': expected an id."


@pytest.mark.parametrize("control", ["\x00", "\t", "\n", "\x1f", "\x7f", "\x80", "\x85", "\x9f"])
@pytest.mark.parametrize("field", ["conversation", "conversation_id", "previous_response_id"])
def test_a_name_holds_no_control_character(field: str, control: str) -> None:
    for value in (f"a{control}", f"{control}a", f"conv_{control}", f"pc_a{control}b"):
        with pytest.raises(InvalidRequest) as caught:
            _name({field: value})
        assert caught.value.error.code == "invalid_value"


def test_a_name_has_a_limit() -> None:
    assert _name(conversation="c" * MAX_NAME_CHARACTERS)[1].name == "c" * MAX_NAME_CHARACTERS
    error = _refusal(conversation="c" * (MAX_NAME_CHARACTERS + 1)).error
    assert (error.param, error.code) == ("conversation", "string_above_max_length")


# -- what the upstream keeps ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"conversation": "conv_1"}, {}),
        ({"conversation": {"id": "conv_1"}}, {}),
        ({"conversation_id": "conv_1"}, {}),
        ({}, {"conversation": "conv_1"}),
        ({}, {"conversation": "conv_1", "delta": True}),
    ],
)
def test_a_conversation_of_the_upstreams_goes_up(body: Json, said: Json) -> None:
    chat, named = _name(body, **said)
    assert named == Named(parent="conv_1")
    assert named.only_new and not named.by_client
    assert bytes(chat.conversation) == b'"conv_1"' and chat.conversation_id is None


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("resp_1", "resp_1"),
        ("chatcmpl-1", "resp_1"),
        ("chatcmpl-~odd_1", "odd_1"),
        ("odd_1", "odd_1"),
    ],
)
def test_a_response_is_named_by_its_id_or_by_that_of_its_completion(given: str, sent: str) -> None:
    for body, said in (({"previous_response_id": given}, {}), ({}, {"previous_response_id": given})):
        chat, named = _name(body, **said)
        assert (chat.previous_response_id, named) == (sent, Named(parent=sent))
        assert named.only_new


@pytest.mark.parametrize("conversation", ["c", "conv_1", "pc_1"])
@pytest.mark.parametrize("in_body", [False, True])
def test_a_response_and_a_conversation_may_not_be_named_together(conversation: str, in_body: bool) -> None:
    body = {"previous_response_id": "resp_1"} | ({"conversation": conversation} if in_body else {})
    error = _refusal(body, conversation=None if in_body else conversation)
    assert (error.status, error.error.code) == (400, "mutually_exclusive_parameters")
    assert error.error.param == "previous_response_id"
    assert error.error.message == "'previous_response_id' and a conversation may not be given together."


# -- only what is new -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"), [({}, {"delta": True}), ({"parley": {"history": "delta"}}, {})], ids=["header", "body"]
)
def test_what_is_new_follows_the_newest_turn_of_the_name(body: Json, said: Json) -> None:
    named = _name(body, conversation="c", **said)[1]
    assert named == Named(name="c", delta=True) and named.only_new


def test_a_whole_history_is_what_a_name_means() -> None:
    assert not _name({"parley": {"history": "whole"}}, conversation="c")[1].only_new


@pytest.mark.parametrize(
    ("body", "said"), [({}, {"delta": True}), ({"parley": {"history": "delta"}}, {})], ids=["header", "body"]
)
def test_what_is_new_without_a_name_is_refused(body: Json, said: Json) -> None:
    error = _refusal(body, **said)
    assert (error.status, error.error.code) == (400, "previous_response_not_found")
    assert error.error.param == "previous_response_id"
    assert "must name its conversation" in error.error.message


# -- which names a body has -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        (Named(name="c"), "c"),
        (Named(parent="conv_1"), "conv_1"),
        (Named(parent="resp_1"), None),
        (Named(), None),
    ],
)
def test_conversation_that_is_shown_is_parleys_or_the_upstreams(named: Named, shown: str | None) -> None:
    assert named.shown == shown


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"previous_response_id": "resp_1"}, True),
        ({"conversation": "conv_1"}, True),
        ({"conversation": {"id": "conv_1"}}, True),
        ({"conversation": None, "previous_response_id": None}, False),
        ({"conversation_id": "c"}, False),
        ({}, False),
    ],
)
def test_body_names_what_its_messages_follow_upstream(body: Json, named: bool) -> None:
    assert names_parent(request(**body)) is named


def test_body_that_names_two_is_refused() -> None:
    with pytest.raises(InvalidRequest) as raised:
        names_parent(request(previous_response_id="resp_1", conversation="conv_1"))
    error = raised.value.error
    assert error.message == "'previous_response_id' and 'conversation' may not be given together."


def test_characters_that_could_end_a_header_are_replaced() -> None:
    assert without_control("a\nb\x85\ud800é") == "a?b??é"
