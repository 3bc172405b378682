"""Seals: only the right secret, tenant and key open them."""

import pytest

from libs.runtime.sealing import Seals

OLD, NEW = b"o" * 32, b"n" * 32
KEY, SAME_TENANT, OTHER_TENANT = "0a.t.e1", "0a.t.e2", "0b.t.e1"


def test_sealed_value_opens_and_says_nothing() -> None:
    sealed = Seals(OLD).seal(KEY, b"recognisable")
    assert b"recognisable" not in sealed
    assert Seals(OLD).open(KEY, sealed) == b"recognisable"
    assert Seals(OLD).seal(KEY, b"recognisable") != sealed


def test_value_of_another_key_or_secret_does_not_open() -> None:
    sealed = Seals(OLD).seal(KEY, b"x")
    assert Seals(OLD).open(SAME_TENANT, sealed) is None
    assert Seals(OLD).open(OTHER_TENANT, sealed) is None
    assert Seals(NEW).open(KEY, sealed) is None


@pytest.mark.parametrize("length", range(0, 30))
def test_value_cut_short_does_not_open(length: int) -> None:
    seals = Seals(OLD)
    sealed = seals.seal(KEY, b"x" * 8)
    assert seals.open(KEY, sealed[:length]) is None
    assert seals.open(KEY, sealed[:length] + bytes([sealed[length] ^ 1]) + sealed[length + 1 :]) is None
