import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from libs.schemas.bus.state import Found, HeadTurns, KeptToolCall, OpenRequest, Turn
from libs.translate.continuity import deciding, fingerprint
from libs.translate.continuity.arguments import outline
from libs.translate.continuity.deciding import ContinuableRequest, Decision, Newest, decide, on_head
from libs.translate.errors import InvalidRequest
from libs.translate.request.messages import Input, to_input
from libs.translate.request.parts import Terms
from tests.support import answers
from tests.support.chats import USER, Json, assistant, calling, messages, system, tool, user

OWNER = fingerprint.scope_digest("t", "a", "")
NOW = 1000
HISTORY = [system("Be kind."), USER, assistant("Two"), user("Three")]
CALLS = [USER, calling("c", arguments='{"x":1,"y":2}'), tool("c")]
LONGER = [*CALLS, assistant("Four"), user("Five")]


def _sealed(id_: str = "rs_1") -> Json:
    return {"type": "reasoning", "id": id_, "summary": [], "encrypted_content": "gAAA"}


def _answer(text: str, number: int = 1) -> list[Json]:
    return [_sealed(f"rs_{number}"), {**answers.message(text, phase="final_answer"), "id": f"msg_{number}"}]


def _called(call_id: str = "c", number: int = 9) -> list[Json]:
    return [_sealed(f"rs_{number}"), {**answers.call(call_id), "id": f"fc_{number}"}]


def _asked(
    turns: list[Json], *, continues: bool = False, start: str | None = None, **fields: Any
) -> ContinuableRequest:
    decoded = messages(*turns)
    made = to_input(decoded, Terms(continues=continues))
    history = fingerprint.history(decoded, made.hoisted, OWNER, {}, start)
    defaults: dict[str, Any] = {"context": "ctx", "model": "m", "wish": "chain", "now": NOW}
    return ContinuableRequest(messages=decoded, made=made, history=history, **{**defaults, **fields})


def _turn(answer: fingerprint.EchoedTurn | None = None, **fields: Any) -> Turn:
    prefix, end = (answer.prefix, answer.end) if answer else ("", "")
    defaults: dict[str, Any] = {
        "key": fingerprint.turn_key(prefix, "ctx"),
        "response_id": f"resp_{answer.index if answer else 0}",
        "upstream": "up",
        "account": "acc",
        "model": "m",
        "prefix": prefix,
        "end": end,
        "asked": "asked",
        "start": OWNER,
        "context": "ctx",
        "conversation": "c",
        "chainable": True,
        "stored": True,
        "created": 0,
        "expires": NOW + 1,
    }
    return Turn(**{**defaults, **fields})


def _found(
    asked: ContinuableRequest, index: int = 0, *, exact: bool = True, items: list[Json] | None = None, **turn: Any
) -> Found:
    """The answer `index` from the newest, as it was kept."""
    answer = asked.history.turns[::-1][index]
    calls = [
        KeptToolCall(id=id_, name=name, outline=outline(arguments))
        for id_, name, arguments in fingerprint.tool_calls_of(asked.messages[answer.index])
    ]
    raw = None if items is None else [json.dumps(item).encode() for item in items]
    return Found(index=index, exact=exact, turn=_turn(answer, **{"tool_calls": calls, **turn}), items=raw)


def _sent(decision: Decision) -> list[Json]:
    sent: list[Json] = json.loads(msgspec.json.encode(decision.input.items))
    assert len(decision.input.message_indexes) == len(sent) == decision.continuity.new_items
    return sent


def _types(decision: Decision) -> list[str]:
    return [item["type"] for item in _sent(decision)]


def _told(decision: Decision) -> tuple[str, str, int]:
    return decision.continuity.mode, decision.continuity.reason, decision.continuity.matched


# -- chain ------------------------------------------------------------------------------------------


