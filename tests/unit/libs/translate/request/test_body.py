import json
from typing import Any

import msgspec
import pytest

from libs.translate.errors import InvalidRequest
from libs.translate.request.body import Reader
from libs.translate.request.translating import parse
from tests.support.chats import USER, Json, body, calling, text, tool, user


@pytest.mark.parametrize(
    ("data", "param", "code"),
    [
        (b"", None, None),
        (b"{", None, None),
        (b"\xff", None, None),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', None, None),
        (b"[]", None, None),
        (b"null", None, None),
        (b"[" * 100_000, None, None),
        (b"{}", "model", "missing_required_parameter"),
        (b'{"model":"m"}', "messages", "missing_required_parameter"),
        (b'{"model":7,"messages":[]}', "model", "invalid_type"),
        (b'{"model":"m","messages":[{"role":"user","content":7}]}', "messages[0].content", "invalid_type"),
        (
            b'{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]}',
            "messages[0].tool_calls[0].id",
            "missing_required_parameter",
        ),
        (b'{"model":"m","messages":[],"temperature":"hot"}', "temperature", "invalid_type"),
        (b'{"model":"m","messages":[],"tools":[{"type":"function","function":{}}]}', "tools[0].function.name", None),
        (b'{"model":"m","messages":[],"tools":[{}]}', "tools[0].type", "missing_required_parameter"),
        (b'{"model":"m","messages":[],"tools":[1]}', "tools[0]", "invalid_type"),
        (b'{"model":"m","messages":[],"tool_choice":1}', "tool_choice", "invalid_type"),
        (b'{"model":"m","messages":[],"x":1,"temperature":"hot"}', "temperature", "invalid_type"),
        (b'{"x":1,"model":"m","messages":[5]}', "messages[0]", "invalid_type"),
        (b'{"model":"m","messages":[],"x":' + b"[" * 100_000, None, None),
    ],
)
def test_a_body_that_cannot_be_read_names_what_is_wrong(data: bytes, param: str | None, code: str | None) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(data)
    error = raised.value
    assert (error.status, error.error.param, error.error.type) == (400, param, "invalid_request_error")
    assert error.error.code == code or code is None
    assert error.error.message and "$" not in error.error.message


def test_a_wrong_type_is_told_in_words() -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(body(max_tokens="many"))
    assert raised.value.error.message == "Invalid type for 'max_tokens': expected int, but got str instead."


def test_a_wrong_value_is_named_without_its_place_in_our_own_words() -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(body(parley={"format": "xml"}))
    assert (raised.value.error.message, raised.value.error.param) == ("Invalid enum value 'xml'", "parley.format")


# -- unknown keys -----------------------------------------------------------------------------------


def _unknown(*given: Json, **fields: Any) -> dict[str, Any]:
    unknown = parse(body(*given, **fields)).unknown
    return {path: json.loads(bytes(raw)) for path, raw in unknown.items()}


def test_a_key_that_nothing_names_is_found_wherever_it_stands() -> None:
    image = {"type": "image_url", "image_url": {"url": "u", "format": "png"}, "cache_control": {"type": "x"}}
    calls = calling("a")
    calls["tool_calls"][0]["extra_content"] = {"signature": "s"}
    function = {"type": "function", "function": {"name": "f", "async": True}, "cache_control": 1}
    assert _unknown({**USER, "weight": 1}, user([text("x"), image]), calls, tool("a"), tools=[function], top_k=5) == {
        "top_k": 5,
        "messages[0].weight": 1,
        "messages[1].content[1].cache_control": {"type": "x"},
        "messages[1].content[1].image_url.format": "png",
        "messages[2].tool_calls[0].extra_content": {"signature": "s"},
        "tools[0].function.async": True,
        "tools[0].cache_control": 1,
    }


def test_an_unknown_key_that_holds_nothing_is_not_told() -> None:
    assert _unknown({**USER, "vendor": None}, top_k=None) == {}


def test_unknown_keys_are_found_in_a_body_that_is_laid_out() -> None:
    data = json.loads(body({**USER, "weight": 1}, user([text("x")]), top_k=5))
    parsed = parse(b"\n " + json.dumps(data, indent=4).encode() + b"\n")
    assert list(parsed.unknown) == ["messages[0].weight", "top_k"]
    assert len(parsed.chat.messages) == 2


def test_the_rest_of_a_body_with_unknown_keys_is_kept_byte_for_byte() -> None:
    schema = b'{ "b":1.50, "a":{} }'
    data = b'{"x":1,"model":"m","messages":[{"role":"user","content":"h\\u00e9"}],"metadata":%b}' % schema
    parsed = parse(data)
    assert parsed.chat.messages[0].content == "hé"
    assert bytes(parsed.chat.metadata) == schema


def test_what_clients_echo_is_known() -> None:
    echoed: Json = {"annotations": [], "parsed": None, "audio": None, "function_call": None, "reasoning_content": "Hm."}
    calls = calling("a")
    calls["tool_calls"][0]["index"] = 0
    calls["tool_calls"][0]["function"] |= {"parsed_arguments": {}}
    assert _unknown({**calls, **echoed, "refusal": None}, tool("a")) == {}


class Cat(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="cat"):
    lives: int = 9


class Dog(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="dog"):
    tricks: list[str] = []


def test_unknown_keys_are_found_by_the_tag_of_their_object() -> None:
    reader: Reader[Cat | Dog] = Reader(Cat | Dog)
    assert reader.read(b'{"kind":"dog","tricks":["sit"],"lives":1}', "pet") == (
        Dog(["sit"]),
        {"pet.lives": msgspec.Raw(b"1")},
    )
    with pytest.raises(InvalidRequest) as raised:
        reader.read(b'{"kind":"cow","lives":1}', "pet")
    assert raised.value.error.param == "pet.kind"
    with pytest.raises(InvalidRequest) as raised:
        reader.read(b'{"kind":"dog","lives":1,"tricks":7}', "pet")
    assert raised.value.error.param == "pet.tricks"
