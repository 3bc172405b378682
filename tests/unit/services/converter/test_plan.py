"""The plan for the answer: where it is kept, where the call is marked, and what its conversation is called."""

import pytest

from libs.schemas.bus.convert import (
    Native,
)
from libs.schemas.bus.state import HeadTurns, OpenRequest, ResolveReply
from libs.translate.continuity import deciding, fingerprint
from tests.support.chats import Json, messages, user
from tests.unit.services.converter.fakes import (
    DELTA,
    HISTORY,
    NAMED,
    ORIGINAL,
    OWNER,
    State,
    commit,
    convert,
    converted,
    known,
    refused,
    sent,
    told,
    upstream,
)


async def test_chained_answer_is_kept_as_one_of_the_whole_history() -> None:
    reply, whole = await converted(State(known()), said=NAMED), await converted(State(), said=NAMED)
    assert commit(reply) == commit(whole)
    history = fingerprint.history(messages(*HISTORY), 1, OWNER, {})
    assert (commit(reply).asked, commit(reply).start) == (history.digest, history.start)


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
    entry = fingerprint.turn_key(known().turn.prefix, commit(reply).context)
    assert state.asked[0].turns[0].turn_key == entry


@pytest.mark.parametrize(
    ("options", "parent"),
    [({}, True), ({"stop": "END"}, True), ({"n": 2}, False), ({"previous_response_id": "r"}, False)],
)
async def test_only_one_answer_to_a_whole_history_may_become_a_parent(options: Json, parent: bool) -> None:
    assert commit(await converted(State(), **options)).chainable is parent


async def test_answer_to_what_is_new_is_known_again_in_the_whole_history() -> None:
    before = known(HISTORY[:3]).turn
    reply = await converted(State(head=HeadTurns(turn=before)), [user("Three")], said=DELTA)
    whole = fingerprint.history(messages(*HISTORY), 1, OWNER, {})
    assert (commit(reply).asked, commit(reply).start) == (whole.digest, whole.start)


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
            head=HeadTurns(turn=before), open=[OpenRequest(number=3, asked=mark.asked, start=mark.start, live=True)]
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
