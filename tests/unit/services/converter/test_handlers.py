"""What the converter decides, by what the state service knows."""

import json
import logging
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from libs.runtime.call import Call
from libs.runtime.errors import CallTimeout
from libs.runtime.logs import setup
from libs.schemas.bus.convert import (
    Converted,
    ConvertReply,
    ConvertRequest,
    Lifted,
    Native,
    PlanUnsupported,
    Refused,
    Said,
)
from libs.schemas.bus.state import Found, HeadTurns, KeptCall, OpenCall, ResolveReply, ResolveRequest, Turn
from libs.schemas.config import Config, Conversation, ModelRule, Upstream
from libs.schemas.plan import PLAN_VERSION, CommitPlan, Continuity
from libs.translate.continuity import deciding, fingerprint
from libs.translate.continuity.arguments import outline
from services.converter.handlers import Converter
from services.converter.recognise import MAX_ANSWERS
from tests.support.chats import Json, assistant, calling, messages, system, tool, user

HISTORY = [system("Be kind."), user("One"), assistant("Two"), user("Three")]
LONGER = [*HISTORY, assistant("Four"), user("Five")]
CALLED = [user("One"), calling("c"), tool("c")]
ENCRYPTED = ["reasoning.encrypted_content"]
OWNER = fingerprint.scope("t", "acc", "")
ORIGINAL: list[Json] = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
    {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Two"}]},
]


def turn(**fields: Any) -> Turn:
    """A turn that may be continued."""
    defaults: dict[str, Any] = {
        "entry": "e",
        "response_id": "resp_1",
        "upstream": "a",
        "account": "acc",
        "model": "m",
        "prefix": "",
        "end": "ee",
        "asked": "asked",
        "start": "5a",
        "context": "",
        "conversation": "found",
        "parent": True,
        "stored": True,
        "created": 0,
        "expires": int(time.time()) + 86400,  # some are made when the tests are collected
    }
    return Turn(**{**defaults, **fields})


def known(turns: list[Json] = HISTORY, *, hoisted: int = 1, items: list[Json] | None = None, **fields: Any) -> Found:
    """The newest answer of a history, as it was kept."""
    decoded = messages(*turns)
    answer = fingerprint.history(decoded, hoisted, OWNER, {}).answers[-1]
    calls = [
        KeptCall(id=id_, name=name, outline=outline(arguments))
        for id_, name, arguments in fingerprint.calls_of(decoded[answer.index])
    ]
    kept = turn(**{"prefix": answer.prefix, "end": answer.end, "calls": calls, **fields})
    raw = None if items is None else [json.dumps(item).encode() for item in items]
    return Found(index=0, exact=True, turn=kept, items=raw)


class State:
    """Knows what it is given, and keeps the questions."""

    def __init__(self, *found: Found, head: HeadTurns | None = None, open_: Sequence[OpenCall] = ()) -> None:
        self.asked: list[ResolveRequest] = []
        self.replies = [ResolveReply(found=list(found), head=head, open=list(open_))]  # the last for good

    async def resolve(self, request: ResolveRequest, call: Call) -> ResolveReply:
        self.asked.append(request)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


async def away(request: ResolveRequest, call: Call) -> ResolveReply:
    raise CallTimeout("no reply")


def upstream(**fields: Any) -> Upstream:
    return Upstream(**{"name": "a", "base_url": "https://a", "auth": "client", **fields})


async def convert(
    state: State | None = None,
    turns: list[Json] = HISTORY,
    *,
    said: Json | None = None,
    up: Upstream | None = None,
    mode: Any = "auto",
    token: str | None = None,
    format_: Any = None,
    request_id: str = "req_1",
    settings: Conversation | None = None,
    **fields: Any,
) -> ConvertReply:
    body = json.dumps({"model": "m", "messages": turns, **fields}).encode()
    request = ConvertRequest(
        plan_version=PLAN_VERSION,
        body=body,
        tenant="t",
        accounts={"a": "acc"},
        said=Said(**(said or {})),
        mode=mode,
        token=token,
        format=format_,
    )
    config = Config(upstream=[up or upstream()], conversation=settings or Conversation())
    resolve = away if state is None else state.resolve
    return await Converter(config, resolve).convert(request, Call(request_id=request_id))


