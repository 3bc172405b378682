"""Every case both ways: what goes up, what comes down however it is cut, and stream against whole answer.

`pytest tests/golden --rewrite` writes the expected files anew; review the difference.
"""

import json
from collections.abc import Callable

import pytest
from openai import APIError

from tests.support import golden
from tests.support.golden import CASES, ROOT

Cut = Callable[[bytes], list[bytes]]


def _whole(data: bytes) -> list[bytes]:
    return [data]


def _bytewise(data: bytes) -> list[bytes]:
    return [data[k : k + 1] for k in range(len(data))]


def _inside_characters(data: bytes) -> list[bytes]:
    """Cut before every byte that continues a UTF-8 character."""
    edges = [0, *(k for k, byte in enumerate(data) if 0x80 <= byte < 0xC0), len(data)]
    return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]


def _crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


CUTS: dict[str, Cut] = {
    "whole": _whole,
    "bytewise": _bytewise,
    "crlf": lambda data: [_crlf(data)],
    "crlf_bytewise": lambda data: _bytewise(_crlf(data)),
    "cr": lambda data: [data.replace(b"\n", b"\r")],
    "inside_characters": _inside_characters,
    "with_trailing_bytes": lambda data: [data + b"event: response.queued\ndata: {}\n\ndata"],
}


FAILURES = [case for case in CASES if golden.fails(golden.read(case, "upstream.sse"))]
SUCCESSES = [case for case in CASES if case not in FAILURES]


def _expect(rewrite: bool, case: str, name: str, made: bytes | None) -> None:
    path = ROOT / case / name
    if rewrite and made is None:
        path.unlink(missing_ok=True)
    elif rewrite and made is not None:
        path.write_bytes(made)
    assert (path.read_bytes() if path.exists() else None) == made


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rewrite"))


@pytest.mark.parametrize("case", CASES)
def test_request_converts_to_the_expected_one(case: str, rewrite: bool) -> None:
    made = golden.upstream_request(golden.read(case, "chat_request.json"))
    _expect(rewrite, case, "responses_request.json", golden.pretty(made))


@pytest.mark.parametrize("case", CASES)
def test_whole_answer_converts_to_the_expected_one(case: str, rewrite: bool) -> None:
    plan = golden.plan_of(golden.read(case, "chat_request.json"))
    made = golden.whole_answer(golden.read(case, "upstream.sse"), plan)
    _expect(rewrite, case, "completion.json", None if made is None else golden.pretty(made))


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("case", CASES)
def test_stream_converts_to_the_expected_one_wherever_it_is_cut(case: str, cut: str, rewrite: bool) -> None:
    plan = golden.plan_of(golden.read(case, "chat_request.json"))
    made = golden.replay(CUTS[cut](golden.read(case, "upstream.sse")), plan)
    _expect(rewrite and cut == "whole", case, "client.sse", made)


@pytest.mark.parametrize("case", SUCCESSES)
def test_official_client_rebuilds_the_whole_answer_from_the_stream(case: str) -> None:
    whole = json.loads(golden.read(case, "completion.json"))
    rebuilt = golden.rebuild(golden.read(case, "client.sse"))
    for key in ("id", "created", "model"):
        assert rebuilt[key] == whole[key]
    for streamed, expected in zip(rebuilt["choices"], whole["choices"], strict=True):
        assert streamed["finish_reason"] == expected["finish_reason"]
        assert golden.meant({**streamed["message"], "audio": None}) == golden.meant(
            expected["message"]
        )  # no Response holds speech
        assert golden.meant(streamed.get("logprobs") or {}) == golden.meant(expected["logprobs"] or {})
    assert rebuilt.get("moderation") == whole.get("moderation")
    if golden.plan_of(golden.read(case, "chat_request.json")).include_usage and "usage" in whole:
        assert golden.meant(rebuilt["usage"]) == golden.meant(whole["usage"])


@pytest.mark.parametrize("case", FAILURES)
def test_official_client_raises_what_the_upstream_failed_with(case: str) -> None:
    expected = golden.chunks_of(golden.read(case, "client.sse"))[-1]["error"]
    with pytest.raises(APIError) as raised:
        golden.rebuild(golden.read(case, "client.sse"))
    assert raised.value.message == expected["message"]
    assert raised.value.code == expected["code"]


def test_some_case_has_characters_to_cut_inside() -> None:
    assert len(_inside_characters(golden.read("unicode", "upstream.sse"))) > 10
