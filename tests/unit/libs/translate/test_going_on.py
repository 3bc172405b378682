"""From an answer to what is kept of it, to its echo as a client rewrites it, to the request that goes on from it."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from libs.schemas.bus.state import CommitRequest, Found
from libs.schemas.plan import CommitPlan
from libs.translate.continuity import fingerprint
from libs.translate.continuity.deciding import ContinuableRequest, Decision, decide
from libs.translate.continuity.keeping import to_commit
from libs.translate.request.messages import to_input
from tests.support import answers
from tests.support.chats import Json, messages, tool, user

OWNER = fingerprint.scope_digest("t", "a", "")

ARGUMENTS = st.sampled_from(["", "{}", '{"a": {"b": [1.0, "é"], "c": null}, "d": 2}', "not JSON"])
# Of each turn: its text, and the arguments of its calls. Call ids are used again in every turn.
TURNS = st.lists(
    st.tuples(st.sampled_from(["", "Yes. ", "Well"]), st.lists(ARGUMENTS, max_size=3)), min_size=1, max_size=4
)


def _output(number: int, text: str, arguments: list[str]) -> list[Json]:
    output: list[Json] = [
        {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": "gAAA", "status": None}
    ]
    if text or not arguments:
        output.append({**answers.message(text, phase="final_answer"), "id": f"msg_{number}"})
    calls = (answers.call(f"call_{k}", arguments=each) for k, each in enumerate(arguments))
    return [*output, *({**call, "id": f"fc_{number}_{k}"} for k, call in enumerate(calls))]


def _raw(output: list[Json]) -> list[Raw]:
    return [Raw(json.dumps(item).encode()) for item in output]


def _history(turns: list[Json], start: str | None = None) -> fingerprint.History:
    return fingerprint.history(messages(*turns), 0, OWNER, {}, start)


def _kept(turns: list[Json], output: list[Json]) -> CommitRequest:
    asked = _history(turns)
    commit = CommitPlan(
        scope=OWNER,
        asked=asked.digest,
        start=asked.start,
        context="ctx",
        conversation="c",
        upstream="up",
        account="acc",
        model="m",
        chainable=True,
        stored=True,
    )
    plan = msgspec.structs.replace(answers.PLAN, commit=commit)
    kept = to_commit(plan, _raw(output), "resp_1", complete=True, now=0, link_seconds=9, items_seconds=9)
    assert kept is not None
    return kept


def _rewritten(echo: Json, *, thin: bool) -> Json:
    echo["content"] = (echo.get("content") or "").rstrip() or None
    for call in echo.get("tool_calls", ()):
        try:
            value = json.loads(call["function"]["arguments"] or "{}")
        except ValueError:
            continue
        if thin:
            value.pop("d", None)
            value.get("a", {}).pop("c", None)
        call["function"]["arguments"] = json.dumps(value, indent=1)
    return {key: value for key, value in echo.items() if not key.startswith("reasoning")}


def _told(
    said: list[tuple[str, list[str]]], *, thin: bool
) -> tuple[list[Json], list[list[Json]], dict[str, CommitRequest]]:
    """A conversation as its client has it, the outputs, and what was kept, by entry."""
    turns, outputs, kept = [user("Hi.")], [], {}
    for number, (text, arguments) in enumerate(said):
        output = _output(number, text, arguments)
        commit = _kept(turns, output)
        kept[commit.turn.key] = commit
        outputs.append(output)
        echo: Json = msgspec.to_builtins(answers.to_message(_raw(output), answers.PLAN))
        turns.append(_rewritten(echo, thin=thin))
        turns += [tool(f"call_{k}") for k in range(len(arguments))] or [user("Go on.")]
    return turns, outputs, kept


def _decide(turns: list[Json], kept: dict[str, CommitRequest], wish: Any) -> Decision:
    decoded = messages(*turns)
    history = _history(turns)
    asked = ContinuableRequest(
        messages=decoded, made=to_input(decoded), history=history, context="ctx", model="m", wish=wish, now=1
    )
    found = [
        Found(index=index, exact=True, turn=commit.turn, items=commit.items)
        for index, answer in enumerate(reversed(history.turns))
        if (commit := kept.get(fingerprint.turn_key(answer.prefix, "ctx"))) is not None
    ]
    return decide(asked, found)


def _ids(decision: Decision) -> list[str]:
    sent: list[Json] = json.loads(msgspec.json.encode(decision.input.items))
    calls = [item["call_id"] for item in sent if item["type"] == "function_call"]
    results = [item["call_id"] for item in sent if item["type"] == "function_call_output"]
    assert calls == results and len(set(calls)) == len(calls)
    return [item["id"] for item in sent if "id" in item]


@given(TURNS, st.booleans())
def test_what_was_answered_is_replayed_whatever_the_client_rewrote(
    said: list[tuple[str, list[str]]], thin: bool
) -> None:
    turns, outputs, kept = _told(said, thin=thin)
    decision = _decide(turns, kept, "replay")
    assert (decision.continuity.mode, decision.continuity.matched) == ("replay", len(said))
    assert _ids(decision) == [item["id"] for output in outputs for item in output]


@given(TURNS, st.booleans())
def test_what_was_answered_is_followed_whatever_the_client_rewrote(
    said: list[tuple[str, list[str]]], thin: bool
) -> None:
    turns, _, kept = _told(said, thin=thin)
    decision = _decide(turns, kept, "chain")
    assert (decision.continuity.mode, decision.continuity.matched) == ("chain", len(said))
    assert set(decision.input.message_indexes) == set(range(len(turns) - max(len(said[-1][1]), 1), len(turns)))


@given(TURNS, st.data())
def test_an_edited_turn_is_never_replayed_with_its_items(
    said: list[tuple[str, list[str]]], data: st.DataObject
) -> None:
    turns, outputs, kept = _told(said, thin=False)
    places = [k for k, turn in enumerate(turns) if turn["role"] == "assistant"]
    number = data.draw(st.integers(0, len(places) - 1))
    turns[places[number]]["content"] = "Edited."
    decision = _decide(turns, kept, "replay")
    assert decision.continuity.matched == number
    assert _ids(decision) == [item["id"] for output in outputs[:number] for item in output]
