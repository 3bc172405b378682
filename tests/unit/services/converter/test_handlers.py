"""What the converter decides, by what the state service knows."""

import json
import time
from typing import Any

import msgspec
import pytest

from libs.runtime.call import Call
from libs.runtime.errors import CallTimeout
from libs.schemas.bus import (
    Converted,
    ConvertReply,
    ConvertRequest,
    Lifted,
    Native,
    PlanUnsupported,
    Refused,
    ResolveReply,
    ResolveRequest,
    Turn,
)
from libs.schemas.config import Config, ModelRule, Upstream
from libs.schemas.plan import PLAN_VERSION
from services.converter.handlers import Converter

HISTORY = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "One"},
    {"role": "assistant", "content": "Two"},
    {"role": "user", "content": "Three"},
]
TURN = Turn(response_id="resp_1", account="a", model="m", created=0, expires=int(time.time()) + 1000)


class State:
    """Knows the given turn at the given place of what it is asked, and keeps the questions."""

    def __init__(self, turn: Turn | None = None, index: int = 0) -> None:
        self.asked: list[ResolveRequest] = []
        self._reply = ResolveReply() if turn is None else ResolveReply(index=index, turn=turn)

    async def resolve(self, request: ResolveRequest, call: Call) -> ResolveReply:
        self.asked.append(request)
        return self._reply


async def away(request: ResolveRequest, call: Call) -> ResolveReply:
    raise CallTimeout("no reply")


def upstream(**fields: Any) -> Upstream:
    return Upstream(**{"name": "a", "base_url": "https://a", "auth": "client", **fields})


async def convert(
    state: State | None = None,
    messages: Any = HISTORY,
    *,
    conversation: str | None = "c",
    up: Upstream | None = None,
    mode: Any = "auto",
    format_: Any = None,
    **fields: Any,
) -> ConvertReply:
    body = json.dumps({"model": "m", "messages": messages, **fields}).encode()
    request = ConvertRequest(
        plan_version=PLAN_VERSION,
        body=body,
        tenant="t",
        accounts={"a": "acc"},
        conversation=conversation,
        mode=mode,
        format=format_,
    )
    resolve = away if state is None else state.resolve
    return await Converter(Config(upstream=[up or upstream()]), resolve).convert(request, Call())


async def converted(*args: Any, **kwargs: Any) -> Converted:
    reply = await convert(*args, **kwargs)
    assert isinstance(reply, Converted), reply
    return reply


def sent(reply: Converted) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(reply.body)
    return body


async def test_known_answer_is_continued_with_what_is_new() -> None:
    reply = await converted(State(TURN))
    assert reply.previous_response_id == "resp_1"
    assert sent(reply)["previous_response_id"] == "resp_1"
    assert [item["content"] for item in sent(reply)["input"]] == ["Three"]
    assert sent(reply)["instructions"] == "Be kind."
    assert (reply.continuity.mode, reply.continuity.reason, reply.continuity.matched) == ("chain", "matched", 1)
    assert reply.plan.items == [3]


async def test_plan_names_where_the_turn_is_to_be_kept() -> None:
    state = State()
    reply = await converted(state)
    assert reply.plan.commit is not None
    assert reply.plan.commit.scope == state.asked[0].scope
    assert (reply.plan.commit.conversation, reply.plan.commit.account) == ("c", "acc")
    assert sent(reply)["store"] is True


async def test_state_is_asked_newest_first() -> None:
    longer = [*HISTORY, {"role": "assistant", "content": "Four"}, {"role": "user", "content": "Five"}]
    short, long = State(), State()
    await converted(short)
    await converted(long, longer)
    assert long.asked[0].prefixes[1:] == short.asked[0].prefixes


async def test_older_answer_is_continued_with_all_that_follows() -> None:
    longer = [*HISTORY, {"role": "assistant", "content": "Four"}, {"role": "user", "content": "Five"}]
    reply = await converted(State(TURN, index=1), longer)
    assert len(sent(reply)["input"]) == 3
    assert reply.continuity.matched == 1


CALLING = {"role": "assistant", "tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": "{}"}}]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "x"}


