"""A client gets what deltas said and what follows from it, and nothing else; streamed and whole it is the same text."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.events import StreamEvent
from libs.schemas.wire.output import RESPONSE_DECODER
from libs.schemas.wire.surrogates import joined_halves
from libs.translate.answer.completion import to_completion
from libs.translate.answer.stream import ChunkStream, to_frame
from tests.support import answers
from tests.support.answers import (
    PLAN,
    Json,
    added,
    arguments,
    arguments_done,
    call,
    calls,
    completed,
    created,
    custom,
    custom_input,
    deltas,
    done,
    event,
    feed,
    message,
    raw_reasoning,
    reasoning,
    refusal,
    said,
    summary,
    text,
    token,
)

HIGH, LOW, WAVE = "\ud83c", "\udf0a", "🌊"
STOP = StreamPlan(stream=True, stop=[f"{WAVE}!"])
LOGPROBS = StreamPlan(stream=True, logprobs=True)


class Kind(msgspec.Struct, frozen=True):
    """One kind of text: the item that holds it, its events, and how a client reads it."""

    item: Callable[[str], Json]
    delta: Callable[[str], StreamEvent]
    done: Callable[[str], StreamEvent]
    read: Callable[[list[Json]], str]
    name: str


def _refusal(delta: str) -> StreamEvent:
    return event("response.refusal.delta", output_index=0, content_index=0, delta=delta)


def _custom(made: list[Json]) -> str:
    parts = [part for delta in deltas(made) for part in delta.get("tool_calls", ())]
    return "".join(part["custom"].get("input") or "" for part in parts)


PLACE = {"output_index": 0, "content_index": 0}
KINDS = {
    "text": Kind(
        lambda text: message(text),
        lambda delta: text(0, delta),
        lambda final: event("response.output_text.done", **PLACE, text=final),
        lambda made: said(made, "content"),
        "text",
    ),
    "refusal": Kind(
        lambda text: refusal(text),
        _refusal,
        lambda final: event("response.refusal.done", **PLACE, refusal=final),
        lambda made: said(made, "refusal"),
        "refusal",
    ),
    "summary": Kind(
        lambda text: reasoning(text),
        lambda delta: summary(0, delta),
        lambda final: event("response.reasoning_summary_text.done", output_index=0, summary_index=0, text=final),
        lambda made: said(made, "reasoning_content"),
        "reasoning",
    ),
    "raw": Kind(
        lambda text: reasoning(raw=(text,)),
        lambda delta: raw_reasoning(0, delta),
        lambda final: event("response.reasoning_text.done", **PLACE, text=final),
        lambda made: said(made, "reasoning_content"),
        "reasoning",
    ),
    "arguments": Kind(
        lambda text: call(arguments=text),
        lambda delta: arguments(0, delta),
        lambda final: arguments_done(0, final),
        lambda made: calls(made)[0]["arguments"],
        "call",
    ),
    "input": Kind(
        lambda text: custom(text=text),
        lambda delta: custom_input(0, delta),
        lambda final: event("response.custom_tool_call_input.done", output_index=0, input=final),
        _custom,
        "call",
    ),
}
EVERY = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def _begun(kind: Kind) -> StreamEvent:
    return added(0, kind.item(""))


def _stream(kind: Kind, *events: StreamEvent, plan: StreamPlan = PLAN) -> tuple[str, list[str]]:
    """Return what a client reads of a stream that ends, and the differences told; every chunk can be sent."""
    stream = ChunkStream(plan)
    made = [chunk for one in (created(), *events) for chunk in stream.feed(one)]
    assert all(to_frame(chunk) for chunk in made)
    plain: list[Json] = [msgspec.to_builtins(chunk) for chunk in made]
    assert plain[-1]["choices"][0]["finish_reason"]
    return kind.read(plain), stream.differences


# -- a whole text that says something else ----------------------------------------------------------


@EVERY
@pytest.mark.parametrize(
    ("told", "whole_text", "read", "differs"),
    [
        (["Hi ", "there"], "Hi there", "Hi there", False),
        (["Hi "], "Hi there", "Hi there", False),  # its end came only here
        ([], "Hi there", "Hi there", False),
        (["Hi there"], "", "Hi there", False),  # says nothing
        (["Hi there"], "Hi", "Hi there", True),  # shorter
        (["Hi there"], "Ho there!", "Hi there", True),  # another
        (["Hi ", "ere"], "Hi there", "Hi ere", True),  # a delta in the middle was lost
        (["Hi ", "Hi ", "there"], "Hi there, you", "Hi Hi there", True),  # a delta came twice
        (["Hi \ufffd\ufffd"], f"Hi {WAVE}there", "Hi \ufffd\ufffd", True),  # halves, given up by the server
    ],
)
def test_only_what_follows_from_what_was_said_is_added(
    kind: Kind, told: list[str], whole_text: str, read: str, differs: bool
) -> None:
    pieces = [_begun(kind), *map(kind.delta, told)]
    item = kind.item(whole_text)
    endings = (
        [kind.done(whole_text), done(0, item), completed(item)],
        [kind.done(whole_text), kind.done(whole_text), done(0, item), done(0, item), completed(item)],
        [done(0, item), completed(item)],
        [completed(item)],
        [kind.done(whole_text), completed()],
        [done(0, item), completed()],
    )
    for ending in endings:
        assert _stream(kind, *pieces, *ending) == (read, [kind.name] if differs else [])


@EVERY
def test_finished_answer_that_says_something_else_than_its_items_adds_nothing(kind: Kind) -> None:
    pieces = [_begun(kind), kind.delta("Hi"), kind.done("Hi"), done(0, kind.item("Hi"))]
    assert _stream(kind, *pieces, completed(kind.item("Ho there"))) == ("Hi", [kind.name])
    assert _stream(kind, *pieces, completed(kind.item("Hi there"))) == ("Hi there", [])


@EVERY
def test_item_that_was_done_without_its_text_gets_it_from_the_finished_answer(kind: Kind) -> None:
    pieces = [_begun(kind), kind.delta("Hi"), done(0, None)]
    assert _stream(kind, *pieces, completed(kind.item("Hi there"))) == ("Hi there", [])


def test_text_that_another_followed_is_not_completed_behind_it() -> None:
    first = [added(0, message()), text(0, "one"), text(0, "two", part=1)]
    late = event("response.output_text.done", output_index=0, content_index=0, text="one!")
    made = _stream(KINDS["text"], *first, late, done(0, message("one!", "two")), completed(message("one!", "two")))
    assert made == ("onetwo", ["text"])


def test_parts_that_interrupt_each_other_are_said_as_they_come_and_not_completed() -> None:
    told = [added(0, message()), text(0, "a"), text(0, "b", part=1), text(0, "c"), done(0, message("acd", "b"))]
    assert _stream(KINDS["text"], *told, completed(message("acd", "b"))) == ("abc", ["text"])


def test_answer_that_lacks_what_was_said_differs() -> None:
    told = [added(0, message()), text(0, "one"), done(0, message("one")), added(1, call()), done(1, call())]
    assert _stream(KINDS["text"], *told, completed(message("one"))) == ("one", ["output"])


def test_what_a_server_resealed_is_no_difference() -> None:
    item = {**reasoning("Hm."), "encrypted_content": "a"}
    told = [added(0, reasoning()), summary(0, "Hm."), done(0, item)]
    assert _stream(KINDS["summary"], *told, completed({**item, "encrypted_content": "b"})) == ("Hm.", [])


def test_log_probabilities_are_completed_only_where_they_agree() -> None:
    def tokens(*telling: str) -> list[str]:
        whole_ = event("response.output_text.done", **PLACE, text="Hi you", logprobs=[*map(token, telling)])
        stream = ChunkStream(LOGPROBS)
        made = feed(stream, created(), added(0, message()), text(0, "Hi", logprobs=[token("Hi")]), whole_)
        told = [choice["logprobs"] for chunk in made for choice in chunk["choices"]]
        return [one["token"] for each in told for one in (each or {}).get("content", ())]

    assert tokens("Hi", " you") == ["Hi", " you"]
    assert tokens("H", "i", " you") == ["Hi"]
    assert tokens() == ["Hi"]


def test_message_is_what_the_client_got() -> None:
    stream = ChunkStream(PLAN)
    events = [added(0, message()), text(0, "Hi ere"), done(0, message("Hi there")), added(1, call(arguments=""))]
    feed(stream, *events, arguments(1, '{"a"'), done(1, call(arguments='{"b":1}')))
    feed(stream, completed(message("Hi there"), call(arguments='{"b":1}')))
    got = stream.message()
    assert got.content == "Hi ere" and got.tool_calls
    assert [call_.function.arguments for call_ in got.tool_calls if call_.function] == ['{"a"']
    assert stream.differences == ["text", "call"]


# -- halves of characters ---------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize(
    ("told", "read"),
    [
        (["Hi ", HIGH, LOW, "there"], f"Hi {WAVE}there"),
        ([f"Hi {HIGH}", f"{LOW}there"], f"Hi {WAVE}there"),
        ([HIGH, "", LOW], WAVE),
        ([HIGH, HIGH, LOW], f"\ufffd{WAVE}"),
        (["a", HIGH, "b"], "a\ufffdb"),
        (["a", LOW, "b"], "a\ufffdb"),
        ([f"a{HIGH}b", f"{HIGH}{LOW}c"], f"a\ufffdb{WAVE}c"),
        (["a", HIGH], "a\ufffd"),
        ([HIGH], "\ufffd"),
        ([f"{WAVE}{HIGH}", f"{LOW}{WAVE}"], WAVE * 3),
    ],
)
def test_halves_in_two_deltas_are_one_character_and_a_lone_one_is_replaced(
    kind: Kind, told: list[str], read: str
) -> None:
    pieces = [_begun(kind), *map(kind.delta, told)]
    item = kind.item("".join(told))
    assert _stream(kind, *pieces, kind.done("".join(told)), done(0, item), completed(item)) == (read, [])
    assert _stream(kind, *pieces, done(0, item), completed(item)) == (read, [])
    assert _stream(kind, *pieces, completed(item)) == (read, [])
    assert _stream(kind, *pieces, done(0, None), completed()) == (read, [])
    assert _stream(kind, *pieces, completed()) == (read, [])


@EVERY
def test_half_is_held_for_its_own_part_alone(kind: Kind) -> None:
    other = call("b", arguments="")
    told = [_begun(kind), kind.delta(f"a{HIGH}"), added(1, other), arguments(1, f"{LOW}b")]
    item, last = kind.item(f"a{WAVE}"), call("b", arguments=f"{LOW}b")
    ends = [kind.delta(LOW), done(0, item), done(1, last), completed(item, last)]
    if kind.name == "call":
        stream = ChunkStream(PLAN)
        made = feed(stream, *told, *ends)
        names = [part.get("function", part.get("custom")) for one in deltas(made) for part in one["tool_calls"]]
        assert "".join(part.get("arguments") or part.get("input") or "" for part in names) == f"a{WAVE}\ufffdb"
    else:
        assert _stream(kind, *told, *ends) == (f"a{WAVE}", [])


@EVERY
def test_half_that_waited_for_its_turn_is_joined(kind: Kind) -> None:
    """Items of one kind speak one after the other; what waits is merged."""
    again = [_at(kind, 1, piece) for piece in (f"b{HIGH}", f"{LOW}c")]
    first, second = kind.item("a"), {**kind.item(f"b{WAVE}c"), "id": "second", "call_id": "second"}
    stream = ChunkStream(PLAN)
    made = feed(stream, created(), added(0, kind.item("")), added(1, {**second, **_empty(second)}), *again)
    made += feed(stream, kind.delta("a"), done(0, first), done(1, second), completed(first, second))
    shown = json.dumps(made, ensure_ascii=False)
    assert WAVE in shown and "\ufffd" not in shown and stream.differences == []


def _at(kind: Kind, index: int, piece: str) -> StreamEvent:
    torn = kind.delta(piece)
    inner: Any = getattr(torn, "event", torn)
    return type(torn)(msgspec.structs.replace(inner, output_index=index))  # type: ignore[call-arg]


def _empty(item: Json) -> Json:
    empty: Json = {"content": [], "summary": [], "input": "", "arguments": ""}
    return {key: value for key, value in empty.items() if key in item}


def test_stop_sequence_is_found_across_halves() -> None:
    told = [added(0, message()), text(0, f"a{HIGH}"), text(0, f"{LOW}"), text(0, "!b")]
    stream = ChunkStream(STOP)
    made = feed(stream, created(), *told)
    assert (said(made, "content"), stream.stopped) == ("a", True)
    other = [added(0, message()), text(0, f"a{HIGH}"), text(0, f"{LOW}?"), completed(message(f"a{WAVE}?"))]
    assert _stream(KINDS["text"], *other, plan=STOP) == (f"a{WAVE}?", [])


def test_log_probabilities_come_with_halves() -> None:
    halves = [token("\ufffd", bytes=[0xF0, 0x9F]), token("\ufffd", bytes=[0x8C, 0x8A])]
    told = [text(0, HIGH, logprobs=halves[:1]), text(0, LOW, logprobs=halves[1:])]
    stream = ChunkStream(LOGPROBS)
    made = feed(stream, created(), added(0, message()), *told, completed(message(WAVE)))
    assert said(made, "content") == WAVE
    tokens = [choice["logprobs"]["content"] for chunk in made for choice in chunk["choices"] if choice["logprobs"]]
    assert [one["bytes"] for each in tokens for one in each] == [[0xF0, 0x9F], [0x8C, 0x8A]]


def test_halves_in_a_transcript_are_joined() -> None:
    told = [event("response.audio.transcript.delta", delta=piece) for piece in (f"a{HIGH}", LOW)]
    stream = ChunkStream(PLAN)
    made = [chunk for one in (created(), *told) for chunk in stream.feed(one)]
    assert all(to_frame(chunk) for chunk in made)
    parts = [choice.delta.audio.transcript for chunk in made for choice in chunk.choices if choice.delta.audio]
    assert "".join(part for part in parts if part) == f"a{WAVE}"


# -- however it is cut ------------------------------------------------------------------------------

TEXTS = st.lists(st.sampled_from(["a", "b ", "\n", "é", WAVE, "𝛑", HIGH, LOW]), max_size=8).map("".join)


@st.composite
def _cut(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A text, and some beginning of it cut between any of its UTF-16 units."""
    units = draw(TEXTS).encode("utf-16-le", "surrogatepass")
    edges = sorted({0, *draw(st.lists(st.integers(0, len(units) // 2), max_size=5))})
    pieces = [units[2 * a : 2 * b] for a, b in zip(edges, edges[1:], strict=False)]
    return _units(units), [_units(piece) for piece in pieces]


def _units(data: bytes) -> str:
    return data.decode("utf-16-le", "surrogatepass")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(KINDS)), _cut(), st.lists(st.booleans(), min_size=3, max_size=3), st.booleans())
def test_stream_says_what_the_whole_answer_says(
    name: str, cut: tuple[str, list[str]], ends: list[bool], stops: bool
) -> None:
    kind, (text_, pieces) = KINDS[name], cut
    plan = StreamPlan(stream=True, stop=[WAVE, "ab"] if stops else [])
    item = kind.item(text_)
    told = [_begun(kind), *map(kind.delta, pieces)]
    told += [kind.done(text_)] if ends[0] else []
    told += [done(0, item)] if ends[1] else []
    told += [completed(item) if ends[2] or not (ends[0] or ends[1]) else completed()]
    body = json.dumps(answers.response(item, status="completed")).encode()
    stream = ChunkStream(plan)
    made = [chunk for one in (created(), *told) for chunk in stream.feed(one)]
    assert all(to_frame(chunk) for chunk in made)
    complete = to_completion(RESPONSE_DECODER.decode(body), plan).choices[0].message
    if stream.stopped:
        made += stream.finish()
    plain: list[Json] = [msgspec.to_builtins(chunk) for chunk in made]
    streamed = kind.read(plain)
    seen = {
        "text": complete.content or "",
        "refusal": complete.refusal or "",
        "reasoning": complete.reasoning_content or "",
        "call": "".join(
            (one.function.arguments if one.function else "") + (one.custom.input if one.custom else "")
            for one in complete.tool_calls or ()
        ),
    }[kind.name]
    assert streamed == seen
    assert stream.differences == []
    if not stops:
        assert streamed == joined_halves(text_)
