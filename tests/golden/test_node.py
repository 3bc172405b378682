"""The official Node SDK rebuilds every golden stream."""

import json

import pytest

from tests.support import golden, node_sdk
from tests.support.answers import Json

CASES = [case for case in golden.CASES if not golden.fails(golden.read(case, "upstream.sse"))]

pytestmark = node_sdk.needed


@pytest.fixture(scope="module")
def rebuilt() -> Json:
    return node_sdk.rebuild({case: golden.read(case, "client.sse").decode() for case in CASES})


@pytest.mark.parametrize("case", CASES)
def test_node_rebuilds_the_whole_answer(case: str, rebuilt: Json) -> None:
    made, whole = rebuilt[case], json.loads(golden.read(case, "completion.json"))
    assert "error" not in made, made
    for streamed, expected in zip(made["choices"], whole["choices"], strict=True):
        assert streamed["finish_reason"] == expected["finish_reason"]
        assert node_sdk.meant(streamed["message"]) == node_sdk.meant(expected["message"])