def test_a_chained_request_sends_what_follows_the_newest_answer() -> None:
    asked = _asked(HISTORY)
    found = _found(asked, items=_answer("Two"))
    decision = decide(asked, [found])
    assert _told(decision) == ("chain", "matched", 1)
    assert [item["content"] for item in _sent(decision)] == ["Three"]
    assert (decision.input.instructions, decision.input.message_indexes) == ("Be kind.", [3])
    assert decision.parent == found.turn
    assert [(each.turn_key, each.ids) for each in decision.continued] == [(found.turn.key, ["resp_2"])]


def test_everything_after_the_answer_is_new() -> None:
    turns = [USER, calling("a", "b", content="Looking."), tool("b"), tool("a"), system("Now briefly."), user("c")]
    asked = _asked(turns)
    decision = decide(asked, [_found(asked)])
    assert _types(decision) == ["function_call_output", "function_call_output", "message", "message"]
    assert decision.input.message_indexes == [2, 3, 4, 5]


def test_all_answers_before_the_parent_are_counted() -> None:
    asked = _asked(LONGER)
    assert _told(decide(asked, [_found(asked)])) == ("chain", "matched", 2)


def test_a_typed_result_answers_a_call_too() -> None:
    typed = {"type": "function_call_output", "call_id": "c", "output": "x"}
    asked = _asked([USER, calling("c"), typed])
    assert _told(decide(asked, [_found(asked)])) == ("chain", "matched", 1)


def test_a_legacy_call_is_answered_by_its_function() -> None:
    legacy = assistant(function_call={"name": "look", "arguments": "{}"})
    asked = _asked([USER, legacy, {"role": "function", "name": "look", "content": "x"}])
    assert _told(decide(asked, [_found(asked)])) == ("chain", "matched", 1)


def test_thinned_arguments_of_the_newest_call_may_be_chained() -> None:
    asked = _asked(CALLS)
    kept = KeptToolCall(id="c", name="look", outline=outline('{"y":2, "x":1.0, "z":3}'))
    assert _told(decide(asked, [_found(asked, tool_calls=[kept])])) == ("chain", "matched", 1)


# -- every reason -----------------------------------------------------------------------------------

EDITED = KeptToolCall(id="c", name="look", outline=outline('{"x":1,"y":3}'))
RENAMED = KeptToolCall(id="c", name="see", outline=outline('{"x":1,"y":2}'))
HIDDEN = KeptToolCall(id="h", name="look", outline=outline("{}"))

# What is asked, what is found of its newest answer, why it is not chained.
REFUSALS: list[tuple[str, list[Json], dict[str, Any], dict[str, Any]]] = [
    (deciding.CHOICES, HISTORY, {"no_chain": deciding.CHOICES}, {}),
    (deciding.STORE_FALSE, HISTORY, {"no_chain": deciding.STORE_FALSE}, {}),
    (deciding.HISTORY_CHANGED, HISTORY, {}, {"prefix": "of another history", "exact": False}),
    (deciding.CONTEXT_CHANGED, HISTORY, {}, {"exact": False}),
    (deciding.ARGUMENTS_CHANGED, CALLS, {}, {"tool_calls": [EDITED]}),
    (deciding.ARGUMENTS_CHANGED, CALLS, {}, {"tool_calls": [RENAMED]}),
    (deciding.ARGUMENTS_CHANGED, CALLS, {}, {"tool_calls": []}),
    (deciding.ARGUMENTS_CHANGED, HISTORY, {}, {"tool_calls": [HIDDEN]}),
    (deciding.NOT_A_PARENT, HISTORY, {}, {"chainable": False}),
    (deciding.NOT_A_PARENT, HISTORY, {}, {"stored": False}),
    (deciding.EXPIRED, HISTORY, {}, {"expires": NOW}),
    (deciding.MODEL_CHANGED, HISTORY, {}, {"model": "other"}),
    (deciding.NOTHING_NEW, HISTORY[:3], {}, {}),
]


