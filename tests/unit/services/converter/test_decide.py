"""How a request goes on, by what the state service knows."""

import pytest

from libs.runtime import metrics
from libs.schemas.bus.state import HeadTurns, KeptToolCall, OpenRequest, Turn
from libs.schemas.plan import Continuity
from libs.translate.continuity import deciding, fingerprint
from tests.support.chats import Json, messages, tool, user
from tests.unit.services.converter.fakes import (
    CHAINS,
    DELTA,
    HISTORY,
    NAMED,
    ORIGINAL,
    OWNER,
    REPLAYS,
    State,
    commit,
    converted,
    known,
    refused,
    sent,
    told,
    turn,
    upstream,
)

# -- chain ------------------------------------------------------------------------------------------


async def test_known_answer_of_a_named_conversation_is_continued_with_what_is_new() -> None:
    reply = await converted(State(known()), said=NAMED)
    assert told(reply) == ("chain", "matched", 1)
    assert reply.previous_response_id == sent(reply)["previous_response_id"] == "resp_1"
    assert [item["content"] for item in sent(reply)["input"]] == ["Three"]
    assert sent(reply)["instructions"] == "Be kind."
    assert (reply.plan.message_indexes, reply.whole_history, reply.continuity.new_items) == ([3], True, 1)
    assert [(each.turn_key, each.ids) for each in reply.plan.continued] == [("e", ["resp_1"])]


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
    assert reply.plan.message_indexes == [1, 2, 2, 3] and reply.previous_response_id is None
    assert [(each.turn_key, each.ids) for each in reply.plan.continued] == [("e", ["rs_1", "msg_1"])]


async def test_what_is_not_known_goes_plain() -> None:
    reply = await converted(State())
    assert told(reply) == ("none", deciding.NO_MATCH, 0)
    assert len(sent(reply)["input"]) == 3


# -- upstreams that are not to chain, or do not -----------------------------------------------------

IGNORED: Json = {"continuity": "replay", "unchained": True}


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
    assert len(sent(reply)["input"]) == 3 and reply.whole_history
    assert commit(reply).chainable


async def test_the_converters_own_reasons_are_reached_here() -> None:
    reached = {reason for reason, _ in EARLY} | {deciding.STATE_UNAVAILABLE}
    assert reached == {
        *(deciding.OFF, deciding.FIRST_TURN, deciding.CLIENT_PARENT),
        *(deciding.STATE_UNAVAILABLE, deciding.PLAIN_RETRY),
    }


# -- only what is new -------------------------------------------------------------------------------


async def test_what_is_new_goes_up_after_the_newest_turn() -> None:
    state = State(head=HeadTurns(turn=turn(tool_calls=[KeptToolCall(id="c", name="look", outline=b"")])))
    reply = await converted(state, [tool("c")], said=DELTA)
    assert (state.asked[0].head, state.asked[0].turns) == ("c", [])
    assert told(reply) == ("chain", deciding.HEAD, 1)
    assert sent(reply)["previous_response_id"] == reply.previous_response_id == "resp_1"
    assert [item["type"] for item in sent(reply)["input"]] == ["function_call_output"]
    assert (reply.whole_history, reply.conversation, sent(reply)["store"]) == (False, "c", True)


async def test_same_delta_again_takes_the_place_of_the_newest_turn() -> None:
    first = turn(end="f1", response_id="resp_1")
    asked = fingerprint.history(messages(user("b")), 0, OWNER, {}, "f1").digest
    second = turn(start="f1", asked=asked, end="f2", response_id="resp_2")
    reply = await converted(State(head=HeadTurns(turn=second, before=first)), [user("b")], said=DELTA)
    assert told(reply) == ("chain", deciding.REGENERATED, 1)
    assert sent(reply)["previous_response_id"] == "resp_1"
    assert (commit(reply).asked, commit(reply).start) == (asked, "f1")


