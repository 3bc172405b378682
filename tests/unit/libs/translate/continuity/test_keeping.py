import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from libs.schemas.bus.state import CommitRequest
from libs.schemas.plan import CommitPlan, StreamPlan
from libs.schemas.wire.completion import AssistantMessage, FunctionCallOut, ToolCallOut
from libs.schemas.wire.output import RESPONSE_DECODER
from libs.translate.continuity import fingerprint
from libs.translate.continuity.arguments import agrees
from libs.translate.continuity.keeping import to_commit, withheld
from tests.support import answers
from tests.support.chats import USER, Json, messages, tool

OWNER = fingerprint.scope_digest("t", "a", "")
ASKED = fingerprint.history(messages(USER), 0, OWNER, {})
COMMIT = CommitPlan(
    scope=OWNER,
    asked=ASKED.digest,
    start=ASKED.start,
    context="ctx",
    conversation="c",
    upstream="up",
    model="m",
    chainable=True,
)
SEALED: Json = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
UNSEALED = answers.reasoning("hm")


def _kept(
    *output: Json, whole: bool = True, stop: list[str] | None = None, functions: bool = False, **commit: Any
) -> CommitRequest | None:
    more = {name: commit.pop(name) for name in ("sent", "store") if name in commit}
    plan = StreamPlan(
        stream=True, stop=stop or [], functions=functions, commit=msgspec.structs.replace(COMMIT, **commit)
    )
    raw = [Raw(json.dumps(item).encode()) for item in output]
    return to_commit(plan, raw, "resp_1", complete=whole, now=1000, link_seconds=500, items_seconds=20, **more)


def _commit(*output: Json, **options: Any) -> CommitRequest:
    kept = _kept(*output, **options)
    assert kept is not None
    return kept


# -- what is not kept -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "options"),
    [
        ([], {"stored": True}),
        ([answers.message("Yes.")], {}),
        ([UNSEALED, answers.message("Yes.")], {}),
        ([SEALED], {}),
        ([SEALED, answers.message("Yes. END no")], {"stop": ["END"]}),
        ([SEALED, answers.message("Yes. END no")], {"stop": ["END"], "stored": True}),
    ],
    ids=["nothing", "plain", "unsealed", "reasoning_alone", "cut", "cut_and_stored"],
)
def test_of_which_nothing_could_come_is_not_kept(output: list[Json], options: dict[str, Any]) -> None:
    assert _kept(*output, **options) is None


def test_without_a_plan_to_keep_nothing_is_kept() -> None:
    raw = [Raw(json.dumps(item).encode()) for item in (SEALED, answers.call())]
    assert to_commit(answers.PLAN, raw, "r", complete=True, now=0, link_seconds=1, items_seconds=1) is None


def test_a_stop_sequence_that_did_not_come_cuts_nothing() -> None:
    assert _kept(SEALED, answers.message("Yes."), stop=["END"]) is not None


# -- what is ----------------------------------------------------------------------------------------


def test_an_answer_with_reasoning_is_kept_as_it_came() -> None:
    output = [SEALED, answers.message("Yes.", phase="final_answer")]
    kept = _commit(*output)
    assert [json.loads(item) for item in kept.items] == output
    turn = kept.turn
    assert (kept.scope, turn.response_id, turn.upstream, turn.model) == (OWNER, "resp_1", "up", "m")
    assert (turn.asked, turn.start, turn.conversation) == (ASKED.digest, ASKED.start, "c")
    assert (turn.tool_calls, turn.created, turn.expires) == ([], 1000, 1020)


def test_an_answer_is_found_by_what_the_client_echoes() -> None:
    kept = _commit(SEALED, answers.call("a", arguments='{"x": 1}'), answers.call("b", name="see"))
    calls = [
        {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "see", "arguments": "{}"}},
    ]
    echo = messages(USER, {"role": "assistant", "content": None, "tool_calls": calls}, tool("a"), tool("b"))
    answer = fingerprint.history(echo, 0, OWNER, {}).turns[0]
    turn = kept.turn
    assert (turn.prefix, turn.end, kept.loose) == (answer.prefix, answer.end, answer.loose)
    assert turn.key == fingerprint.turn_key(answer.prefix, "ctx")