@pytest.mark.parametrize(("reason", "turns", "fields", "turn"), REFUSALS)
def test_what_may_not_be_chained_goes_up_whole(
    reason: str, turns: list[Json], fields: dict[str, Any], turn: dict[str, Any]
) -> None:
    asked = _asked(turns, **fields)
    decision = decide(asked, [_found(asked, **turn)])
    assert _told(decision) == ("none", reason, 0)
    assert decision.parent is None and decision.continued == []
    assert decision.input == asked.made


@pytest.mark.parametrize(
    ("reason", "turns", "fields", "turn"),
    [each for each in REFUSALS if each[0] not in (deciding.ARGUMENTS_CHANGED, deciding.MODEL_CHANGED)],
)
def test_what_may_not_be_chained_is_replayed_for_the_same_reason(
    reason: str, turns: list[Json], fields: dict[str, Any], turn: dict[str, Any]
) -> None:
    asked = _asked(turns, **fields)
    decision = decide(asked, [_found(asked, items=_answer("Two"), **turn)])
    assert _told(decision) == ("replay", reason, 1)
    assert decision.parent is None and _types(decision)[1:3] == ["reasoning", "message"]


def test_a_newest_answer_that_is_not_known_is_a_changed_history() -> None:
    asked = _asked(LONGER)
    decision = decide(asked, [_found(asked, 1, items=_called())])
    assert _told(decision) == ("replay", deciding.HISTORY_CHANGED, 1)


def test_calls_without_results_among_what_is_new_are_unanswered() -> None:
    decoded = messages(USER, calling("c"), user("x"))  # as the translation itself would refuse
    history = fingerprint.history(decoded, 0, OWNER, {})
    asked = ContinuableRequest(
        messages=decoded, made=Input(), history=history, context="ctx", model="m", wish="chain", now=NOW
    )
    assert _told(decide(asked, [_found(asked)])) == ("none", deciding.UNANSWERED_CALLS, 0)


@pytest.mark.parametrize("wish", ["chain", "replay"])
def test_where_nothing_is_known_the_request_goes_up_as_it_is(wish: str) -> None:
    asked = _asked(LONGER, wish=wish)
    decision = decide(asked, [])
    assert _told(decision) == ("none", deciding.NO_MATCH, 0)
    assert decision.input == asked.made


@pytest.mark.parametrize(
    ("reason", "turn"),
    [
        (deciding.NOTHING_KEPT, {}),
        (deciding.MODEL_CHANGED, {"model": "other", "items": _called()}),
        (deciding.ARGUMENTS_CHANGED, {"tool_calls": [EDITED], "items": _called()}),
        (deciding.ARGUMENTS_CHANGED, {"items": [*_called(), answers.call("hidden")]}),
        (deciding.ARGUMENTS_CHANGED, {"items": [_sealed(), answers.message("x")]}),
    ],
)
def test_what_may_not_be_replayed_goes_up_as_the_client_wrote_it(reason: str, turn: dict[str, Any]) -> None:
    asked = _asked(CALLS, wish="replay")
    decision = decide(asked, [_found(asked, **turn)])
    assert _told(decision) == ("none", reason, 0)
    assert decision.input == asked.made and decision.continued == []


# -- replay -----------------------------------------------------------------------------------------


def test_original_items_are_sent_again() -> None:
    asked = _asked(LONGER, wish="replay")
    found = [_found(asked, 0, items=_answer("Four")), _found(asked, 1, items=_called())]
    decision = decide(asked, found)
    assert _told(decision) == ("replay", "matched", 2)
    sent = _sent(decision)
    assert sent[1:3] == _called() and sent[4:6] == _answer("Four")
    assert decision.input.message_indexes == [0, 1, 1, 2, 3, 3, 4] and decision.parent is None
    assert {each.turn_key: each.ids for each in decision.continued} == {
        found[0].turn.key: ["rs_1", "msg_1"],
        found[1].turn.key: ["rs_9", "fc_9"],
    }