async def test_first_turn_again_needs_no_parent() -> None:
    asked = fingerprint.history(messages(user("a")), 0, OWNER, {})
    head = HeadTurns(turn=turn(start=OWNER, asked=asked.digest))
    reply = await converted(State(head=head), [user("a")], said=DELTA)
    assert told(reply) == ("none", deciding.REGENERATED, 0)
    assert "previous_response_id" not in sent(reply)
    assert (commit(reply).asked, commit(reply).start) == (asked.digest, OWNER)


@pytest.mark.parametrize(
    ("reason", "head", "options"),
    [
        (deciding.NO_MATCH, None, {}),
        (deciding.EXPIRED, turn(expires=1), {}),
        (deciding.MODEL_CHANGED, turn(model="other"), {}),
        (deciding.NOT_A_PARENT, turn(chainable=False), {}),
        (deciding.NOT_A_PARENT, turn(stored=False), {}),
        (deciding.UNANSWERED_CALLS, turn(tool_calls=[KeptToolCall(id="c", name="f", outline=b"")]), {}),
        (deciding.OFF, turn(), {"up": upstream(continuity="off")}),
    ],
)
async def test_what_follows_nothing_known_is_refused(reason: str, head: Turn | None, options: Json) -> None:
    state = State(head=None if head is None else HeadTurns(turn=head))
    reply = await refused(state, [user("x")], said=DELTA, **options)
    assert (reply.status, reply.error.code) == (400, "previous_response_not_found")
    assert f"({reason})" in reply.error.message


LIVE, CUT = (OpenRequest(number=2, asked="aa", start="bb", live=live) for live in (True, False))


async def test_conversation_that_is_busy_is_told_to_come_again_at_once() -> None:
    for head in (HeadTurns(turn=turn()), None):
        state = State(head=head, open_=[LIVE])
        reply = await refused(state, [user("x")], said=DELTA)
        assert (reply.status, reply.error.code, reply.error.type) == (409, "conversation_busy", "invalid_request_error")
        assert reply.continuity == Continuity(reason=deciding.BUSY)
        assert len(state.asked) == 1


async def test_what_may_soon_go_on_is_no_decision_yet() -> None:
    """The edge tries again, and counts what comes of it at the end."""
    counted = metrics.CONTINUITY.labels("none", deciding.BUSY)._value
    before = counted.get()
    await refused(State(head=HeadTurns(turn=turn()), open_=[LIVE]), [user("x")], said=DELTA)
    assert counted.get() == before


@pytest.mark.parametrize(
    ("open_", "said", "reason"),
    [([CUT], DELTA, deciding.OPEN_CALL), ([], {**DELTA, "after": "chatcmpl-9"}, deciding.NOT_HEAD)],
)
async def test_what_could_follow_an_older_turn_is_refused_at_once(
    open_: list[OpenRequest], said: Json, reason: str
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
    assert (reply.whole_history, told(reply)[0]) == (True, "none")


async def test_what_is_new_is_not_sent_alone_while_state_is_away() -> None:
    reply = await refused(None, [user("x")], said=DELTA)
    assert (reply.status, reply.error.code) == (503, "server_is_overloaded")


async def test_request_that_names_its_parent_is_what_is_new() -> None:
    state = State(known())
    reply = await converted(state, [tool("c")], said={"previous_response_id": "chatcmpl-0"})
    assert state.asked == []
    assert sent(reply)["previous_response_id"] == reply.previous_response_id == "resp_0"
    assert [item["type"] for item in sent(reply)["input"]] == ["function_call_output"]
    assert not reply.whole_history and sent(reply)["store"] is True
    assert commit(reply).start == fingerprint.after(OWNER, "resp_0")


async def test_conversation_of_the_upstreams_goes_up() -> None:
    reply = await converted(State(), [tool("c")], said={"conversation": "conv_1"})
    assert sent(reply)["conversation"] == "conv_1" and "previous_response_id" not in sent(reply)
    assert (reply.whole_history, reply.conversation) == (False, "conv_1")
