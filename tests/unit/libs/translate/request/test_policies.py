import json
from typing import Any

import pytest

from libs.schemas.config import Profile
from libs.schemas.wire.fields import Policy
from libs.translate.errors import NeedsNative
from tests.support.chats import BRIDGED, Json, body, refusal, sent, translated, user

# A value that asks for something, of each field without a counterpart and of an unknown one.
ASKED: Json = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "modalities": ["text", "audio"],
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": -1,
    "seed": 0,
    "background_options": {"x": 1},
    "n": 2,
    "stop": ["END"],
    "truncation": "auto",
    "vendor_flag": False,
}


def _with(name: str, policy: Policy, **fields: Any) -> Profile:
    return Profile(policies={name: policy}, **fields)


# -- the four policies ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ASKED)
def test_a_field_can_be_dropped_and_is_told(name: str) -> None:
    options: Json = {name: ASKED[name], "profile": _with(name, "drop")}
    assert name not in sent(**options)
    made = translated(**options)
    assert made.dropped == [name]
    assert (made.plan.choices, made.plan.stop) == (1, [])


@pytest.mark.parametrize("name", ASKED)
def test_a_field_can_be_refused(name: str) -> None:
    error = refusal(**{name: ASKED[name]}, profile=_with(name, "refuse"))
    assert (error.status, error.error.param) == (400, name)


@pytest.mark.parametrize("name", ASKED)
def test_a_field_can_be_forwarded_as_it_is(name: str) -> None:
    options: Json = {name: ASKED[name], "profile": _with(name, "forward")}
    assert sent(**options)[name] == ASKED[name]
    made = translated(**options)
    assert made.dropped == []
    assert (made.plan.choices, made.plan.stop) == (1, [])


@pytest.mark.parametrize("name", ASKED)
def test_a_field_can_ask_for_the_upstreams_own_endpoint(name: str) -> None:
    with pytest.raises(NeedsNative) as raised:
        translated(**{name: ASKED[name]}, profile=_with(name, "native"))
    assert raised.value.reason == name


@pytest.mark.parametrize("name", ASKED)
def test_what_only_an_own_endpoint_could_serve_is_refused_where_there_is_none(name: str) -> None:
    asked = {name: ASKED[name]}
    assert refusal(**asked, profile=_with(name, "native", api="responses")).error.param == name
    if name not in ("n", "stop"):  # the typed form refuses these before any policy could
        assert refusal(**asked, profile=_with(name, "native"), format_="responses").error.param == name


# -- defaults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["seed", "prediction", "frequency_penalty", "presence_penalty", "vendor_flag"])
def test_a_hint_is_dropped(name: str) -> None:
    assert translated(**{name: ASKED[name]}).dropped == [name]


def test_a_ban_is_refused() -> None:
    error = refusal(logit_bias=ASKED["logit_bias"])
    assert (error.error.param, error.error.code) == ("logit_bias", "unsupported_parameter")


@pytest.mark.parametrize("name", ["audio", "modalities"])
def test_sound_is_for_the_chat_endpoint(name: str) -> None:
    with pytest.raises(NeedsNative):
        translated(**{name: ASKED[name]})
    assert refusal(**{name: ASKED[name]}, profile=BRIDGED).error.param == name


def test_a_refusal_comes_before_another_way() -> None:
    assert refusal(modalities=["audio"], logit_bias={"1": 1}).error.param == "logit_bias"


# -- neutral values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in ASKED),
        ("stop", []),
        ("stop", ""),
        ("n", 1),
        ("logit_bias", {}),
        ("logprobs", False),
        ("top_logprobs", 0),
        ("modalities", ["text"]),
        ("functions", []),
        ("web_search_options", None),
        ("frequency_penalty", 0),
        ("presence_penalty", 0.0),
        ("background", False),
        ("moderation", None),
        ("previous_response_id", None),
    ],
)
def test_what_asks_for_nothing_changes_nothing(name: str, value: Any) -> None:
    refusing = Profile(policies={} if name not in ASKED else {name: "refuse"}, strict=True)
    assert sent(**{name: value}, profile=refusing) == sent()
    for indent in (None, 4):
        spaced = json.loads(json.dumps(json.loads(body(**{name: value})), indent=indent))
        assert translated(**spaced, profile=refusing).dropped == []


# -- unknown fields ---------------------------------------------------------------------------------


def test_strictness_refuses_what_nothing_names() -> None:
    error = refusal(vendor_flag=False, profile=Profile(strict=True))
    assert (error.error.param, error.error.code) == ("vendor_flag", "unknown_parameter")
    part = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    assert refusal(user([part]), profile=Profile(strict=True)).error.param == "messages[0].content[0].cache_control"


def test_strictness_leaves_what_the_configuration_allows() -> None:
    assert sent(top_k=4, profile=Profile(strict=True, policies={"top_k": "forward"}))["top_k"] == 4


def test_an_unknown_key_inside_is_dropped_and_told() -> None:
    part = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    made = translated(user([part]))
    assert made.dropped == ["messages[0].content[0].cache_control"]