def test_calls_are_kept_with_their_outlines_and_nothing_to_read() -> None:
    kept = _commit(answers.call("a", arguments='{"secret": 1}'), answers.custom("b", text="SELECT 1"))
    assert [(call.id, call.name) for call in kept.turn.tool_calls] == [("a", "look"), ("b", "query")]
    first, second = (call.outline for call in kept.turn.tool_calls)
    assert agrees('{"secret":1}', first) and agrees("{}", first) and not agrees('{"secret":2}', first)
    assert agrees("SELECT 1", second) and not agrees("SELECT 2", second)
    assert kept.items == []  # the client echoes all there is
    assert b"secret" not in msgspec.msgpack.encode(kept.turn)


def test_calls_after_reasoning_that_cannot_be_replayed_are_kept_without_items() -> None:
    kept = _commit(UNSEALED, answers.call("a"))
    assert kept.items == [] and [call.id for call in kept.turn.tool_calls] == ["a"]


def test_a_legacy_call_is_kept_without_an_id() -> None:
    kept = _commit(SEALED, answers.call("a"), functions=True)
    assert [(call.id, call.name) for call in kept.turn.tool_calls] == [("", "look")]


def test_what_is_stored_upstream_is_kept_longer() -> None:
    turn = _commit(answers.message("Yes."), stored=True).turn
    assert (turn.stored, turn.chainable, turn.expires) == (True, True, 1500)
    assert _commit(answers.message("Yes."), stored=True).items == []


def test_what_the_upstream_did_not_store_is_no_parent() -> None:
    denied = _commit(SEALED, answers.message("Yes."), stored=True, store=False).turn
    assert (denied.stored, denied.chainable, denied.expires) == (False, False, 1020)
    assert _kept(answers.message("Yes."), stored=True, store=False) is None
    for says in (True, None):
        assert _commit(answers.message("Yes."), stored=True, store=says).turn.stored


def test_what_a_client_got_is_what_an_answer_is_known_by() -> None:
    finished = _commit(SEALED, answers.message("Yes, it is."), answers.call("a"))
    said = AssistantMessage(content="Yes is.", tool_calls=[_call("a", "{}")])
    other = _commit(SEALED, answers.message("Yes, it is."), answers.call("a"), sent=said)
    call = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    echo = messages(USER, {"role": "assistant", "content": "Yes is.", "tool_calls": [call]})
    assert other.turn.prefix == fingerprint.history(echo, 0, OWNER, {}).turns[0].prefix != finished.turn.prefix
    assert (finished.items != [], other.items) == (True, [])  # they hold what the client never saw
    same = msgspec.structs.replace(said, content="Yes, it is.")
    assert _commit(SEALED, answers.message("Yes, it is."), answers.call("a"), sent=same) == finished


def _call(id_: str, arguments: str) -> ToolCallOut:
    return ToolCallOut(id=id_, function=FunctionCallOut(name="look", arguments=arguments))


@pytest.mark.parametrize(
    ("parent", "whole", "kept"), [(True, True, True), (True, False, False), (False, True, False), (False, False, False)]
)
def test_only_a_whole_answer_becomes_a_parent(parent: bool, whole: bool, kept: bool) -> None:
    assert _commit(SEALED, answers.message("Yes."), whole=whole, chainable=parent, stored=True).turn.chainable is kept


# -- what the upstream would not use ----------------------------------------------------------------


def test_items_that_the_upstream_removed_are_told() -> None:
    transformations = [
        {"id": "rs_1", "action": "removed", "reason": "model_mismatch"},
        {"id": "rs_2", "action": "kept"},
        {"action": "removed"},
        {"id": "rs_3", "action": "removed"},
    ]
    response = RESPONSE_DECODER.decode(json.dumps(answers.response(input_transformations=transformations)).encode())
    assert withheld(response) == ["rs_1", "rs_3"]
    assert withheld(RESPONSE_DECODER.decode(json.dumps(answers.response()).encode())) == []
