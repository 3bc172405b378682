"""Whatever an answer holds and however it is streamed: the stream says what the whole answer says."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.events import StreamEvent, decode_event
from libs.schemas.wire.output import RESPONSE_DECODER
from libs.translate.answer.completion import to_completion
from libs.translate.answer.stream import ChunkStream, to_frame
from libs.translate.sse import FrameParser
from tests.support.answers import Json, approval, call, citation, custom, image, response

TEXTS = st.text("abE ND\n🌊", max_size=12)
PLANS = st.builds(
    StreamPlan,
    stream=st.just(True),
    structured=st.booleans(),
    logprobs=st.booleans(),
    functions=st.booleans(),
    include_usage=st.booleans(),
    reasoning_field=st.sampled_from(["reasoning_content", "reasoning", "both", "none"]),
    stop=st.lists(st.sampled_from(["END", "E", "\n\n", "ab"]), max_size=2),
)
USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


@st.composite
def _text_part(draw: st.DrawFn) -> Json:
    text = draw(TEXTS)
    cited = draw(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=2))
    tokens = [{"token": one, "logprob": -1.0, "bytes": list(one.encode()), "top_logprobs": []} for one in text]
    annotations = [citation(min(span), max(span)) for span in cited]
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": tokens}


@st.composite
def _message(draw: st.DrawFn) -> Json:
    """A comment on the way to an answer never refuses."""
    phase = draw(st.sampled_from([None, "final_answer", "commentary"]))
    refusals = TEXTS.map(lambda text: {"type": "refusal", "refusal": text})
    parts = _text_part() if phase == "commentary" else st.one_of(_text_part(), refusals)
    return {"type": "message", "id": "msg", "phase": phase, "content": draw(st.lists(parts, max_size=3))}


@st.composite
def _reasoning(draw: st.DrawFn) -> Json:
    """Raw text or a summary: which of both a stream brings first is what it shows."""
    kind = draw(st.sampled_from(["content", "summary"]))
    parts = [{"type": "text", "text": text} for text in draw(st.lists(TEXTS, max_size=3))]
    return {"type": "reasoning", "id": "rs", "summary": [], kind: parts}


ITEMS = st.one_of(
    _message(),
    _message(),
    _reasoning(),
    st.builds(lambda name, text: call(name, arguments=text), st.sampled_from("ab"), TEXTS),
    st.builds(lambda name, text: custom(name, text=text), st.sampled_from("ab"), TEXTS),
    st.builds(approval),
    st.builds(image, st.sampled_from([None, "aGk="])),
    st.just({"type": "web_search_call", "id": "ws"}),
    st.just({"type": "telepathy"}),
)


def _event(kind: str, **fields: Any) -> Json:
    return {"type": f"response.{kind}", **fields}


@st.composite
def _pieces(draw: st.DrawFn, text: str) -> list[str]:
    """Some beginning of a text, in pieces; the rest comes only with what ends it."""
    edges = sorted({0, *draw(st.lists(st.integers(0, len(text)), max_size=3))})
    return [text[a:b] for a, b in zip(edges, edges[1:], strict=False)]


@st.composite
def _life(draw: st.DrawFn, index: int, item: Json) -> list[Json]:
    """The events of one item: announced, some of its text, done; or done alone."""
    done = _event("output_item.done", output_index=index, item=item)
    if draw(st.booleans()):
        return [done]
    told = [_event("output_item.added", output_index=index, item=_begun(item))]
    for kind, key, text, tokens_of in _texts(item):
        pieces = draw(_pieces(text))
        position = 0
        for piece in pieces:
            tokens = [_bare(one) for one in tokens_of[position : position + len(piece)]]
            told.append(_event(f"{kind}.delta", output_index=index, delta=piece, **key, logprobs=tokens))
            position += len(piece)
        if draw(st.booleans()):
            told.append(_event(f"{kind}.done", output_index=index, **key, **{_DONE[kind]: text}, logprobs=tokens_of))
        elif position < len(text):
            break  # its rest comes with the item, and so must all that follows
    return [*told, done]


def _bare(token: Json) -> Json:
    """A token as a delta brings it."""
    return {key: value for key, value in token.items() if key != "bytes"}


_DONE = {
    "output_text": "text",
    "refusal": "refusal",
    "function_call_arguments": "arguments",
    "custom_tool_call_input": "input",
    "reasoning_summary_text": "text",
    "reasoning_text": "text",
}


def _begun(item: Json) -> Json:
    """An item as it is announced: nothing of it is there yet."""
    empty: Json = {"content": [], "summary": [], "input": "", "result": None}
    if item["type"] == "function_call":
        empty["arguments"] = ""
    return {**item, **{key: value for key, value in empty.items() if key in item}}


def _texts(item: Json) -> Iterator[tuple[str, Json, str, list[Json]]]:
    match item["type"]:
        case "message":
            for k, part in enumerate(item["content"]):
                kind = part["type"]
                yield kind, {"content_index": k}, part[_DONE[kind]], part.get("logprobs", [])
        case "function_call":
            yield "function_call_arguments", {}, item["arguments"], []
        case "custom_tool_call":
            yield "custom_tool_call_input", {}, item["input"], []
        case "reasoning":
            for k, part in enumerate(item.get("content") or ()):
                yield "reasoning_text", {"content_index": k}, part["text"], []
            for k, part in enumerate(item["summary"]):
                yield "reasoning_summary_text", {"summary_index": k}, part["text"], []


@st.composite
def _streams(draw: st.DrawFn) -> tuple[list[Json], Json]:
    """The events of an answer, whose items overlap, and the response that they end with."""
    items = draw(st.lists(ITEMS, max_size=5))
    lives = [draw(_life(index, item)) for index, item in enumerate(items)]
    told = [_event("created", response=response(status="in_progress"))]
    begun, waiting = list[list[Json]](), lives
    while begun or waiting:  # items begin in their order; whoever has begun may go on
        if waiting and (not begun or draw(st.booleans())):
            life, *waiting = waiting
            begun.append(life)
        else:
            life = draw(st.sampled_from(begun))
        told.append(life[0])
        del life[0]
        begun = [one for one in begun if one]
    return told, response(*items, status="completed", usage=USAGE)


def _sum(made: list[Json]) -> Json:
    """Put chunks together as clients do."""
    message: Json = {"content": "", "refusal": "", "reasoning_content": "", "reasoning": "", "function_call": None}
    calls: dict[int, Json] = {}
    tokens: list[Json] = []
    finish = [choice["finish_reason"] for chunk in made for choice in chunk["choices"] if choice["finish_reason"]]
    for choice in (choice for chunk in made for choice in chunk["choices"]):
        tokens += (choice["logprobs"] or {}).get("content", [])
        delta = choice["delta"]
        for key in ("content", "refusal", "reasoning_content", "reasoning"):
            message[key] += delta.get(key) or ""
        for key in ("annotations", "images"):
            message.setdefault(key, delta[key]) if key in delta else None
        for part in delta.get("tool_calls", ()):
            assert part["index"] in (len(calls), len(calls) - 1), "a call's deltas are not contiguous"
            _grow(calls.setdefault(part["index"], {}), part)
        if "function_call" in delta:
            message["function_call"] = _grow(message["function_call"] or {}, delta["function_call"])
    assert len(finish) == 1
    message["tool_calls"] = list(calls.values())
    return {"message": _given(message), "logprobs": tokens, "finish_reason": finish[0]}


def _grow(whole: Json, part: Json) -> Json:
    for key, value in part.items():
        if isinstance(value, dict):
            whole[key] = _grow(whole.get(key, {}), value)
        elif key != "index":
            whole[key] = whole.get(key, "") + value
    return whole


def _given(message: Json) -> Json:
    return {key: value for key, value in message.items() if value and key != "role"}


def _decoded(told: list[Json]) -> list[StreamEvent]:
    return [decode_event(one["type"].encode(), json.dumps(one).encode()) for one in told]


@settings(max_examples=200, deadline=None)
@given(_streams(), PLANS)
def test_a_stream_says_what_the_whole_answer_says(answer: tuple[list[Json], Json], plan: StreamPlan) -> None:
    told, whole = answer
    stream = ChunkStream(plan)
    events = _decoded([*told, _event("completed", response=whole)])
    made = [json.loads(msgspec.json.encode(chunk)) for event in events for chunk in stream.feed(event)]
    completion = to_completion(RESPONSE_DECODER.decode(json.dumps(whole).encode()), plan)
    (choice,) = json.loads(msgspec.json.encode(completion))["choices"]
    summed, expected = _sum(made), _given(choice["message"])
    for key in ("reasoning_content", "reasoning") if plan.stop else ():
        # Reasoning that overlaps a text is said before anybody knows that the text will be cut.
        assert summed["message"].pop(key, "").startswith(expected.pop(key, ""))
    assert summed["message"] == expected
    assert summed["finish_reason"] == choice["finish_reason"]
    assert summed["logprobs"] == ((choice["logprobs"] or {}).get("content") or [])
    assert ("role" in made[0]["choices"][0]["delta"]) and sum(
        "role" in choice["delta"] for chunk in made for choice in chunk["choices"]
    ) == 1
    assert bool(made[-1].get("usage")) == plan.include_usage


@settings(max_examples=60, deadline=None)
@given(_streams(), PLANS, st.data())
def test_bytes_cut_anywhere_become_the_same_bytes(answer: Any, plan: StreamPlan, data: st.DataObject) -> None:
    told, whole = answer
    told = [*told, _event("completed", response=whole)]
    upstream = b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in told)
    edges = sorted({0, len(upstream), *data.draw(st.lists(st.integers(0, len(upstream)), max_size=8))})
    pieces = [upstream[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    assert _replayed(pieces, plan) == _replayed([upstream], plan)


def _replayed(pieces: list[bytes], plan: StreamPlan) -> bytes:
    parser, stream = FrameParser(), ChunkStream(plan)
    events = (decode_event(*frame) for piece in pieces for frame in parser.feed(piece))
    return b"".join(to_frame(chunk) for event in events for chunk in stream.feed(event))
