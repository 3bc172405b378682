import pytest

from libs.translate.request.dropped import to_header_names
from tests.support.chats import USER, assistant, translated


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        ([], []),
        (["seed", "messages[0].name", "seed"], ["seed", "messages[0].name"]),
        ([f"messages[{k}].name" for k in range(8)], [f"messages[{k}].name" for k in range(8)]),
        (["seed", *(f"messages[{k}].name" for k in range(9))], ["seed", "messages[*].name"]),
        (["a,b", "x\r\ny", "é"], ["a%2Cb", "x%0D%0Ay", "%C3%A9"]),
    ],
)
def test_names_are_told_once_and_safely(paths: list[str], told: list[str]) -> None:
    assert to_header_names(paths) == told


def test_what_does_not_fit_is_counted() -> None:
    told = to_header_names([f"field_{k:04}" for k in range(1000)])
    assert len(",".join(told)) <= 4096 + len(told[-1])
    assert told[-1] == f"+{1000 - (len(told) - 1)}"


def test_a_long_history_does_not_make_a_long_header() -> None:
    history = [message for _ in range(100) for message in (USER, assistant("Yes.", reasoning_content="Hm."))]
    assert translated(*history).dropped == ["messages[*].reasoning_content"]
