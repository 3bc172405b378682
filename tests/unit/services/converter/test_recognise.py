"""The digests by which a history is recognised, and what the state service is asked."""

import pytest

from libs.schemas.config import Config, Conversation
from libs.translate.continuity import fingerprint
from services.converter.recognise import MAX_ANSWERS
from tests.support.chats import Json, assistant, messages, system, user
from tests.unit.services.converter.fakes import HISTORY, LONGER, NAMED, OWNER, State, converted


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
    newest = fingerprint.history(messages(*turns), 0, OWNER, {}).turns[-1]
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
    assert first.turn_key != second.turn_key and first.loose == second.loose


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
    assert one.asked[0].turns[0].turn_key != other.asked[0].turns[0].turn_key
