"""The names of what is kept: they hold digests alone, and each begins with its tenant."""

import re

import msgspec
import pytest

from services.state.keys import Keys, immutable, listed

TENANT = "0a" * 16
KEYS = Keys(TENANT)
ALL = [
    KEYS.turn("e1"),
    KEYS.items("e1"),
    KEYS.loose("a1"),
    KEYS.head("my name.*", "5c"),
    KEYS.member("my name.*", "e1", "resp_1"),
    KEYS.owner("file_.>"),
]


@pytest.mark.parametrize("key", ALL)
def test_key_is_words_of_hexadecimal_digits_that_begin_with_the_tenant(key: str) -> None:
    assert re.fullmatch(rf"{TENANT}\.[tilhmo](\.[0-9a-f]+)+", key)


def test_keys_differ() -> None:
    assert len(set(ALL)) == len(ALL)
    assert KEYS.head("a", "5c") != KEYS.head("b", "5c")
    assert KEYS.owner("a") != KEYS.owner("b")


@pytest.mark.parametrize("tenant", ["", "0a", "0A" * 16, "x" * 32, "0a" * 16 + ".t", "0a" * 17])
def test_tenant_that_is_none_is_refused(tenant: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        Keys(tenant)


def test_key_is_listed_under_the_prefixes_that_are_asked_for() -> None:
    assert listed(KEYS.turn("e1")) == [KEYS.turns()]
    assert listed(KEYS.head("c", "5c")) == [KEYS.all_heads(), KEYS.heads("c")]
    assert listed(KEYS.member("c", "e1", "r")) == [KEYS.members("c")]
    assert [listed(key) for key in (KEYS.items("e1"), KEYS.loose("a1"), KEYS.owner("o"))] == [[], [], []]


def test_only_turns_and_items_never_change() -> None:
    assert [key.split(".")[1] for key in ALL if immutable(key)] == ["t", "i"]
