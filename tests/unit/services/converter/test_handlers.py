"""What becomes of a request as a whole: a conversion, a refusal, or another endpoint."""

import json
import logging

import pytest

from libs.runtime.call import BusContext
from libs.runtime.logs import setup
from libs.schemas.bus.convert import (
    ConvertRequest,
    Native,
    PlanUnsupported,
    Refused,
)
from libs.schemas.bus.state import HeadTurns, KeptToolCall
from libs.schemas.config import Config, ModelRule
from libs.schemas.plan import PLAN_VERSION
from services.converter.handlers import Converter
from tests.support.chats import Json, user
from tests.unit.services.converter.fakes import (
    DELTA,
    NAMED,
    ORIGINAL,
    State,
    away,
    convert,
    known,
    refused,
    turn,
    upstream,
)


@pytest.mark.parametrize(
    ("line", "state", "options"),
    [
        (("chain", "matched", 1, 1), State(known()), {"said": NAMED}),
        (("replay", "matched", 1, 4), State(known(items=ORIGINAL)), {}),
        (("none", "no_match", 0, 3), State(), {}),
        (("none", "state_unavailable", 0, 3), None, {}),
        (("none", "expired", 0, 3), State(known(expires=1)), {"said": NAMED}),
        (
            ("none", "unanswered_calls", 0, 0),
            State(head=HeadTurns(turn=turn(tool_calls=[KeptToolCall(id="c", name="f", outline=b"")]))),
            {"turns": [user("x")], "said": DELTA},
        ),
        (("chain", "head", 1, 1), State(head=HeadTurns(turn=turn())), {"turns": [user("x")], "said": DELTA}),
    ],
)
async def test_each_decision_is_logged_without_a_word_of_the_text(
    line: tuple[str, str, int, int], state: State | None, options: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    try:
        setup("converter")
        await convert(state, request_id="req_7", **options)
    finally:
        root.handlers[:] = before[1]
        root.setLevel(before[0])
    logged = capsys.readouterr().err
    lines = [json.loads(each) for each in logged.splitlines()]
    handoffs = [each for each in lines if each["event"] == "handoff"]
    assert len(handoffs) == 1 and handoffs[0]["request_id"] == "req_7"
    assert tuple(handoffs[0][name] for name in ("mode", "reason", "matched", "new_items")) == line
    assert "Be kind" not in logged and "Three" not in logged and "gAAA" not in logged


async def test_refusal_is_a_reply() -> None:
    reply = await convert(State(), [])
    assert isinstance(reply, Refused)
    assert (reply.status, reply.error.param) == (400, "messages")


async def test_unserved_model_is_refused() -> None:
    reply = await convert(State(), up=upstream(models=["gpt-*"], model_rules=[ModelRule(match="*")]))
    assert isinstance(reply, Refused)
    assert (reply.status, reply.error.code) == (404, "model_not_found")


async def test_other_plan_version_is_told_apart() -> None:
    request = ConvertRequest(plan_version=PLAN_VERSION + 1, body=b"", tenant="", accounts={})
    reply = await Converter(Config(), away).convert(request, BusContext())
    assert reply == PlanUnsupported(supported=PLAN_VERSION)


async def test_request_for_the_chat_endpoint_is_told_apart() -> None:
    reply = await convert(State(), modalities=["text", "audio"], up=upstream(aliases={"m": "real"}))
    assert reply == Native(upstream="a", model="real", reason="modalities")


async def test_model_that_is_not_translated_is_told_apart() -> None:
    rules = [ModelRule(match="real", bridge="bypass")]
    chosen = upstream(aliases={"m": "real"}, model_rules=rules)
    assert await convert(State(), up=chosen) == Native(upstream="a", model="real", reason="model")
    reply = await refused(State(), said=DELTA, up=chosen)
    assert (reply.status, reply.error.code) == (400, "previous_response_not_found")