async def converted(*args: Any, **kwargs: Any) -> Converted:
    reply = await convert(*args, **kwargs)
    assert isinstance(reply, Converted), reply
    return reply


async def refused(*args: Any, **kwargs: Any) -> Refused:
    reply = await convert(*args, **kwargs)
    assert isinstance(reply, Refused), reply
    return reply


def sent(reply: Converted) -> Json:
    body: Json = msgspec.json.decode(reply.body)
    return body


def told(reply: Converted) -> tuple[str, str, int]:
    return reply.continuity.mode, reply.continuity.reason, reply.continuity.matched


def commit(reply: Converted) -> CommitPlan:
    assert reply.plan.commit is not None
    return reply.plan.commit


NAMED: Json = {"conversation": "c"}
DELTA: Json = {"conversation": "c", "delta": True}
CHAINS = upstream(continuity="chain")

# -- chain ------------------------------------------------------------------------------------------


async def test_known_answer_of_a_named_conversation_is_continued_with_what_is_new() -> None:
    reply = await converted(State(known()), said=NAMED)
    assert told(reply) == ("chain", "matched", 1)
    assert reply.previous_response_id == sent(reply)["previous_response_id"] == "resp_1"
    assert [item["content"] for item in sent(reply)["input"]] == ["Three"]
    assert sent(reply)["instructions"] == "Be kind."
    assert (reply.plan.items, reply.whole, reply.continuity.new_items) == ([3], True, 1)
    assert [(each.entry, each.ids) for each in reply.plan.replayed] == [("e", ["resp_1"])]


async def test_chained_answer_is_kept_as_one_of_the_whole_history() -> None:
    reply, whole = await converted(State(known()), said=NAMED), await converted(State(), said=NAMED)
    assert commit(reply) == commit(whole)
    history = fingerprint.history(messages(*HISTORY), 1, OWNER, {})
    assert (commit(reply).asked, commit(reply).start) == (history.whole, history.start)


async def test_upstream_that_chains_needs_no_name() -> None:
    reply = await converted(State(known()), up=CHAINS)
    assert told(reply) == ("chain", "matched", 1)
    assert sent(reply)["store"] is True


@pytest.mark.parametrize(
    ("reason", "fields", "stored"),
    [(deciding.STORE_FALSE, {"store": False}, False), (deciding.CHOICES, {"n": 2}, False)],
)
async def test_what_is_not_to_be_stored_is_replayed(reason: str, fields: Json, stored: bool) -> None:
    reply = await converted(State(known(items=ORIGINAL)), said=NAMED, **fields)
    assert told(reply) == ("replay", reason, 1)
    assert sent(reply)["store"] is stored and "previous_response_id" not in sent(reply)
    assert commit(reply).stored is stored


# -- replay -----------------------------------------------------------------------------------------


async def test_known_answer_is_replayed() -> None:
    reply = await converted(State(known(items=ORIGINAL)))
    assert told(reply) == ("replay", "matched", 1)
    assert sent(reply)["input"][1:3] == ORIGINAL
    assert reply.plan.items == [1, 2, 2, 3] and reply.previous_response_id is None
    assert [(each.entry, each.ids) for each in reply.plan.replayed] == [("e", ["rs_1", "msg_1"])]


async def test_state_is_asked_newest_first() -> None:
    short, long = State(), State()
    await converted(short)
    await converted(long, LONGER)
    assert len(long.asked[0].turns) == 2
    assert long.asked[0].turns[1:] == short.asked[0].turns
    assert (long.asked[0].scope, long.asked[0].head) == (OWNER, None)


async def test_so_much_is_asked_for_as_the_configuration_says() -> None:
    state = State()
    turns = [message for k in range(MAX_ANSWERS + 9) for message in (user("a"), assistant(str(k)))]
    await converted(state, [*turns, user("b")], settings=Conversation(replay_bytes=7))
    assert (state.asked[0].items_bytes, len(state.asked[0].turns)) == (7, MAX_ANSWERS)
    newest = fingerprint.history(messages(*turns), 0, OWNER, {}).answers[-1]
    assert state.asked[0].turns[0].loose == newest.loose