def test_what_was_found_in_another_history_is_replayed_too() -> None:
    asked = _asked(CALLS, wish="replay")
    decision = decide(asked, [_found(asked, exact=False, prefix="other", items=_called())])
    assert _told(decision) == ("replay", "matched", 1)


def test_what_is_not_stored_upstream_is_replayed_too() -> None:
    asked = _asked(HISTORY, wish="replay")
    decision = decide(asked, [_found(asked, items=_answer("Two"), stored=False, chainable=False, expires=0)])
    assert _told(decision) == ("replay", "matched", 1)


def test_a_turn_that_does_not_hold_goes_plain_beside_one_that_does() -> None:
    asked = _asked(LONGER, wish="replay")
    found = [_found(asked, 0, items=_answer("Four")), _found(asked, 1, items=_called(), tool_calls=[EDITED])]
    decision = decide(asked, found)
    assert _told(decision) == ("replay", "matched", 1)
    assert _types(decision) == [
        *("message", "function_call", "function_call_output"),
        *("reasoning", "message", "message"),
    ]
    assert "id" not in _sent(decision)[1]
    assert [each.turn_key for each in decision.continued] == [found[0].turn.key]


def test_two_turns_with_the_same_item_ids_are_never_both_replayed() -> None:
    asked = _asked(LONGER, wish="replay")
    older = [_sealed("rs_1"), answers.call("c")]
    found = [_found(asked, 0, items=_answer("Four")), _found(asked, 1, items=older)]
    decision = decide(asked, found)
    assert _told(decision) == ("replay", "matched", 1)
    ids = [item["id"] for item in _sent(decision) if "id" in item]
    assert ids == ["rs_1", "msg_1"]


def test_a_call_id_that_two_turns_used_is_replayed_with_its_result() -> None:
    turn = [calling("c"), tool("c")]
    asked = _asked([USER, *turn, *turn], wish="replay")
    decision = decide(asked, [_found(asked, k, items=_called(number=k)) for k in (0, 1)])
    assert _told(decision) == ("replay", "matched", 2)
    sent = _sent(decision)
    calls = [item["call_id"] for item in sent if item["type"] == "function_call"]
    assert calls == [item["call_id"] for item in sent if item["type"] == "function_call_output"]
    assert len(set(calls)) == 2


def test_an_image_that_left_no_trace_is_replayed() -> None:
    asked = _asked([USER, assistant(None), user("Bigger.")], wish="replay")
    decision = decide(asked, [_found(asked, items=[answers.image()])])
    assert _told(decision) == ("replay", "matched", 1)
    assert _types(decision) == ["message", "image_generation_call", "message"]


# -- the newest turn of a conversation --------------------------------------------------------------


def _head(
    asked_turns: list[Json], head: HeadTurns, open_: Sequence[OpenRequest] = (), after: str | None = None, **fields: Any
) -> Decision | str:
    asked = _asked(asked_turns, continues=True, **fields)
    then, again = (_asked(asked_turns, continues=True, start=k).history for k in (head.turn.end, head.turn.start))
    newest = Newest(head=head, then=then, again=again, open=open_, after=after)
    return on_head(asked, newest, OWNER)


def _whole(turns: list[Json], start: str) -> str:
    return _asked(turns, continues=True, start=start).history.digest


FIRST = _turn(asked=_whole([USER], OWNER), end="aa", response_id="resp_1", key="1")
SECOND = _turn(asked=_whole([user("b")], "aa"), start="aa", end="bb", response_id="resp_2", key="2")


def test_what_is_new_follows_the_head() -> None:
    decision = _head([user("c")], HeadTurns(turn=SECOND, before=FIRST))
    assert isinstance(decision, Decision)
    assert _told(decision) == ("chain", deciding.HEAD, 1)
    assert (decision.parent, len(_sent(decision))) == (SECOND, 1)
    assert [(each.turn_key, each.ids) for each in decision.continued] == [("2", ["resp_2"])]


