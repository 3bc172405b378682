"""What no upstream should send, and more than one usually does: no crash, no work beyond its size."""

import gc
import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.events import DECODERS, TERMINAL, decode_event
from libs.schemas.wire.output import RESPONSE_DECODER
from libs.translate.answer.completion import to_completion
from libs.translate.answer.item_fates import FATES, losses
from libs.translate.answer.stream import ChunkStream, to_frame
from libs.translate.errors import TranslationError
from libs.translate.sse import FrameParser
from tests.support.answers import Json, call, completed, custom, done, image, message, reasoning, response, text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.text("aé\n", max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "x"]), inner),
    max_leaves=4,
)
TYPES = st.sampled_from([*FATES, "output_text", "refusal", "reasoning_text", "?", ""])
ITEMS = st.dictionaries(
    st.sampled_from(["id", "call_id", "name", "arguments", "input", "content", "summary", "phase", "result"]), JSON
)
MADE = st.builds(lambda item, type_: {**item, "type": type_}, ITEMS, TYPES)
PARTS = st.fixed_dictionaries({"type": TYPES}, optional={"text": JSON, "refusal": JSON, "annotations": JSON})
RESPONSES = st.fixed_dictionaries(
    {"output": st.lists(MADE | JSON, max_size=3)},
    optional={"id": JSON, "created_at": JSON, "usage": JSON, "moderation": JSON, "metadata": JSON, "model": JSON},
)
EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from([name.decode() for name in DECODERS]) | st.just("response.telepathy")},
    optional={
        "output_index": st.integers(-2, 4) | JSON,
        "content_index": st.integers(-1, 2),
        "summary_index": st.integers(-1, 2),
        "delta": st.text("aE\n", max_size=4) | JSON,
        "text": st.text("aE\n", max_size=4),
        "arguments": st.text("[]", max_size=4),
        "item": MADE | JSON,
        "part": PARTS | JSON,
        "annotation": JSON,
        "logprobs": JSON,
        "response": RESPONSES,
    },
)
PLANS = st.builds(
    StreamPlan,
    stream=st.just(True),
    structured=st.booleans(),
    logprobs=st.booleans(),
    functions=st.booleans(),
    include_usage=st.booleans(),
    stop=st.sampled_from([[], ["E"], ["\n\n", ""]]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS, max_size=25), PLANS)
def test_whatever_comes_nothing_breaks_and_nothing_grows(told: list[Json], plan: StreamPlan) -> None:
    stream, sent, came = ChunkStream(plan), 0, 0
    for one in told:
        data = json.dumps(one).encode()
        came += len(data)
        try:
            event = decode_event(b"", data)
            sent += sum(len(to_frame(chunk)) for chunk in stream.feed(event))
        except (msgspec.DecodeError, TranslationError):
            continue
        if isinstance(event, TERMINAL):
            break
    assert sent <= 20 * came + 4000


@settings(max_examples=200, deadline=None)
@given(RESPONSES, PLANS)
def test_a_whole_answer_is_read_or_refused(told: Json, plan: StreamPlan) -> None:
    data = json.dumps(told).encode()
    try:
        decoded = RESPONSE_DECODER.decode(data)
        assert json.loads(msgspec.json.encode(to_completion(decoded, plan)))["choices"]
        assert all(name == "logprobs" or name.startswith("output[") for name in losses(decoded.output, plan))
    except (msgspec.DecodeError, TranslationError):
        pass


# -- work -------------------------------------------------------------------------------------------


def _calls(work: Callable[[], object]) -> int:
    """Return how many functions are called to do some work."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()  # collections call back whenever they please
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


SMALL, LARGE = 10, 4_000_000


def _bytes_of(size: int, kind: str) -> bytes:
    whole = "x" * size
    items: dict[str, Json] = {
        "text": message(whole),
        "arguments": call(arguments=whole),
        "input": custom(text=whole),
        "reasoning": reasoning(whole),
        "image": image(whole),
    }
    item = items[kind]
    told: list[Json] = [
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response(item, status="completed")},
    ]
    return b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in told)


def _translate(data: bytes, plan: StreamPlan) -> int:
    parser, stream = FrameParser(), ChunkStream(plan)
    return sum(len(to_frame(c)) for frame in parser.feed(data) for c in stream.feed(decode_event(*frame)))


@pytest.mark.parametrize("plan", [StreamPlan(stream=True), StreamPlan(stream=True, stop=["END"])])
@pytest.mark.parametrize("kind", ["text", "arguments", "input", "reasoning", "image"])
def test_a_frame_of_megabytes_takes_no_more_steps_than_a_small_one(kind: str, plan: StreamPlan) -> None:
    small, large = _bytes_of(SMALL, kind), _bytes_of(LARGE, kind)
    assert _calls(lambda: _translate(large, plan)) == _calls(lambda: _translate(small, plan))


@pytest.mark.parametrize("plan", [StreamPlan(stream=True), StreamPlan(stream=True, stop=["END"], logprobs=True)])
def test_steps_grow_with_the_number_of_deltas_and_no_faster(plan: StreamPlan) -> None:
    def steps(count: int) -> int:
        whole = "abc" * count
        events: list[Any] = [
            *(text(0, "abc") for _ in range(count)),
            done(0, message(whole)),
            completed(message(whole)),
        ]
        stream = ChunkStream(plan)
        return _calls(lambda: [stream.feed(event) for event in events])

    first, second, third = steps(100), steps(1100), steps(2100)
    assert third - second == second - first
