"""What is asked of the upstream for the sake of later requests, and of Parley itself."""

import json
from typing import Any

import pytest

from libs.runtime.call import BusContext
from libs.schemas.bus.convert import (
    Converted,
    ConvertRequest,
    Lifted,
)
from libs.schemas.config import Config, ModelRule
from libs.schemas.plan import PLAN_VERSION
from services.converter.handlers import Converter
from tests.support.chats import Json
from tests.unit.services.converter.fakes import (
    CHAINS,
    ENCRYPTED,
    HISTORY,
    NAMED,
    State,
    converted,
    sent,
    upstream,
)


@pytest.mark.parametrize("turns", [HISTORY[:2], HISTORY], ids=["first", "later"])
@pytest.mark.parametrize(
    ("stored", "options"),
    [
        (False, {}),
        (True, {"said": NAMED}),
        (True, {"conversation_id": "c"}),
        (True, {"up": CHAINS}),
        (True, {"said": {"continuity": "chain"}}),
        (True, {"said": {"conversation": "pc_1", "continuity": "chain"}}),
        (True, {"said": {"conversation": "conv_1"}}),
        (True, {"previous_response_id": "resp_0"}),
        (True, {"store": True}),
        (True, {"store": True, "said": {"continuity": "off"}}),
        (False, {"said": {"conversation": "pc_1"}}),
        (False, {"said": {"hint": "session"}}),
        (False, {"said": {**NAMED, "continuity": "replay"}}),
        (False, {"said": {"continuity": "replay"}, "up": CHAINS}),
        (False, {"said": NAMED, "store": False}),
        (False, {"up": CHAINS, "store": False}),
        (False, {"said": NAMED, "n": 2}),
        (False, {"said": {**NAMED, "retain": False}}),
        (False, {"said": NAMED, "parley": {"retain": "none"}}),
        (False, {"said": {**NAMED, "continuity": "off"}}),
        (False, {"said": NAMED, "up": upstream(continuity="off")}),
    ],
)
async def test_answers_are_stored_where_they_are_to_be_chained(stored: bool, options: Json, turns: list[Json]) -> None:
    reply = await converted(State(), turns, **options)
    assert sent(reply)["store"] is stored
    if reply.plan.commit is not None:
        assert reply.plan.commit.stored is stored


@pytest.mark.parametrize("store", [None, False, True])
async def test_reasoning_is_asked_for_wherever_it_may_be_replayed(store: bool | None) -> None:
    fields: Json = {} if store is None else {"store": store}
    for said in ({}, NAMED):
        assert sent(await converted(State(), said=said, model="gpt-5", **fields))["include"] == ENCRYPTED
        assert "include" not in sent(await converted(State(), said=said, model="gpt-4o", **fields))
    kept_nowhere = await converted(State(), said={"retain": False}, model="gpt-5", store=True)
    assert "include" not in sent(kept_nowhere)


@pytest.mark.parametrize(
    ("said", "body", "planned"),
    [(None, None, "chat"), ("responses", None, "responses"), ("responses", "chat", "chat")],
)
@pytest.mark.parametrize("release", ["this", "the one before"])
async def test_form_of_the_answer_is_planned(said: Any, body: str | None, planned: str, release: str) -> None:
    """An edge of the release before says it beside what else was said."""
    fields: Json = {"format_": said} if release == "the one before" else {"said": {"format": said} if said else {}}
    reply = await converted(State(), parley={"format": body}, **fields)
    assert reply.plan.format == planned


async def test_file_that_stayed_on_the_edge_is_known_by_its_head() -> None:
    file = {"type": "file", "file": {"file_data": "parley-lift:f:0."}}
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": [file]}]}).encode()
    lifted = Lifted(placeholder="parley-lift:f:0.", sha256="0" * 64, length=9, start="JVBERi0x")
    request = ConvertRequest(plan_version=PLAN_VERSION, body=body, lifted=[lifted], tenant="t", accounts={})
    reply = await Converter(Config(upstream=[upstream()]), State().resolve).convert(request, BusContext())
    assert isinstance(reply, Converted)
    part = sent(reply)["input"][0]["content"][0]
    assert part["file_data"] == "data:application/pdf;base64,parley-lift:f:0."


async def test_rule_of_a_model_counts_for_its_requests() -> None:
    rules = [ModelRule(match="m", json_object="keep", tools=[{"type": "web_search"}])]
    messages = [{"role": "user", "content": "As JSON."}]
    reply = await converted(State(), messages, up=upstream(model_rules=rules), response_format={"type": "json_object"})
    assert sent(reply)["text"] == {"format": {"type": "json_object"}}
    assert sent(reply)["tools"] == [{"type": "web_search"}]