def test_the_same_again_takes_the_place_of_the_head() -> None:
    decision = _head([user("b")], HeadTurns(turn=SECOND, before=FIRST))
    assert isinstance(decision, Decision)
    assert (_told(decision), decision.parent) == (("chain", deciding.REGENERATED, 1), FIRST)


def test_the_first_again_has_no_parent() -> None:
    decision = _head([USER], HeadTurns(turn=FIRST))
    assert isinstance(decision, Decision)
    assert (_told(decision), decision.parent) == (("none", deciding.REGENERATED, 0), None)


def test_results_follow_the_calls_of_the_head() -> None:
    head = HeadTurns(turn=msgspec.structs.replace(SECOND, tool_calls=[HIDDEN]))
    decision = _head([tool("h")], head)
    assert isinstance(decision, Decision) and decision.continuity.reason == deciding.HEAD
    assert _head([user("c")], head) == deciding.UNANSWERED_CALLS


@pytest.mark.parametrize("calls", [[HIDDEN], []], ids=["another call", "no call"])
@pytest.mark.parametrize(
    ("result", "path"),
    [
        (tool("other"), "tool_call_id"),
        ({"type": "function_call_output", "call_id": "other", "output": "x"}, "call_id"),
        ({"type": "custom_tool_call_output", "call_id": "other", "output": "x"}, "call_id"),
        ({"type": "mcp_approval_response", "approval_request_id": "other", "approve": True}, "approval_request_id"),
    ],
)
def test_result_of_a_call_that_the_head_never_made_is_refused(
    calls: list[KeptToolCall], result: Json, path: str
) -> None:
    head = HeadTurns(turn=msgspec.structs.replace(SECOND, tool_calls=calls), before=FIRST)
    results = [tool("h")] if calls else []
    with pytest.raises(InvalidRequest) as refused:
        _head([*results, result], head)
    assert (refused.value.status, refused.value.error.param) == (400, f"messages[{len(results)}].{path}")


def test_result_of_a_call_among_what_is_new_is_no_orphan() -> None:
    decision = _head([user("c"), calling("n"), tool("n")], HeadTurns(turn=SECOND, before=FIRST))
    assert isinstance(decision, Decision) and decision.parent == SECOND


NEW = [user("c")]
ON_HEAD: Json = {"start": SECOND.end, "asked": _whole(NEW, SECOND.end)}
ON_BEFORE: Json = {"start": SECOND.start, "asked": _whole(NEW, SECOND.start)}


def _open(number: int = 3, *, live: bool = True, start: str = "dd", asked: str = "ee") -> OpenRequest:
    return OpenRequest(number=number, start=start, asked=asked, live=live)


@pytest.mark.parametrize(
    ("open_", "expected"),
    [
        ([_open()], deciding.BUSY),
        ([_open(live=False)], deciding.OPEN_CALL),
        ([_open(3), _open(4, live=False)], deciding.OPEN_CALL),
        ([_open(3, live=False), _open(4)], deciding.BUSY),
        # The same question on the same parent: a retry.
        ([_open(**ON_HEAD)], SECOND),
        ([_open(**ON_HEAD, live=False)], SECOND),
        ([_open(**ON_HEAD), _open(4)], SECOND),
        ([_open(**ON_BEFORE)], FIRST),
        # The same question elsewhere, or another one here.
        ([_open(start=SECOND.end)], deciding.BUSY),
        ([_open(asked=ON_HEAD["asked"])], deciding.BUSY),
    ],
)
def test_open_call_stands_in_the_way_unless_it_asked_the_same(open_: list[OpenRequest], expected: Turn | str) -> None:
    decided = _head(NEW, HeadTurns(turn=SECOND, before=FIRST), open_)
    if isinstance(expected, str):
        assert decided == expected
    else:
        assert isinstance(decided, Decision)
        assert (decided.parent, decided.continuity.reason) == (expected, deciding.REGENERATED)


