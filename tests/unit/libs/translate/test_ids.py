import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.translate.ids import completion_id, response_id


def test_a_completion_is_named_after_its_response() -> None:
    assert completion_id("resp_68a1") == "chatcmpl-68a1"
    assert response_id("chatcmpl-68a1") == "resp_68a1"


@given(st.one_of(st.text(), st.text().map("resp_".__add__), st.text().map("resp_~".__add__)))
def test_every_id_can_be_found_again(name: str) -> None:
    assert response_id(completion_id(name)) == name


@given(st.lists(st.sampled_from(["resp_", "~", "a", ""]), max_size=4).map("".join))
def test_no_two_ids_become_one(name: str) -> None:
    assert response_id(completion_id(name)) == name


@pytest.mark.parametrize("foreign", ["", "resp_1", "chatcmpl-", "cmpl-1"])
def test_an_id_that_is_not_ours_names_nothing(foreign: str) -> None:
    assert response_id(foreign) is None
