import base64
import hashlib
import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libs.translate import lift as lift_module
from libs.translate.lift import MIN_BYTES, SpliceError, lift, splice, total_bytes

NONCE = "0123456789abcdef" * 2
BASE64 = base64.b64encode(bytes(range(256)) * 64).decode()
DATA_URL = "data:image/png;base64," + BASE64
PROSE = "The tide turns twice a day. " * 1000


def _back(body: bytes) -> bytes:
    """Lift and splice with nothing between."""
    skeleton = lift(body, NONCE)
    return b"".join(splice(skeleton.body, skeleton))


def _dump(value: Any, **options: Any) -> bytes:
    return json.dumps(value, **options).encode()


@pytest.mark.parametrize("value", [DATA_URL, BASE64, "data:application/pdf;charset=utf-8;base64," + BASE64])
def test_long_media_is_lifted(value: str) -> None:
    body = _dump({"a": [{"image_url": value}], "b": 1})
    skeleton = lift(body, NONCE)
    (lifted,) = skeleton.lifted
    assert json.loads(skeleton.body) == {"a": [{"image_url": lifted.placeholder}], "b": 1}
    assert lifted.sha256 == hashlib.sha256(value.encode()).hexdigest()
    assert (lifted.length, lifted.start) == (len(value), value[:256])


@pytest.mark.parametrize(
    "value",
    [
        PROSE,
        "Look: " + DATA_URL,
        DATA_URL + " and more",
        DATA_URL.replace("A", "\n"),
        'said "' + BASE64 + '" twice',
        BASE64 + '"',
        "ü" + BASE64,
        BASE64 + "🌊",
        "x" * (MIN_BYTES - 1),
        "data:" + PROSE.replace(" ", "_"),
        "=" * MIN_BYTES,
        "A" * 254 + "==" + BASE64,
    ],
    ids=[
        *("prose", "before", "after", "line_ends", "quoted", "quote_at_end", "head", "tail", "short", "no_type"),
        *("pads", "pads_at_the_beginning"),
    ],
)
def test_text_is_never_lifted(value: str) -> None:
    for ascii_only in (True, False):
        assert lift(_dump({"image_url": value}, ensure_ascii=ascii_only), NONCE).lifted == []


def test_a_string_is_long_from_the_threshold_on() -> None:
    for length, count in ((MIN_BYTES - 1, 0), (MIN_BYTES, 1)):
        assert len(lift(_dump({"file_data": BASE64[:length]}), NONCE).lifted) == count


def test_a_key_is_never_lifted() -> None:
    assert lift(_dump({BASE64: 1}), NONCE).lifted == []
    assert lift(b'{"%b" \n\t:1}' % BASE64.encode(), NONCE).lifted == []


def test_bytes_outside_of_strings_are_never_lifted() -> None:
    for body in (
        b'["a",' + b"1" * 20000 + b',"b"]',
        b'{"a":1' + b" " * 20000 + b"}",
        b"1" * 40000,
        b'"' + b"A" * 40000,
    ):
        assert lift(body, NONCE).lifted == []


def test_a_string_that_ends_with_a_backslash_hides_nothing() -> None:
    body = _dump({"a": "b\\", "image_url": DATA_URL})
    assert len(lift(body, NONCE).lifted) == 1
    assert _back(body) == body


def test_media_is_found_wherever_it_begins() -> None:
    for offset in [*range(0, 40), 4090, 8180, 8185, 8191, 8192, 8193, 16384]:
        body = _dump(["." * offset, {"image_url": DATA_URL}, "x"])
        assert [lifted.length for lifted in lift(body, NONCE).lifted] == [len(DATA_URL)]


