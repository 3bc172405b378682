"""Streams recorded by others against the real API, through our translation.

They are not kept with the project: PARLEY_RECORDINGS names the folder that holds `responses/*.chunks.txt`,
each line of which is the JSON of one event, and `responses/*.json`, whole bodies.
"""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletion

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.events import (
    TERMINAL,
    ErrorEvent,
    ResponseCompleted,
    ResponseCreated,
    ResponseFailed,
    ResponseIncomplete,
    StreamEvent,
    decode_event,
)
from libs.schemas.wire.output import RESPONSE_DECODER
from libs.translate.answer.completion import COMPLETION_ENCODER, to_completion
from libs.translate.answer.item_fates import losses
from libs.translate.answer.stream import DONE_FRAME, ChunkStream, to_frame
from libs.translate.errors import UpstreamFailed
from tests.support import golden, node_sdk, recordings
from tests.support.answers import PLAN, Json, calls, feed, said

# Its deltas were edited by hand and are not the beginning of the text that ends them.
EDITED = "openai-shell-container.1"

# Its upstream names the same answer otherwise in every event; what the first one said stands.
ROTATING = "github-copilot-id-rotation.1"

RECORDINGS = {path.name.removesuffix(".chunks.txt"): path for path in recordings.found("responses/*.chunks.txt")}
_BODIES = recordings.found("responses/*.1.json")
WITH_USAGE = StreamPlan(stream=True, include_usage=True)

pytestmark = recordings.needed


def _answers(name: str) -> list[list[StreamEvent]]:
    """Return the events of a file, answer by answer: some files hold several."""
    lines = RECORDINGS[name].read_bytes().splitlines()
    events = [decode_event(b"", line) for line in lines if line.strip()]
    starts = 0

    def answer(event: StreamEvent) -> int:
        nonlocal starts
        starts += isinstance(event, ResponseCreated)
        return starts

    return [list(group) for _, group in groupby(events, answer)]


def _whole(events: list[StreamEvent]) -> Json:
    """Return the message of the answer when it is not streamed."""
    choice: Json = msgspec.to_builtins(to_completion(_terminal(events).response, PLAN).choices[0])
    return choice


def _terminal(events: list[StreamEvent]) -> ResponseCompleted | ResponseIncomplete | ResponseFailed:
    terminal = next(event for event in events if isinstance(event, TERMINAL))
    assert not isinstance(terminal, ErrorEvent)
    return terminal


def _fails(events: list[StreamEvent]) -> bool:
    return any(isinstance(event, ErrorEvent | ResponseFailed) for event in events)


def _deltas(name: str) -> str:
    lines = map(json.loads, RECORDINGS[name].read_bytes().splitlines())
    return "".join(line["delta"] for line in lines if line["type"] == "response.output_text.delta")


def test_the_folder_holds_recordings() -> None:
    assert RECORDINGS


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recorded_stream_says_what_its_last_event_says(name: str) -> None:
    for events in _answers(name):
        if _fails(events):
            with pytest.raises(UpstreamFailed):
                feed(ChunkStream(PLAN), *events)
            continue
        made = feed(ChunkStream(PLAN), *events)
        choice = _whole(events)
        message: dict[str, Any] = choice["message"]
        assert made[-1]["choices"][0]["finish_reason"] == choice["finish_reason"]
        assert said(made, "reasoning_content") == message.get("reasoning_content", "")
        assert said(made, "refusal") == (message["refusal"] or "")
        told = [{"id": call["id"], **call["function"]} for call in message.get("tool_calls", ()) if "function" in call]
        if len(told) == len(message.get("tool_calls", ())):
            assert calls(made) == told
        if name != EDITED:
            assert said(made, "content") == (message["content"] or "")


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_official_client_rebuilds_a_recorded_stream(name: str) -> None:
    for events in _answers(name):
        stream = ChunkStream(WITH_USAGE)
        if _fails(events):
            continue
        sent = b"".join(to_frame(chunk) for event in events for chunk in stream.feed(event)) + DONE_FRAME
        rebuilt, terminal = golden.rebuild(sent), _terminal(events)
        whole: Json = json.loads(COMPLETION_ENCODER.encode(to_completion(terminal.response, WITH_USAGE)))
        (streamed,), (expected,) = rebuilt["choices"], whole["choices"]
        if name == EDITED:
            streamed["message"]["content"] = expected["message"]["content"]
        assert golden.meant(streamed["message"]) == golden.meant(expected["message"])
        assert streamed["finish_reason"] == expected["finish_reason"]
        assert (rebuilt["created"], rebuilt["model"]) == (whole["created"], whole["model"])
        assert rebuilt["id"] == whole["id"] or name == ROTATING
        assert golden.meant(rebuilt.get("usage") or {}) == golden.meant(whole.get("usage", {}))


@node_sdk.needed
def test_the_node_client_rebuilds_every_recorded_stream() -> None:
    expected: Json = {}
    sent: dict[str, str] = {}
    for name in RECORDINGS:
        for number, events in enumerate(_answers(name)):
            if not _fails(events) and name != EDITED:
                stream, case = ChunkStream(WITH_USAGE), f"{name} {number}"
                frames = [to_frame(chunk) for event in events for chunk in stream.feed(event)]
                sent[case] = b"".join([*frames, DONE_FRAME]).decode()
                expected[case] = _whole(events)
    rebuilt = node_sdk.rebuild(sent)
    for case, choice in expected.items():
        (streamed,) = rebuilt[case]["choices"]
        assert streamed["finish_reason"] == choice["finish_reason"], case
        assert node_sdk.meant(streamed["message"]) == node_sdk.meant(choice["message"]), case


@pytest.mark.parametrize("path", _BODIES, ids=lambda path: path.name)
def test_a_recorded_body_becomes_a_completion_that_the_official_sdk_reads(path: Path) -> None:
    response = RESPONSE_DECODER.decode(path.read_bytes())
    if response.error is not None:
        with pytest.raises(UpstreamFailed):
            to_completion(response, PLAN)
        return
    made = json.loads(COMPLETION_ENCODER.encode(to_completion(response, PLAN)))
    assert ChatCompletion.model_validate(made, strict=False).choices[0].finish_reason in ("stop", "tool_calls")
    assert not [name for name in losses(response.output, PLAN) if name.endswith(".unknown")]


def test_deltas_that_differ_from_the_text_that_ends_them_stand_alone() -> None:
    """A client cannot unread what it read, and what does not follow from that was never said to it."""
    (events,) = _answers(EDITED)
    content, deltas = said(feed(ChunkStream(PLAN), *events), "content"), _deltas(EDITED)
    whole = _whole(events)["message"]["content"]
    assert not whole.startswith(deltas) and len(whole) > len(deltas)
    assert content == deltas
