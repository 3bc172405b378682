import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from libs.translate.answer.logprobs import to_choice_logprobs, to_logprobs
from tests.support.answers import token


def _told(*tokens: Any) -> Any:
    return msgspec.to_builtins(to_logprobs(Raw(json.dumps(tokens).encode())))


def test_a_token_gets_the_bytes_that_a_delta_lacks() -> None:
    assert _told(token("é", top_logprobs=[{"token": "e", "logprob": -1}])) == [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [0xC3, 0xA9],
            "top_logprobs": [{"token": "e", "logprob": -1.0, "bytes": [0x65]}],
        }
    ]


def test_bytes_that_came_are_kept() -> None:
    assert _told(token("a", bytes=[1, 2]))[0]["bytes"] == [1, 2]


def test_a_token_cut_inside_a_character_has_lost_its_bytes() -> None:
    assert _told(token("\N{REPLACEMENT CHARACTER}"))[0]["bytes"] is None


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"7", b'[{"logprob":"x"}]'])
def test_what_tells_nothing_is_nothing(raw: bytes) -> None:
    assert to_choice_logprobs(to_logprobs(Raw(raw))) is None


def test_alternatives_may_lack() -> None:
    assert _told({"token": "a", "logprob": 0})[0]["top_logprobs"] == []
