"""JSON that holds halves of characters, or bytes that are no UTF-8, is read as what it most nearly says."""

import json
from typing import Any

import msgspec
import pytest

from libs.schemas.wire.events import TornDelta, decode_event
from libs.schemas.wire.output import RESPONSE_DECODER, MessageItem, decode_item
from libs.schemas.wire.parts import TextPart, decode_part
from libs.schemas.wire.surrogates import decode, ends_in_half, joined_halves, mended, read_text, sound

HIGH, LOW, WAVE = "\ud83c", "\udf0a", "🌊"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain", "plain"),
        (HIGH + LOW, WAVE),
        (f"a{HIGH}b", "a\ufffdb"),
        (f"{LOW}{HIGH}", "\ufffd\ufffd"),
        (HIGH + HIGH + LOW, f"\ufffd{WAVE}"),
        (HIGH, "\ufffd"),
    ],
)
def test_halves_that_follow_each_other_are_one_character(text: str, said: str) -> None:
    assert joined_halves(text) == said


def test_only_a_first_half_may_wait_for_the_other() -> None:
    assert [ends_in_half(text) for text in (HIGH, f"a{HIGH}", LOW, f"{HIGH}a", WAVE, "")] == [True, True] + [False] * 4


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (rb'{"a":"\ud83c"}', {"a": "\ufffd"}),
        (rb'{"a":"\ud83c\udf0a","b":"\udf0a"}', {"a": WAVE, "b": "\ufffd"}),
        (rb'{"a":"\\ud83c"}', {"a": r"\ud83c"}),  # an escaped backslash, and letters
        (rb'{"a":"\\\ud83c"}', {"a": "\\\ufffd"}),
        (b'{"a":"\xed\xa0\xbc"}', {"a": "\ufffd"}),  # a half as bytes
        (b'{"a":"\xed\xa0\xbc\xed\xbc\x8a"}', {"a": WAVE}),
        (b'{"a":"\xff\xf0\x9f"}', {"a": "\ufffd\ufffd"}),
        ('{"\u00e9":"\\ud83c"}'.encode(), {"é": "\ufffd"}),
    ],
)
def test_what_is_torn_is_mended(data: bytes, value: Any) -> None:
    assert msgspec.json.decode(mended(data)) == value
    assert decode(msgspec.json.Decoder(), data) == value


@pytest.mark.parametrize("data", [b"", b"{", rb'{"a":"\ud83c', b'{"a":"\0\0"}', rb'{"a":"\ud83"}', b"NaN"])
def test_what_is_no_json_stays_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(msgspec.json.Decoder(), data)


def test_halves_of_a_text_are_read_whatever_else_it_holds() -> None:
    for text in (f"a{HIGH}", f"{LOW}\ufdd0b\ufdd1{HIGH}", f"\\{HIGH}{LOW}{HIGH}", f"{HIGH}{HIGH}\\u{LOW}"):
        for ascii_ in (True, False):
            data = json.dumps({"delta": text, "other": HIGH}, ensure_ascii=ascii_).encode("utf-8", "surrogatepass")
            assert joined_halves(read_text(data, "delta")) == joined_halves(text)
            assert read_text(data, "delta")[-1] == text[-1]
    all_marks = "".join(map(chr, range(0xFDD0, 0xFDF0)))
    assert read_text(json.dumps({"delta": all_marks + HIGH}).encode(), "delta").startswith(all_marks)


def test_what_is_sound_is_not_touched() -> None:
    for data in (b'{"a" : 1}', '{"a" : "é"}'.encode()):
        assert sound(data) is data
    assert sound(b'{"a" : "\xff"}') == '{"a" : "\ufffd"}'.encode()


def test_response_is_read_whatever_its_texts_hold() -> None:
    part = {"type": "output_text", "text": f"Hi {HIGH}there", "annotations": []}
    body = {"id": "r", "model": f"m{LOW}", "output": [{"type": "message", "content": [part]}], "usage": {"x": HIGH}}
    response = RESPONSE_DECODER.decode(json.dumps(body).encode())
    assert (response.id, response.model) == ("r", "m\ufffd")
    item = decode_item(response.output[0])
    assert isinstance(item, MessageItem)
    read = decode_part(item.content[0])
    assert isinstance(read, TextPart) and read.text == "Hi \ufffdthere"
    odd = RESPONSE_DECODER.decode(json.dumps({**body, "created_at": "soon"}).encode())  # read member by member
    assert (odd.id, odd.created_at, len(odd.output)) == ("r", 0, 1)


def test_halves_of_a_delta_are_left_to_be_joined() -> None:
    data = json.dumps({"type": "response.refusal.delta", "output_index": 0, "content_index": 0, "delta": f"a{HIGH}"})
    for name in (b"response.refusal.delta", b""):
        event = decode_event(name, data.encode())
        assert isinstance(event, TornDelta) and event.event.delta == f"a{HIGH}"


@pytest.mark.parametrize("raw", [rb'"\ud83c"', b'"\xff"'])
@pytest.mark.parametrize("name", ["output_item.added", "output_item.done", "content_part.done", "completed"])
def test_what_events_keep_raw_is_sound(name: str, raw: bytes) -> None:
    item = b'{"type":"message","content":[{"type":"output_text","text":%b}]}' % raw
    data = b'{"type":"response.%b","output_index":0,"content_index":0,"item":%b,"part":%b,"response":{"output":[%b]}}'
    event = decode_event(b"response." + name.encode(), data % (name.encode(), item, item, item))
    kept = [getattr(event, key) for key in ("item", "part") if hasattr(event, key)] or event.response.output  # type: ignore[union-attr]
    assert [msgspec.json.decode(one)["content"][0]["text"] for one in kept] == ["\ufffd"]


def test_absent_null_and_given_are_told_apart() -> None:
    cases = {"{}": msgspec.UNSET, '{"previous_response_id":null}': None, '{"previous_response_id":"r"}': "r"}
    for body, said in cases.items():
        for odd in ("", ',"created_at":"soon"'):  # an odd member elsewhere changes nothing
            text = body[:-1] + (odd if len(body) > 2 else odd[1:]) + "}"
            assert RESPONSE_DECODER.decode(text.encode()).previous_response_id == said, text
    assert RESPONSE_DECODER.decode(b'{"previous_response_id":7}').previous_response_id is msgspec.UNSET
    assert [RESPONSE_DECODER.decode(body).store for body in (b"{}", b'{"store":null}', b'{"store":false}')] == [
        None,
        None,
        False,
    ]