async def test_items_leave_room_for_a_history_that_nearly_fills_a_message() -> None:
    state = State()
    await converted(state, [user("x" * 7_500_000), *HISTORY[1:]])
    assert 0 < state.asked[0].items_bytes < Config().conversation.replay_bytes
    await converted(state, [user("x" * 8_000_000), *HISTORY[1:]])
    assert state.asked[1].items_bytes == 0


@pytest.mark.parametrize(
    ("chains", "options"),
    [
        (True, {"said": NAMED}),
        (False, {}),
        (False, {"said": NAMED, "store": False}),
        (False, {"said": NAMED, "turns": HISTORY[:3]}),
    ],
)
async def test_items_are_not_asked_for_where_the_request_will_chain(chains: bool, options: Json) -> None:
    state = State()
    await converted(state, **options)
    assert state.asked[0].chains is chains


@pytest.mark.parametrize(
    "changed",
    [
        {"tools": [{"type": "function", "function": {"name": "look"}}]},
        {"instructions": "Be brief."},
        {"said": NAMED},
        {"turns": [system("Be cold."), *HISTORY[1:]]},
    ],
)
async def test_another_context_has_another_entry(changed: Json) -> None:
    one, other = State(), State()
    await converted(one)
    await converted(other, **changed)
    first, second = one.asked[0].turns[0], other.asked[0].turns[0]
    assert first.entry != second.entry and first.loose == second.loose


async def test_token_that_was_issued_is_no_other_context() -> None:
    one, other = State(), State()
    await converted(one)
    await converted(other, said={"conversation": "pc_1"})
    assert one.asked[0].turns == other.asked[0].turns


@pytest.mark.parametrize("field", ["user", "safety_identifier"])
async def test_end_users_share_nothing(field: str) -> None:
    one, other = State(), State()
    await converted(one)
    await converted(other, **{field: "ann"})
    assert one.asked[0].scope != other.asked[0].scope
    assert one.asked[0].turns[0].entry != other.asked[0].turns[0].entry


async def test_what_is_not_known_goes_plain() -> None:
    reply = await converted(State())
    assert told(reply) == ("none", deciding.NO_MATCH, 0)
    assert len(sent(reply)["input"]) == 3


# -- upstreams that are not to chain, or do not -----------------------------------------------------

REPLAYS = upstream(continuity="replay")
IGNORED: Json = {"continuity": "replay", "unchained": True}


async def test_conversation_is_chained_for_its_name_alone_by_default() -> None:
    assert upstream().continuity == "auto"
    reply = await converted(State(known()), said=NAMED)
    assert (told(reply)[0], sent(reply)["store"], reply.plan.parent) == ("chain", True, "resp_1")
    reply = await converted(State(known(items=ORIGINAL)))
    assert (told(reply)[0], sent(reply)["store"], reply.plan.parent) == ("replay", False, None)


async def test_upstream_that_replays_only_gets_the_whole_history_of_a_named_conversation() -> None:
    reply = await converted(State(known(items=ORIGINAL)), said=NAMED, up=REPLAYS)
    assert told(reply) == ("replay", deciding.MATCHED, 1)
    assert sent(reply)["store"] is False and "previous_response_id" not in sent(reply)
    assert commit(reply).stored is False
    insisted = await converted(State(known()), said={**NAMED, "continuity": "chain"}, up=REPLAYS)
    assert told(insisted) == ("chain", "matched", 1)


@pytest.mark.parametrize(
    ("options", "said", "reason", "names"),
    [
        ({"up": REPLAYS}, {}, deciding.REPLAY_ONLY, 'continuity = "replay"'),
        ({}, {"continuity": "replay"}, deciding.REPLAY_ONLY, "x-parley-continuity: replay"),
        ({"up": CHAINS}, {"continuity": "replay"}, deciding.REPLAY_ONLY, "x-parley-continuity: replay"),
        ({}, IGNORED, deciding.UNCHAINED, "whole history"),
        ({"up": CHAINS}, {**IGNORED, "continuity": "chain"}, deciding.UNCHAINED, "whole history"),
    ],
)
async def test_what_is_only_new_is_refused_where_nothing_is_chained(
    options: Json, said: Json, reason: str, names: str
) -> None:
    state = State(head=HeadTurns(turn=turn()))
    reply = await refused(state, [user("x")], said={**DELTA, **said}, **options)
    assert (reply.status, reply.error.code) == (400, "previous_response_not_found")
    assert reply.continuity == Continuity(reason=reason)
    assert names in reply.error.message
    assert state.asked == []