@pytest.mark.parametrize(
    ("asked", "after", "open_", "expected"),
    [
        (NEW, "resp_2", [], (SECOND, deciding.HEAD)),
        (NEW, "resp_2", [_open()], (SECOND, deciding.HEAD)),
        (NEW, "resp_2", [_open(live=False)], (SECOND, deciding.HEAD)),
        (NEW, "resp_2", [_open(**ON_HEAD)], (SECOND, deciding.REGENERATED)),
        ([user("b")], "resp_2", [], (SECOND, deciding.HEAD)),  # the same words once more, after their answer
        ([user("b")], "resp_1", [], (FIRST, deciding.REGENERATED)),
        (NEW, "resp_1", [], deciding.NOT_HEAD),
        (NEW, "resp_3", [], deciding.NOT_HEAD),
        (NEW, "resp_3", [_open()], deciding.BUSY),
        (NEW, "resp_3", [_open(live=False)], deciding.NOT_HEAD),
    ],
)
def test_client_may_say_which_answer_it_saw_last(
    asked: list[Json], after: str, open_: list[OpenRequest], expected: tuple[Turn, str] | str
) -> None:
    decided = _head(asked, HeadTurns(turn=SECOND, before=FIRST), open_, after)
    if isinstance(expected, str):
        assert decided == expected
    else:
        assert isinstance(decided, Decision)
        assert (decided.parent, decided.continuity.reason) == expected


def test_first_answer_under_way_is_waited_for() -> None:
    told = [deciding.without_head(open_) for open_ in ([], [_open()], [_open(live=False)])]
    assert told == [deciding.NO_MATCH, deciding.BUSY, deciding.OPEN_CALL]


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        (deciding.NOT_A_PARENT, {"chainable": False}),
        (deciding.NOT_A_PARENT, {"stored": False}),
        (deciding.EXPIRED, {"expires": NOW}),
        (deciding.MODEL_CHANGED, {"model": "other"}),
    ],
)
def test_a_head_that_is_no_parent_is_not_followed(reason: str, fields: dict[str, Any]) -> None:
    changed = msgspec.structs.replace(SECOND, **fields)
    assert _head([user("c")], HeadTurns(turn=changed, before=FIRST)) == reason
    regenerated = HeadTurns(turn=SECOND, before=msgspec.structs.replace(FIRST, **fields))
    assert _head([user("b")], regenerated) == reason


def test_the_same_again_without_what_it_followed_is_refused() -> None:
    assert _head([user("b")], HeadTurns(turn=SECOND)) == deciding.NOT_A_PARENT


# -- the table --------------------------------------------------------------------------------------

# Reached by the tests here, besides those of REFUSALS.
DECIDED = {
    *(deciding.MATCHED, deciding.HEAD, deciding.REGENERATED, deciding.NO_MATCH),
    *(deciding.NOTHING_KEPT, deciding.UNANSWERED_CALLS),
    *(deciding.BUSY, deciding.OPEN_CALL, deciding.NOT_HEAD),
}
# The converter's own, reached in its tests.
CONVERTERS = {
    *(deciding.OFF, deciding.FIRST_TURN, deciding.CLIENT_PARENT),
    *(deciding.STATE_UNAVAILABLE, deciding.PLAIN_RETRY),
    *(deciding.UNCHAINED, deciding.REPLAY_ONLY),
}


def test_every_reason_is_listed_once_and_reached() -> None:
    codes = {value for name, value in vars(deciding).items() if name.isupper() and isinstance(value, str)}
    assert codes == set(deciding.REASONS) and len(deciding.REASONS) == len(codes)
    reached = {reason for reason, *_ in REFUSALS} | DECIDED | CONVERTERS
    assert reached == set(deciding.REASONS)