@pytest.mark.parametrize(
    ("reason", "state", "options"),
    [
        ("no_match", State(), {}),
        ("expired", State(msgspec.structs.replace(TURN, expires=1)), {}),
        ("model_changed", State(msgspec.structs.replace(TURN, model="other")), {}),
        ("nothing_new", State(TURN), {"messages": HISTORY[:3]}),
        ("unanswered_calls", State(msgspec.structs.replace(TURN, call_ids=["call_1"])), {}),
        ("state_unavailable", None, {}),
    ],
)
async def test_answer_that_may_not_be_continued_goes_plain(
    reason: str, state: State | None, options: dict[str, Any]
) -> None:
    reply = await converted(state, **options)
    assert (reply.continuity.mode, reply.continuity.reason) == ("none", reason)
    assert "previous_response_id" not in sent(reply)
    assert len(sent(reply)["input"]) == len(options.get("messages", HISTORY)) - 1


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("unnamed", {"conversation": None}),
        ("first_turn", {"messages": HISTORY[:2]}),
        ("store_false", {"store": False}),
        ("plain_retry", {"mode": "plain"}),
        ("choices", {"n": 2}),
        ("client_parent", {"previous_response_id": "resp_0"}),
        ("off", {"up": upstream(continuity="off")}),
    ],
)
async def test_nothing_is_asked_where_nothing_can_be_known(reason: str, options: dict[str, Any]) -> None:
    state = State(TURN)
    reply = await converted(state, **options)
    assert reply.continuity.reason == reason
    assert state.asked == []


async def test_upstream_that_chains_needs_no_name() -> None:
    reply = await converted(State(TURN), conversation=None, up=upstream(continuity="chain"))
    assert reply.continuity.reason == "matched"
    assert sent(reply)["store"] is True


async def test_unnamed_call_is_neither_stored_nor_kept() -> None:
    reply = await converted(State(), conversation=None)
    assert sent(reply)["store"] is False
    assert reply.plan.commit is None


async def test_answered_calls_are_continued() -> None:
    state = State(msgspec.structs.replace(TURN, call_ids=["call_1"]))
    reply = await converted(state, [HISTORY[1], CALLING, RESULT])
    assert [item["type"] for item in sent(reply)["input"]] == ["function_call_output"]


async def test_alias_and_bridge_come_from_the_configuration() -> None:
    reply = await converted(State(), up=upstream(models=[], aliases={"m": "real"}))
    assert (reply.model, sent(reply)["model"]) == ("real", "real")


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
    reply = await Converter(Config(), away).convert(request, Call())
    assert reply == PlanUnsupported(supported=PLAN_VERSION)


async def test_request_that_names_its_parent_is_what_is_new() -> None:
    state = State(TURN)
    reply = await converted(state, [RESULT], previous_response_id="resp_0")
    assert state.asked == []
    assert sent(reply)["previous_response_id"] == "resp_0"
    assert [item["type"] for item in sent(reply)["input"]] == ["function_call_output"]
    # The answer can be continued by its id alone, for its history is not here.
    assert sent(reply)["store"] is True and reply.plan.commit is None


@pytest.mark.parametrize(("fields", "stored"), [({"n": 2}, False), ({"stop": "END"}, True)])
async def test_answers_that_may_not_be_whole_are_never_parents(fields: dict[str, Any], stored: bool) -> None:
    reply = await converted(State(), **fields)
    assert reply.plan.commit is None
    assert sent(reply)["store"] is stored


async def test_request_for_the_chat_endpoint_is_told_apart() -> None:
    reply = await convert(State(), modalities=["text", "audio"], up=upstream(aliases={"m": "real"}))
    assert reply == Native(upstream="a", model="real", reason="modalities")


@pytest.mark.parametrize(
    ("format_", "body", "planned"),
    [(None, None, "chat"), ("responses", None, "responses"), ("responses", "chat", "chat")],
)
async def test_form_of_the_answer_is_planned(format_: Any, body: str | None, planned: str) -> None:
    reply = await converted(State(), format_=format_, parley={"format": body})
    assert reply.plan.format == planned


async def test_file_that_stayed_on_the_edge_is_known_by_its_head() -> None:
    file = {"type": "file", "file": {"file_data": "parley-lift:f:0."}}
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": [file]}]}).encode()
    lifted = Lifted(placeholder="parley-lift:f:0.", sha256="0" * 64, length=9, head="JVBERi0x")
    request = ConvertRequest(
        plan_version=PLAN_VERSION, body=body, lifted=[lifted], tenant="t", accounts={}, conversation=None
    )
    reply = await Converter(Config(upstream=[upstream()]), State().resolve).convert(request, Call())
    assert isinstance(reply, Converted)
    part = sent(reply)["input"][0]["content"][0]
    assert part["file_data"] == "data:application/pdf;base64,parley-lift:f:0."


async def test_rule_of_a_model_counts_for_its_requests() -> None:
    rules = [ModelRule(match="m", json_object="keep", tools=[{"type": "web_search"}])]
    messages = [{"role": "user", "content": "As JSON."}]
    reply = await converted(State(), messages, up=upstream(model_rules=rules), response_format={"type": "json_object"})
    assert sent(reply)["text"] == {"format": {"type": "json_object"}}
    assert sent(reply)["tools"] == [{"type": "web_search"}]
