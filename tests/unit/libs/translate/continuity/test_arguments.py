import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from libs.translate.continuity.arguments import MAX_PARTS, agrees, canonical, outline

WHOLE = '{"a":{"b":[1,{"c":"é","d":null}],"e":true},"f":"x"}'


def _agrees(echoed: str, given_: str) -> bool:
    return agrees(echoed, outline(given_))


# -- the same ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("echoed", "given_"),
    [
        ('{"f":"x","a":{"e":true,"b":[1,{"d":null,"c":"é"}]}}', WHOLE),
        (json.dumps(json.loads(WHOLE), indent=2), WHOLE),
        (WHOLE.replace("é", "\\u00e9"), WHOLE),
        ('{"a":"/"}', '{"a":"\\/"}'),
        ('{"a":1}', '{"a":1.0}'),
        ('{"a":1.0}', '{"a":1}'),
        ('{"a":100}', '{"a":1e2}'),
        ('{"a":0}', '{"a":-0.0}'),
        ('{"a":[]}', '{"a": [ ] }'),
        ("", "{}"),
        ("{}", ""),
        (" \n", "{}"),
        ("[1,2]", "[1, 2]"),
        ("null", " null"),
    ],
)
def test_arguments_that_were_written_anew_are_the_same(echoed: str, given_: str) -> None:
    assert _agrees(echoed, given_)
    assert canonical(echoed) == canonical(given_)


@pytest.mark.parametrize(
    "thinned",
    [
        '{"f":"x"}',
        '{"a":{"e":true},"f":"x"}',
        '{"a":{"b":[1,{"d":null}],"e":true},"f":"x"}',
        '{"a":{"b":[1,{}]}}',
        '{"a":{}}',
        "{}",
        "",
    ],
)
def test_arguments_that_lost_keys_agree_with_what_was_given_but_not_the_other_way(thinned: str) -> None:
    assert _agrees(thinned, WHOLE)
    assert not _agrees(WHOLE, thinned)
    assert canonical(thinned) != canonical(WHOLE)


# -- edits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("echoed", "given_"),
    [
        ('{"a":2}', '{"a":1}'),
        ('{"a":"1"}', '{"a":1}'),
        ('{"a":true}', '{"a":1}'),
        ('{"a":1.5}', '{"a":1}'),
        ('{"a":null}', '{"a":1}'),
        ('{"a":null}', "{}"),
        ('{"a":"B"}', '{"a":"b"}'),
        ('{"a":"b "}', '{"a":"b"}'),
        ('{"a":1,"b":2}', '{"a":1}'),
        ('{"a":{"b":1}}', '{"a":{"c":1}}'),
        ('{"b":1}', '{"a":{"b":1}}'),
        ('{"a":{}}', '{"a":[]}'),
        ('{"a":[1]}', '{"a":[1,2]}'),
        ('{"a":[1,2,3]}', '{"a":[1,2]}'),
        ('{"a":[2,1]}', '{"a":[1,2]}'),
        ('{"a":[]}', '{"a":[1]}'),
        ('{"a":[{},{}]}', '{"a":[{"b":1}]}'),
        ("[]", "{}"),
        ("", "[]"),
        ("1", "{}"),
        # Keys that look like a way to somewhere else.
        ('{"a/b":1}', '{"a":{"b":1}}'),
        ('{"a/1:b":1}', '{"a":{"b":1}}'),
        ('{"a":{"#0":1}}', '{"a":[1]}'),
        ('{"#0":1}', "[1]"),
        ('{"":{"":1}}', '{"":1}'),
    ],
)
def test_edited_arguments_never_agree(echoed: str, given_: str) -> None:
    assert not _agrees(echoed, given_)


# -- no JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["SELECT 1", '{"a":', "NaN", '{"a":1e400}', "[" * 5000 + "]" * 5000])
def test_what_is_no_json_is_compared_as_it_is(text: str) -> None:
    assert _agrees(text, text)
    assert not _agrees(text + " ", text)
    assert not _agrees(text, text + " ")
    assert not _agrees(text, "{}")
    assert _agrees(json.dumps(text), text)  # a JSON text that says the same stands for the same


# -- many -------------------------------------------------------------------------------------------


def _object(keys: int, **more: Any) -> str:
    return json.dumps({**{f"k{k}": k for k in range(keys)}, **more})


def test_arguments_of_many_parts_are_compared_as_a_whole() -> None:
    most, many = _object(MAX_PARTS - 1), _object(MAX_PARTS)
    assert (len(outline(most)), len(outline(many))) == (8 * MAX_PARTS, 8)
    assert _agrees(json.dumps(json.loads(many), indent=1, sort_keys=True), many)
    assert _agrees(_object(3), most)
    assert not _agrees(_object(3), many)
    assert not _agrees(_object(MAX_PARTS, k0=7), many)
    assert not _agrees(many, most)
    assert not _agrees(_object(MAX_PARTS + 1), many)


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        (
            '{"a":[1,{"b":null}],"c":"x"}',
            "496d6d3d808fd2f671db02bdbb41f5068a6319fd35ea197f64f9f13c999939b2f419772b3b3707e15471ae70e4608be1",
        ),
        ("", "496d6d3d808fd2f6"),
        ("ls -l", "7e3c708e904d3e3f"),
        (r'{"\ud800":[{}]}', "79004e6dfe631990"),
    ],
)
def test_outlines_that_stand_in_stores_stay_what_they_are(given_: str, kept: str) -> None:
    assert outline(given_).hex() == kept


def test_an_outline_of_nothing_agrees_with_nothing() -> None:
    assert not agrees("{}", b"")


# -- any value --------------------------------------------------------------------------------------

LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.text("ab/#:1", max_size=3), VALUES, max_size=4)

WRITERS: list[Callable[[Any], str]] = [
    json.dumps,
    lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
    lambda value: json.dumps(value, indent=2, sort_keys=True),
]


def _thinned(value: Any, draw: Callable[[], bool]) -> Any:
    if isinstance(value, dict):
        return {key: _thinned(inner, draw) for key, inner in value.items() if draw()}
    return [_thinned(inner, draw) for inner in value] if isinstance(value, list) else value


def _changed(value: Any) -> Iterator[Any]:
    """The value with each of its leaves replaced in turn."""
    if isinstance(value, dict):
        yield from ({**value, key: other} for key, inner in value.items() for other in _changed(inner))
    elif isinstance(value, list):
        yield from ([*value[:k], other, *value[k + 1 :]] for k, inner in enumerate(value) for other in _changed(inner))
    else:
        yield "another"


@given(VALUES, st.sampled_from(WRITERS), st.sampled_from(WRITERS))
def test_any_value_agrees_with_itself_however_it_is_written(
    value: Any, write: Callable[[Any], str], rewrite: Callable[[Any], str]
) -> None:
    assert _agrees(rewrite(json.loads(write(value))), write(value))
    assert canonical(rewrite(value)) == canonical(write(value))


@given(OBJECTS, st.data())
def test_any_value_agrees_when_it_has_lost_keys(value: Any, data: st.DataObject) -> None:
    thinned = _thinned(value, lambda: data.draw(st.booleans()))
    assert _agrees(json.dumps(thinned), json.dumps(value))


@given(OBJECTS)
def test_no_value_agrees_when_a_leaf_was_changed(value: Any) -> None:
    for changed in _changed(value):
        assume("another" not in json.dumps(value))
        assert not _agrees(json.dumps(changed), json.dumps(value))


@given(st.text(max_size=30))
def test_any_text_is_taken(text: str) -> None:
    assert _agrees(text, text)