async def test_delta_is_chained_where_the_request_insists() -> None:
    reply = await converted(
        State(head=HeadTurns(turn=turn())), [user("x")], said={**DELTA, "continuity": "chain"}, up=REPLAYS
    )
    assert (told(reply)[:2], reply.plan.parent, reply.plan.only_new) == (("chain", "head"), "resp_1", True)


async def test_upstream_that_ignored_a_parent_is_not_asked_to_store() -> None:
    for said in ({**NAMED, **IGNORED}, {**IGNORED, "continuity": "chain"}):
        reply = await converted(State(known(items=ORIGINAL)), said=said)
        assert told(reply) == ("replay", deciding.UNCHAINED, 1)
        assert sent(reply)["store"] is False
    reply = await converted(State(known(items=ORIGINAL)), said=IGNORED)
    assert told(reply) == ("replay", deciding.MATCHED, 1)  # it would not have been chained


async def test_upstream_that_ignored_a_parent_is_known_by_where_the_request_is_routed() -> None:
    """The edge names all that lately did; which of them serves a request is the converter's to know."""
    chosen = upstream(aliases={"m": "real"})
    for at, reason in ((("a", "real"), deciding.UNCHAINED), (("a", "m"), deciding.MATCHED)):
        state = State(known(items=ORIGINAL, model="real"))
        reply = await converted(state, said={**NAMED, "unchained_at": [("b", "real"), at]}, up=chosen)
        assert reply.continuity.reason == reason


async def test_parent_of_the_client_s_own_goes_up_but_not_where_it_was_ignored() -> None:
    said = {"previous_response_id": "resp_9"}
    reply = await converted(State(), [user("x")], said=said)
    assert (reply.plan.parent, reply.plan.only_new) == ("resp_9", True)
    lost = await refused(State(), [user("x")], said={**said, **IGNORED})
    assert (lost.status, lost.error.code) == (400, "previous_response_not_found")


# -- why the state service is not asked -------------------------------------------------------------

EARLY: list[tuple[str, Json]] = [
    (deciding.FIRST_TURN, {"turns": HISTORY[:2]}),
    (deciding.FIRST_TURN, {"turns": HISTORY[:2], "said": NAMED}),
    (deciding.PLAIN_RETRY, {"mode": "plain"}),
    (deciding.CLIENT_PARENT, {"previous_response_id": "resp_0"}),
    (deciding.CLIENT_PARENT, {"said": {"conversation": "conv_1"}}),
    (deciding.OFF, {"up": upstream(continuity="off")}),
    (deciding.OFF, {"said": {"continuity": "off"}}),
    (deciding.OFF, {"up": upstream(continuity="off"), "said": {**NAMED, "continuity": "chain"}}),
]


@pytest.mark.parametrize(("reason", "options"), EARLY)
async def test_nothing_is_asked_where_nothing_can_be_known(reason: str, options: Json) -> None:
    state = State(known(items=ORIGINAL))
    reply = await converted(state, **options)
    assert told(reply) == ("none", reason, 0)
    assert state.asked == []


async def test_whole_history_goes_plain_while_state_is_away() -> None:
    reply = await converted(None, said=NAMED)
    assert told(reply) == ("none", deciding.STATE_UNAVAILABLE, 0)
    assert len(sent(reply)["input"]) == 3 and reply.whole
    assert commit(reply).parent


async def test_the_converters_own_reasons_are_reached_here() -> None:
    reached = {reason for reason, _ in EARLY} | {deciding.STATE_UNAVAILABLE}
    assert reached == {
        *(deciding.OFF, deciding.FIRST_TURN, deciding.CLIENT_PARENT),
        *(deciding.STATE_UNAVAILABLE, deciding.PLAIN_RETRY),
    }


# -- what is stored, and kept -----------------------------------------------------------------------


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
    "options",
    [
        {"said": {"retain": False}},
        {"parley": {"retain": "none"}},
        {"said": {"continuity": "off"}},
        {"up": upstream(continuity="off")},
    ],
)
async def test_where_nothing_may_be_kept_nothing_is_planned(options: Json) -> None:
    assert (await converted(State(), **options)).plan.commit is None


