"""Streams recorded by others against the real API, through our translation.

They are not kept with the project: PARLEY_RECORDINGS names the folder that holds `responses/*.chunks.txt`,
each line of which is the JSON of one event.
"""

import json
import os
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.schemas.events import TERMINAL, ErrorEvent, ResponseCreated, ResponseFailed, StreamEvent, decode_event
from libs.translate.completion import to_completion
from libs.translate.errors import UpstreamFailed
from libs.translate.stream import ChunkStream
from tests.support.answers import PLAN, Json, calls, feed, said

# Its deltas were edited by hand and are not the beginning of the text that ends them.
EDITED = "openai-shell-container.1"

_FOLDER = os.environ.get("PARLEY_RECORDINGS", "")
_FILES = sorted(Path(_FOLDER, "responses").glob("*.chunks.txt")) if _FOLDER else []
RECORDINGS = {path.name.removesuffix(".chunks.txt"): path for path in _FILES}

pytestmark = pytest.mark.skipif(not _FOLDER, reason="PARLEY_RECORDINGS names no folder of recordings")


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
    terminal = next(event for event in events if isinstance(event, TERMINAL))
    assert not isinstance(terminal, ErrorEvent)
    choice: Json = msgspec.to_builtins(to_completion(terminal.response, PLAN).choices[0])
    return choice


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
        told = [{"id": call["id"], **call["function"]} for call in message.get("tool_calls", ())]
        assert calls(made) == told
        if name != EDITED:
            assert said(made, "content") == (message["content"] or "")


@pytest.mark.skipif(EDITED not in RECORDINGS, reason="this recording is not there")
def test_deltas_that_differ_from_the_text_that_ends_them_stand_and_its_rest_follows() -> None:
    """A client cannot unread what it read: what lacks in length is added, nothing is said twice."""
    (events,) = _answers(EDITED)
    content, deltas = said(feed(ChunkStream(PLAN), *events), "content"), _deltas(EDITED)
    whole = _whole(events)["message"]["content"]
    assert not whole.startswith(deltas)
    assert content == deltas + whole[len(deltas) :]
