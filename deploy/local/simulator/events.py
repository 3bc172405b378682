"""A scripted answer as the exact event sequence OpenAI streams (translation reference C.5).

Each kind of item has one player: the events between its announcement and its end.
"""

import re
from collections.abc import Callable, Iterator
from functools import singledispatch

from deploy.local.simulator import items
from deploy.local.simulator.items import Call, Message, OutputItem, Reasoning
from deploy.local.simulator.response import Answer, item_status
from deploy.local.simulator.scenarios import Failure, Interruption
from deploy.local.simulator.script import Script
from deploy.local.simulator.stream import Cut, Pause, Step
from deploy.local.simulator.wire import Json, to_frame

_WORDS = re.compile(r"\s*\S+|\s+$")
_PIECES = re.compile(r"\w+|\W+")
_PAD_WIDTH = 16
_PAD = "qX7vT2mKc9RwLb4Z"

Played = Json | Pause | Cut


def to_steps(script: Script, answer: Answer, obfuscate: bool, on_finish: Callable[[Json], None]) -> Iterator[Step]:
    """Frames with their sequence numbers, and the pauses and cuts between them.

    `on_finish` gets the final Response before its event leaves, so that the client can already chain on it.
    """
    sequence_number = 0
    for played in _play(script, answer, on_finish):
        if isinstance(played, dict):
            if not obfuscate:
                played.pop("obfuscation", None)
            played["sequence_number"] = sequence_number
            sequence_number += 1
            yield to_frame(played)
        else:
            yield played


def _play(script: Script, answer: Answer, on_finish: Callable[[Json], None]) -> Iterator[Played]:
    yield {"type": "response.created", "response": answer.started()}
    yield {"type": "response.in_progress", "response": answer.started()}
    if script.failure is None:
        done: list[Json] = []
        interrupting = _interrupting(script.interruptions, answer, done)
        for played in _interrupted(_body(script, done), _middle(script), interrupting):
            yield played
            if isinstance(played, Cut) or (isinstance(played, dict) and played["type"] == "response.failed"):
                return
    response = answer.finished()
    on_finish(response)
    yield {"type": f"response.{response['status']}", "response": response}


def _body(script: Script, done: list[Json]) -> Iterator[Json]:
    """Every item's events; `done` collects the items that have ended."""
    for output_index, item in enumerate(script.items):
        added = items.to_wire(item, "in_progress")
        yield {"type": "response.output_item.added", "item": added, "output_index": output_index}
        yield from _item(item, output_index)
        wire = items.to_wire(item, item_status(script, output_index))
        done.append(wire)
        yield {"type": "response.output_item.done", "item": wire, "output_index": output_index}


@singledispatch
def _item(item: OutputItem, output_index: int) -> Iterator[Json]:
    raise TypeError(item)


@_item.register
def _(item: Message, output_index: int) -> Iterator[Json]:
    place = {"content_index": 0, "item_id": item.id, "output_index": output_index}
    yield {"type": "response.content_part.added", **place, "part": items.to_part(item, "")}
    if item.is_refusal:
        for delta in _WORDS.findall(item.text):
            yield {"type": "response.refusal.delta", **place, "delta": delta, "obfuscation": _pad(delta)}
        yield {"type": "response.refusal.done", **place, "refusal": item.text}
    else:
        for match in _WORDS.finditer(item.text):
            yield {
                "type": "response.output_text.delta",
                "content_index": 0,
                "delta": match.group(),
                "item_id": item.id,
                "logprobs": [],
                "obfuscation": _pad(match.group()),
                "output_index": output_index,
            }
        yield {"type": "response.output_text.done", **place, "logprobs": [], "text": item.text}
    yield {"type": "response.content_part.done", **place, "part": items.to_part(item, item.text)}


@_item.register
def _(item: Reasoning, output_index: int) -> Iterator[Json]:
    for summary_index, text in enumerate(item.summary):
        place = {"item_id": item.id, "output_index": output_index, "summary_index": summary_index}
        empty, full = {"type": "summary_text", "text": ""}, {"type": "summary_text", "text": text}
        yield {"type": "response.reasoning_summary_part.added", **place, "part": empty}
        for delta in _WORDS.findall(text):
            yield {
                "type": "response.reasoning_summary_text.delta",
                **place,
                "delta": delta,
                "obfuscation": _pad(delta),
            }
        yield {"type": "response.reasoning_summary_text.done", **place, "text": text}
        yield {"type": "response.reasoning_summary_part.done", **place, "part": full}


# The event family and the key of the whole value, for function calls and for custom ones.
_CALL_EVENTS = {
    False: ("response.function_call_arguments", "arguments"),
    True: ("response.custom_tool_call_input", "input"),
}


@_item.register
def _(item: Call, output_index: int) -> Iterator[Json]:
    family, key = _CALL_EVENTS[item.is_custom]
    place = {"item_id": item.id, "output_index": output_index}
    for delta in _PIECES.findall(item.arguments):
        yield {"type": f"{family}.delta", "delta": delta, **place, "obfuscation": _pad(delta)}
    yield {"type": f"{family}.done", key: item.arguments, **place}


def _pad(delta: str) -> str:
    """What hides a delta's length: together they are a multiple of sixteen characters."""
    return _PAD[len(delta) % _PAD_WIDTH :]


def _middle(script: Script) -> int:
    """How many deltas there are up to the middle of the answer itself, which reasoning summaries are not part of."""
    before = sum(
        len(_WORDS.findall(text)) for item in script.items if isinstance(item, Reasoning) for text in item.summary
    )
    counts = [
        len((_WORDS if isinstance(item, Message) else _PIECES).findall(_text_of(item)))
        for item in script.items
        if not isinstance(item, Reasoning)
    ]
    return before + (sum(counts) + 1) // 2


def _text_of(item: Message | Call) -> str:
    return item.text if isinstance(item, Message) else item.arguments


def _interrupted(body: Iterator[Json], after: int, interrupting: Iterator[Played]) -> Iterator[Played]:
    deltas = 0
    for event in body:
        yield event
        if event["type"].endswith(".delta"):
            deltas += 1
            if deltas == after:
                yield from interrupting
    # An answer without deltas is interrupted at its end.
    yield from interrupting


def _interrupting(interruptions: list[Interruption], answer: Answer, done: list[Json]) -> Iterator[Played]:
    for interruption in interruptions:
        if isinstance(interruption, Failure):
            yield _error_event(interruption)
            yield {"type": "response.failed", "response": answer.failed(interruption, done)}
        else:
            yield interruption


def _error_event(failure: Failure) -> Json:
    """The nested form, as the live API sends it; the SDK's own type is flat (translation reference C.1)."""
    error = {"type": failure.code, "code": failure.code, "message": failure.message, "param": None}
    return {"type": "error", "error": error}