async def test_plan_names_where_the_turn_is_to_be_kept() -> None:
    state = State()
    reply = await converted(state, said=NAMED)
    assert commit(reply).scope == state.asked[0].scope == OWNER
    assert (commit(reply).conversation, commit(reply).upstream) == ("c", "a")
    assert commit(reply).model == "m"
    entry = fingerprint.entry(known().turn.prefix, commit(reply).context)
    assert state.asked[0].turns[0].entry == entry


@pytest.mark.parametrize(
    ("options", "parent"),
    [({}, True), ({"stop": "END"}, True), ({"n": 2}, False), ({"previous_response_id": "r"}, False)],
)
async def test_only_one_answer_to_a_whole_history_may_become_a_parent(options: Json, parent: bool) -> None:
    assert commit(await converted(State(), **options)).parent is parent


# -- only what is new -------------------------------------------------------------------------------


async def test_what_is_new_goes_up_after_the_newest_turn() -> None:
    state = State(head=HeadTurns(turn=turn(calls=[KeptCall(id="c", name="look", outline=b"")])))
    reply = await converted(state, [tool("c")], said=DELTA)
    assert (state.asked[0].head, state.asked[0].turns) == ("c", [])
    assert told(reply) == ("chain", deciding.HEAD, 1)
    assert sent(reply)["previous_response_id"] == reply.previous_response_id == "resp_1"
    assert [item["type"] for item in sent(reply)["input"]] == ["function_call_output"]
    assert (reply.whole, reply.conversation, sent(reply)["store"]) == (False, "c", True)


async def test_answer_to_what_is_new_is_known_again_in_the_whole_history() -> None:
    before = known(HISTORY[:3]).turn
    reply = await converted(State(head=HeadTurns(turn=before)), [user("Three")], said=DELTA)
    whole = fingerprint.history(messages(*HISTORY), 1, OWNER, {})
    assert (commit(reply).asked, commit(reply).start) == (whole.whole, whole.start)


async def test_same_delta_again_takes_the_place_of_the_newest_turn() -> None:
    first = turn(end="f1", response_id="resp_1")
    asked = fingerprint.history(messages(user("b")), 0, OWNER, {}, "f1").whole
    second = turn(start="f1", asked=asked, end="f2", response_id="resp_2")
    reply = await converted(State(head=HeadTurns(turn=second, before=first)), [user("b")], said=DELTA)
    assert told(reply) == ("chain", deciding.REGENERATED, 1)
    assert sent(reply)["previous_response_id"] == "resp_1"
    assert (commit(reply).asked, commit(reply).start) == (asked, "f1")


async def test_first_turn_again_needs_no_parent() -> None:
    asked = fingerprint.history(messages(user("a")), 0, OWNER, {})
    head = HeadTurns(turn=turn(start=OWNER, asked=asked.whole))
    reply = await converted(State(head=head), [user("a")], said=DELTA)
    assert told(reply) == ("none", deciding.REGENERATED, 0)
    assert "previous_response_id" not in sent(reply)
    assert (commit(reply).asked, commit(reply).start) == (asked.whole, OWNER)


@pytest.mark.parametrize(
    ("reason", "head", "options"),
    [
        (deciding.NO_MATCH, None, {}),
        (deciding.EXPIRED, turn(expires=1), {}),
        (deciding.MODEL_CHANGED, turn(model="other"), {}),
        (deciding.NOT_A_PARENT, turn(parent=False), {}),
        (deciding.NOT_A_PARENT, turn(stored=False), {}),
        (deciding.UNANSWERED_CALLS, turn(calls=[KeptCall(id="c", name="f", outline=b"")]), {}),
        (deciding.OFF, turn(), {"up": upstream(continuity="off")}),
    ],
)
async def test_what_follows_nothing_known_is_refused(reason: str, head: Turn | None, options: Json) -> None:
    state = State(head=None if head is None else HeadTurns(turn=head))
    reply = await refused(state, [user("x")], said=DELTA, **options)
    assert (reply.status, reply.error.code) == (400, "previous_response_not_found")
    assert f"({reason})" in reply.error.message


LIVE, CUT = (OpenCall(number=2, asked="aa", start="bb", live=live) for live in (True, False))