SMALL = st.text(max_size=8) | st.sampled_from(['"', "\\", '\\"', "{", ":", "=", "data:", "data:a/b,", "ü", "🌊"])
LONG = st.builds(
    lambda head, body, times, tail: head + body * times + tail,
    st.sampled_from(["", "data:image/png;base64,", " ", '"', "\\"]),
    st.sampled_from(["A", "abcd", "AB==", "x y ", '\\"', "é"]),
    st.sampled_from([1, 100, MIN_BYTES // 4, MIN_BYTES, MIN_BYTES + 1]),
    st.sampled_from(["", "=", "==", '"', ":", "\n"]),
)
KEY = st.sampled_from(["image_url", "url", "file_data", "input_audio", "data"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | SMALL | LONG,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SMALL | LONG | KEY, inner, max_size=4),
    max_leaves=8,
)


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
@example({DATA_URL: DATA_URL, "a": [{"image_url": BASE64}, {"file_data": BASE64}]}, True, None)
def test_splice_undoes_lift(value: Any, ascii_only: bool, indent: int | None) -> None:
    body = _dump(value, ensure_ascii=ascii_only, indent=indent)
    skeleton = lift(body, NONCE)
    assert b"".join(splice(skeleton.body, skeleton)) == body
    json.loads(skeleton.body)


@given(st.binary(max_size=200), st.integers(0, 3))
def test_splice_undoes_lift_of_bytes_that_are_no_json(noise: bytes, copies: int) -> None:
    body = noise.join([b'"image_url":"' + DATA_URL.encode() + b'"'] * copies) + noise
    assert _back(body) == body


def test_splice_puts_media_where_its_placeholder_went() -> None:
    body = _dump({"image_url": DATA_URL, "file_data": BASE64})
    skeleton = lift(body, NONCE)
    first, second = (lifted.placeholder for lifted in skeleton.lifted)
    pieces = splice(_dump([second, "x", first]), skeleton)
    assert json.loads(b"".join(pieces)) == [BASE64, "x", DATA_URL]
    assert total_bytes(pieces) == len(b"".join(pieces))


def test_splice_knows_a_placeholder_among_digits() -> None:
    skeleton = lift(_dump({"file_data": BASE64, "image_url": DATA_URL}), NONCE)
    first, second = (lifted.placeholder for lifted in skeleton.lifted)
    assert json.loads(b"".join(splice(_dump([first + "17", second + "0"]), skeleton))) == [
        BASE64 + "17",
        DATA_URL + "0",
    ]


def test_splice_ends_a_placeholder_at_its_first_dot() -> None:
    skeleton = lift(_dump({"file_data": BASE64}), NONCE)
    assert json.loads(b"".join(splice(_dump([skeleton.lifted[0].placeholder + "5."]), skeleton))) == [BASE64 + "5."]


def test_splice_leaves_out_media_that_the_conversion_dropped() -> None:
    skeleton = lift(_dump([{"image_url": DATA_URL}, {"file_data": BASE64}]), NONCE)
    assert b"".join(splice(b"{}", skeleton)) == b"{}"


def test_splice_refuses_a_placeholder_twice() -> None:
    skeleton = lift(_dump({"image_url": DATA_URL}), NONCE)
    (lifted,) = skeleton.lifted
    with pytest.raises(SpliceError):
        splice(_dump([lifted.placeholder, lifted.placeholder]), skeleton)


@pytest.mark.parametrize("index", ["1", "", "x", "-0", "0" * 20, "0\u0661"])
def test_splice_refuses_a_placeholder_that_was_never_issued(index: str) -> None:
    skeleton = lift(_dump({"image_url": DATA_URL}), NONCE)
    with pytest.raises(SpliceError):
        splice(_dump([skeleton.lifted[0].placeholder.replace(":0.", f":{index}.")]), skeleton)


def test_a_client_cannot_name_a_placeholder_of_another_request() -> None:
    body = _dump([{"image_url": DATA_URL}, f"parley-lift:{'f' * 32}:0."])
    assert _back(body) == body


IMAGE = {"type": "image_url", "image_url": {"detail": "high", "url": DATA_URL}}


@pytest.mark.parametrize(
    "part",
    [
        IMAGE,
        {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}},
        {"type": "image_url", "image_url": DATA_URL},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": BASE64}},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": BASE64}},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": DATA_URL}]},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": DATA_URL}},
        {"role": "assistant", "audio": {"id": "audio_1", "transcript": "Yes.", "data": BASE64}},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_every_place_of_media_is_known(part: dict[str, Any], indent: int | None) -> None:
    body = _dump({"messages": [part]}, indent=indent)
    assert len(lift(body, NONCE).lifted) == 1
    assert _back(body) == body


@pytest.mark.parametrize(
    "fields",
    [
        {name: BASE64}
        for name in (
            *("user", "safety_identifier", "conversation", "conversation_id", "previous_response_id", "model"),
            *("prompt_cache_key", "id", "call_id", "tool_call_id", "name", "content", "text", "output", "arguments"),
            *("metadata", "url", "data", "encrypted_content", "authorization", "filename", "file_id"),
        )
    ]
    + [
        {"conversation": {"id": BASE64}},
        {"metadata": {"data": BASE64, "url": DATA_URL}},
        {"metadata": [{"url": DATA_URL}]},
        {"image_url": [DATA_URL]},
        {"user": "image_url", "name": BASE64},
        {"image_url": {"url": "u"}, "url": DATA_URL},
        {'x"image_url': DATA_URL},
        {'"file_data': BASE64},
        {"text": json.dumps({"image_url": DATA_URL})},
    ],
)
def test_names_users_ids_and_texts_are_never_lifted(fields: dict[str, Any]) -> None:
    assert lift(_dump({"model": "m", **fields}), NONCE).lifted == []


SIZE = 8 * 1024 * 1024


@pytest.mark.parametrize(
    "body",
    [
        b'"' * SIZE,
        b'\\"' * (SIZE // 2),
        b" " * SIZE,
        (b'"' + b"A" * (MIN_BYTES - 1)) * (SIZE // MIN_BYTES),
        b'["' + b'","'.join([b"A" * MIN_BYTES] * (SIZE // MIN_BYTES)) + b'"]',
        b'[{"url":"' + b'"},{"url":"'.join([b"A" * MIN_BYTES] * (SIZE // MIN_BYTES)) + b'"}]',
        b'[{"image_url":"' + b'"},{"image_url":"'.join([b"A" * MIN_BYTES] * (SIZE // MIN_BYTES)) + b'"}]',
        b'["' + b'" : "'.join([b"A" * MIN_BYTES] * (SIZE // MIN_BYTES)) + b'"]',
        b'["' + (b"A" * (MIN_BYTES - 2) + b'\\"') * (SIZE // MIN_BYTES) + b'"]',
        b'["' + (b"A" * MIN_BYTES + b'"' + b" " * MIN_BYTES + b'"') * (SIZE // MIN_BYTES // 2) + b"]",
    ],
    ids=["quotes", "escaped_quotes", "spaces", "halves", "strings", "ownerless", "media", "keys", "escapes", "gaps"],
)
def test_lift_takes_linear_time(body: bytes) -> None:
    begun = time.perf_counter()
    lift(body, NONCE)
    assert time.perf_counter() - begun < 2  # quadratic: minutes


def test_the_threshold_is_low_enough_for_its_block() -> None:
    assert lift_module._BLOCK * 2 <= MIN_BYTES
