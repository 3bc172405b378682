from typing import Any

import pytest

from libs.schemas.config import ModelRule, Upstream
from libs.translate.errors import InvalidRequest
from libs.translate.request.routing import bypassed, route


def _upstream(name: str = "one", **fields: Any) -> Upstream:
    return Upstream(name=name, base_url="http://one.test/v1", **fields)


def test_the_first_upstream_that_serves_a_model_takes_it() -> None:
    upstreams = [_upstream("a", models=["gpt-*"]), _upstream("b"), _upstream("c")]
    assert route(upstreams, "gpt-5").upstream.name == "a"
    assert route(upstreams, "llama").upstream.name == "b"


def test_an_alias_goes_up_under_the_upstreams_name() -> None:
    found = route([_upstream("a", models=[], aliases={"fast": "gpt-5-mini"}), _upstream("b")], "fast")
    assert (found.upstream.name, found.model) == ("a", "gpt-5-mini")


def test_a_model_that_nobody_serves_does_not_exist() -> None:
    with pytest.raises(InvalidRequest) as raised:
        route([_upstream(models=["gpt-*"])], "llama")
    error = raised.value
    assert (error.status, error.error.param, error.error.code) == (404, "model", "model_not_found")


@pytest.mark.parametrize(("api", "bridge"), [("responses", "translate"), ("both", "translate"), ("chat", "bypass")])
def test_an_upstream_without_the_responses_api_is_bypassed(api: Any, bridge: str) -> None:
    assert route([_upstream(api=api)], "m").bridge == bridge


def test_the_first_rule_that_matches_decides() -> None:
    rules = [ModelRule(match="gpt-4*", bridge="bypass"), ModelRule(match="*", bridge="translate")]
    upstreams = [_upstream(model_rules=rules)]
    assert [route(upstreams, model).bridge for model in ("gpt-4o", "gpt-5")] == ["bypass", "translate"]


def test_rules_match_the_upstreams_name_of_a_model() -> None:
    upstream = _upstream(aliases={"fast": "gpt-4o"}, model_rules=[ModelRule(match="gpt-4o", bridge="bypass")])
    assert route([upstream], "fast").bridge == "bypass"


@pytest.mark.parametrize(("api", "bridge"), [("both", "bypass"), ("responses", "translate")])
def test_a_model_that_answers_chat_calls_alone_is_bypassed_where_it_can_be(api: Any, bridge: str) -> None:
    assert route([_upstream(api=api)], "gpt-4o-audio-preview").bridge == bridge


def test_a_rule_that_says_nothing_of_the_bridge_leaves_it() -> None:
    rules = [ModelRule(match="*", json_object="keep")]
    assert route([_upstream(api="chat", model_rules=rules)], "m").bridge == "bypass"


def test_a_rule_says_otherwise_for_its_models_alone() -> None:
    search = {"type": "web_search"}
    rules = [ModelRule(match="gpt-4*", json_object="keep"), ModelRule(match="gpt-5*", tools=[search])]
    upstreams = [_upstream(model_rules=rules, tools=[{"type": "image_generation"}])]
    found = {model: route(upstreams, model).upstream for model in ("gpt-4o", "gpt-5", "o3")}
    assert [found[model].json_object for model in found] == ["keep", "auto", "auto"]
    assert found["gpt-5"].tools == [search] and found["gpt-4o"].tools == found["o3"].tools == upstreams[0].tools


def test_only_a_model_that_is_not_translated_is_bypassed() -> None:
    upstreams = [_upstream("a", models=["gpt-*"]), _upstream("b", models=["old"], api="chat")]
    assert bypassed(upstreams, "gpt-5") is None and bypassed(upstreams, "unserved") is None
    assert bypassed(upstreams, "old") == route(upstreams, "old")