async def test_conversation_that_is_busy_is_told_to_come_again_at_once() -> None:
    for head in (HeadTurns(turn=turn()), None):
        state = State(head=head, open_=[LIVE])
        reply = await refused(state, [user("x")], said=DELTA)
        assert (reply.status, reply.error.code, reply.error.type) == (409, "conversation_busy", "invalid_request_error")
        assert reply.continuity == Continuity(reason=deciding.BUSY)
        assert len(state.asked) == 1


@pytest.mark.parametrize(
    ("open_", "said", "reason"),
    [([CUT], DELTA, deciding.OPEN_CALL), ([], {**DELTA, "after": "chatcmpl-9"}, deciding.NOT_HEAD)],
)
async def test_what_could_follow_an_older_turn_is_refused_at_once(
    open_: list[OpenCall], said: Json, reason: str
) -> None:
    state = State(head=HeadTurns(turn=turn()), open_=open_)
    reply = await refused(state, [user("x")], said=said)
    assert (reply.status, reply.error.code) == (400, "previous_response_not_found")
    assert f"({reason})" in reply.error.message
    assert len(state.asked) == 1


async def test_client_that_saw_the_newest_answer_waits_for_nothing() -> None:
    state = State(head=HeadTurns(turn=turn()), open_=[LIVE])
    reply = await converted(state, [user("x")], said={**DELTA, "after": "chatcmpl-1"})
    assert sent(reply)["previous_response_id"] == "resp_1"
    assert len(state.asked) == 1


async def test_result_of_a_call_never_made_is_refused_by_its_path() -> None:
    reply = await refused(State(head=HeadTurns(turn=turn())), [user("x"), tool("other")], said=DELTA)
    assert (reply.status, reply.error.param, reply.continuity) == (400, "messages[1].tool_call_id", None)


async def test_whole_history_is_never_held_up_by_an_open_call() -> None:
    reply = await converted(State(open_=[LIVE, CUT]), said=NAMED)
    assert (reply.whole, told(reply)[0]) == (True, "none")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"said": NAMED}, (False, True)),
        ({"said": NAMED, "store": False}, (False, True)),
        ({"said": NAMED, "n": 2}, (False, True)),
        ({"said": {"continuity": "chain"}}, (False, True)),
        ({"up": upstream(continuity="chain")}, (False, True)),
        ({"said": {**NAMED, "retain": False}}, (True, False)),
        ({"said": NAMED, "up": upstream(continuity="off")}, (True, False)),
        ({}, None),
        ({"said": {"retain": False}}, None),
        ({"said": {"previous_response_id": "resp_9"}, "turns": [user("x")]}, None),
    ],
)
async def test_call_is_marked_where_something_new_could_come_after_it(
    options: Json, expected: tuple[bool, bool] | None
) -> None:
    mark = (await converted(State(), **options)).plan.mark
    if expected is None:
        assert mark is None
        return
    assert mark is not None and mark.scope == OWNER
    assert (mark.known, bool(mark.asked and mark.start)) == expected


async def test_call_after_a_stored_answer_is_marked_though_it_is_not_stored_itself() -> None:
    for stored in (True, False):
        reply = await converted(State(known(stored=stored)))
        assert (reply.plan.mark is not None, commit(reply).stored) == (stored, False)
        assert reply.plan.mark is None or reply.plan.mark.conversation == "found"


async def test_mark_of_what_is_new_asks_what_its_repetition_asks() -> None:
    before = known(HISTORY[:3]).turn
    state = State(head=HeadTurns(turn=before))
    first = await converted(state, [user("Three")], said=DELTA)
    mark = first.plan.mark
    assert mark is not None and first.plan.delta
    state.replies = [
        ResolveReply(
            head=HeadTurns(turn=before), open=[OpenCall(number=3, asked=mark.asked, start=mark.start, live=True)]
        )
    ]
    again = await converted(state, [user("Three")], said=DELTA)
    assert told(again) == ("chain", deciding.REGENERATED, 1)
    assert sent(again)["previous_response_id"] == before.response_id


async def test_call_that_the_upstream_answers_itself_is_marked_in_its_conversation() -> None:
    reply = await convert(State(), said=NAMED, modalities=["text", "audio"], audio={"voice": "a", "format": "wav"})
    assert isinstance(reply, Native) and reply.mark is not None
    assert (reply.mark.conversation, reply.mark.known, reply.mark.scope) == ("c", True, OWNER)


