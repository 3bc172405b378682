"""Calls that an upstream's own chat endpoint answers."""

import pytest

from libs.schemas.plan import MarkPlan
from libs.translate.errors import TranslationError
from libs.translate.request.native import to_mark


def test_such_a_call_is_marked_in_its_conversation() -> None:
    assert to_mark("c", "owner", only_new=False, typed=False, what="'seed'") == MarkPlan(
        scope="owner", conversation="c", known=True
    )
    assert to_mark(None, "owner", only_new=False, typed=False, what="'seed'") is None


@pytest.mark.parametrize("name", [None, "c"])
def test_what_is_only_new_is_refused(name: str | None) -> None:
    with pytest.raises(TranslationError) as caught:
        to_mark(name, "owner", only_new=True, typed=False, what="'seed'")
    assert (caught.value.status, caught.value.error.code) == (400, "previous_response_not_found")
    assert caught.value.error.message.startswith("'seed' needs the upstream's own chat endpoint")


def test_typed_events_are_refused_where_there_are_none() -> None:
    with pytest.raises(TranslationError) as caught:
        to_mark(None, "owner", only_new=False, typed=True, what="'seed'")
    error = caught.value.error
    assert (caught.value.status, error.param, error.code) == (400, "x-parley-format", "unsupported_value")
