"""Every row of docs/mapping.md's tables of requests, as a case: what a client asks, and what goes up or why not.

A case is a folder in `requests`: `chat_request.json`, and `profile.json` where the upstream is not the usual one, are
written by hand. `pytest tests/golden --rewrite` writes the rest anew: `responses_request.json` with what was
`dropped.json` and what the `plan.json` says, or `refusal.json`, or `native.json`.
"""

import json
import tomllib
from typing import Any

import msgspec
import pytest
from openai.types.chat import completion_create_params

from libs.schemas.config import Profile
from libs.schemas.plan import StreamPlan
from libs.translate.errors import InvalidRequest, NeedsNative
from libs.translate.request.translating import encode
from simulator.checks.responses_request import to_request
from tests.support import golden

ROOT = golden.ROOT / "requests"
CASES = sorted(path.parent.name for path in ROOT.glob("*/chat_request.json"))
SENT = [case for case in CASES if (ROOT / case / "responses_request.json").exists()]
ROWS: dict[str, dict[str, list[str]]] = tomllib.loads((golden.ROOT / "rows" / "requests.toml").read_text())
_USUAL = msgspec.to_builtins(StreamPlan(stream=False))
_OF_EVERY_REQUEST = ("stream", "items", "renames")  # told by the request, or tested apart


def _profile(case: str) -> Profile:
    path = ROOT / case / "profile.json"
    return msgspec.json.decode(path.read_bytes(), type=Profile) if path.exists() else golden.PROFILE


def _made(case: str) -> dict[str, Any]:
    """Return what becomes of a case, by file; an empty value is a file that is not there."""
    try:
        made = golden.converted((ROOT / case / "chat_request.json").read_bytes(), _profile(case))
    except InvalidRequest as refused:
        error = refused.error
        return {"refusal.json": {"status": refused.status, **msgspec.to_builtins(error)}}
    except NeedsNative as native:
        return {"native.json": {"reason": native.reason}}
    plan = msgspec.to_builtins(made.plan)
    told = {name: value for name, value in plan.items() if value != _USUAL[name] and name not in _OF_EVERY_REQUEST}
    return {
        "responses_request.json": json.loads(encode(made.body, made.forwarded)),
        "dropped.json": made.dropped,
        "plan.json": told,
    }


@pytest.mark.parametrize("case", CASES)
def test_request_becomes_what_its_case_says(case: str, request: pytest.FixtureRequest) -> None:
    made = _made(case)
    for name in ("responses_request.json", "dropped.json", "plan.json", "refusal.json", "native.json"):
        path, value = ROOT / case / name, made.get(name)
        expected = golden.pretty(json.dumps(value).encode()) if value else None
        if request.config.getoption("--rewrite"):
            path.unlink(missing_ok=True) if expected is None else path.write_bytes(expected)
        assert (path.read_bytes() if path.exists() else None) == expected


@pytest.mark.parametrize("case", SENT)
def test_what_goes_up_is_what_the_api_takes(case: str) -> None:
    if _profile(case) == golden.PROFILE:  # other upstreams take what OpenAI's API does not
        to_request(json.loads((ROOT / case / "responses_request.json").read_bytes()))


def test_every_row_has_its_cases_and_every_case_a_row() -> None:
    named = {case for rows in ROWS.values() for cases in rows.values() for case in cases}
    assert all(cases for rows in ROWS.values() for cases in rows.values())
    assert named == set(CASES)


def test_every_field_of_chat_is_a_row() -> None:
    fields = completion_create_params.CompletionCreateParamsBase.__annotations__.keys() | {"stream"}
    assert fields - ROWS["request-fields"].keys() == set()