@pytest.mark.parametrize("said", [DELTA, {"previous_response_id": "resp_1"}, {"conversation": "conv_1"}])
async def test_what_is_new_is_never_sent_alone_to_a_chat_endpoint(said: Json) -> None:
    reply = await refused(State(), [user("x")], said=said, modalities=["text", "audio"], audio={"voice": "a"})
    assert (reply.status, reply.error.code) == (400, "previous_response_not_found")
    assert reply.error.param == "previous_response_id"


async def test_delta_without_a_name_is_refused() -> None:
    for options in ({"said": {"delta": True}}, {"parley": {"history": "delta"}}):
        reply = await refused(State(), **options)
        assert (reply.status, reply.error.code) == (400, "previous_response_not_found")


async def test_what_is_new_is_not_sent_alone_while_state_is_away() -> None:
    reply = await refused(None, [user("x")], said=DELTA)
    assert (reply.status, reply.error.code) == (503, "server_is_overloaded")


async def test_request_that_names_its_parent_is_what_is_new() -> None:
    state = State(known())
    reply = await converted(state, [tool("c")], said={"previous_response_id": "chatcmpl-0"})
    assert state.asked == []
    assert sent(reply)["previous_response_id"] == reply.previous_response_id == "resp_0"
    assert [item["type"] for item in sent(reply)["input"]] == ["function_call_output"]
    assert not reply.whole and sent(reply)["store"] is True
    assert commit(reply).start == fingerprint.after(OWNER, "resp_0")


async def test_conversation_of_the_upstreams_goes_up() -> None:
    reply = await converted(State(), [tool("c")], said={"conversation": "conv_1"})
    assert sent(reply)["conversation"] == "conv_1" and "previous_response_id" not in sent(reply)
    assert (reply.whole, reply.conversation) == (False, "conv_1")


# -- what the client is told ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conversation", "options"),
    [
        ("c", {"said": NAMED}),
        ("pc_1", {"said": {"conversation": "pc_1"}}),
        ("conv_1", {"conversation": "conv_1"}),
        ("found", {}),
        ("found", {"token": "pc_2"}),
        ("pc_2", {"token": "pc_2", "mode": "plain"}),
    ],
)
async def test_every_answer_names_its_conversation(conversation: str, options: Json) -> None:
    reply = await converted(State(known(items=ORIGINAL)), **options)
    assert reply.conversation == commit(reply).conversation == conversation


async def test_token_is_the_same_for_each_try_of_a_request() -> None:
    first, again = await converted(State()), await converted(State(), mode="plain")
    other = await converted(State(), request_id="req_2")
    assert first.conversation == again.conversation != other.conversation
    assert first.conversation.startswith("pc_") and "req_1" not in first.conversation


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
            State(head=HeadTurns(turn=turn(calls=[KeptCall(id="c", name="f", outline=b"")]))),
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


# -- routes, refusals, forms ------------------------------------------------------------------------


async def test_alias_and_bridge_come_from_the_configuration() -> None:
    reply = await converted(State(), up=upstream(models=[], aliases={"m": "real"}))
    assert (reply.model, sent(reply)["model"], reply.model_requested) == ("real", "real", "m")


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


async def test_request_for_the_chat_endpoint_is_told_apart() -> None:
    reply = await convert(State(), modalities=["text", "audio"], up=upstream(aliases={"m": "real"}))
    assert reply == Native(upstream="a", model="real", reason="modalities")


async def test_model_that_is_not_translated_is_told_apart() -> None:
    rules = [ModelRule(match="real", bridge="bypass")]
    chosen = upstream(aliases={"m": "real"}, model_rules=rules)
    assert await convert(State(), up=chosen) == Native(upstream="a", model="real", reason="model")
    reply = await refused(State(), said=DELTA, up=chosen)
    assert (reply.status, reply.error.code) == (400, "previous_response_not_found")


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
    lifted = Lifted(placeholder="parley-lift:f:0.", sha256="0" * 64, length=9, head="JVBERi0x")
    request = ConvertRequest(plan_version=PLAN_VERSION, body=body, lifted=[lifted], tenant="t", accounts={})
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
