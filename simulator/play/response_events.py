"""A scripted answer as the exact event sequence OpenAI streams (docs/mapping.md#what-an-upstream-streams).

Each kind of item has one player: the events between its announcement and its end.
"""

from collections.abc import Callable, Iterator
from functools import singledispatch
from itertools import zip_longest

from simulator.http.steps import Cut, Step
from simulator.output import deltas, items
from simulator.output.items import Call, Hosted, Message, OutputItem, Reasoning
from simulator.output.logprobs import delta_logprobs, done_logprobs
from simulator.output.message_part import Part
from simulator.play.response_object import Answer, item_status
from simulator.scripts.decision import Script
from simulator.scripts.distortions import Played, distort_events, distort_response
from simulator.scripts.plan import Failure
from simulator.wire.json import Json

Cutter = Callable[[str], list[str]]

# Events that name the place of their item, but not the item itself (SDK types, recorded).
_ITEMLESS = ("response.shell_call_command.",)


def to_steps(script: Script, answer: Answer, obfuscate: bool, on_finish: Callable[[Json], None]) -> Iterator[Step]:
    """Frames, and the pauses and cuts between them.

    `on_finish` gets the final Response before its event leaves, so that the client can already chain on it.
    """
    framing = script.plan.framing
    for step in to_events(script, answer, obfuscate, on_finish):
        if isinstance(step, dict):
            yield from framing.frames(step)
        else:
            yield step
    yield from framing.end()


def to_events(script: Script, answer: Answer, obfuscate: bool, on_finish: Callable[[Json], None]) -> Iterator[Played]:
    """The events with their sequence numbers, and the pauses and cuts between them."""
    sequence_number = 0
    played = distort_events(script.plan.distortions, _play(script, answer, on_finish))
    for step in _kept_alive(played, script.plan.keepalive_every):
        if isinstance(step, dict):
            if not obfuscate:
                step.pop("obfuscation", None)
            step["sequence_number"] = sequence_number
            sequence_number += 1
        yield step


def _play(script: Script, answer: Answer, on_finish: Callable[[Json], None]) -> Iterator[Played]:
    yield {"type": "response.created", "response": answer.started()}
    if script.plan.queued or answer.is_background:
        yield {"type": "response.queued", "response": answer.queued()}
    yield {"type": "response.in_progress", "response": answer.started()}
    if script.plan.failure is None:
        done: list[Json] = []
        for played in _interrupted(script, answer, done):
            yield played
            if isinstance(played, Cut) or (isinstance(played, dict) and played["type"] == "response.failed"):
                return
    response = answer.finished()
    on_finish(response)
    shown = distort_response(script.plan.distortions, response)
    yield {"type": f"response.{response['status']}", "response": shown}


def _kept_alive(events: Iterator[Played], every: int) -> Iterator[Played]:
    deltas = 0
    for played in events:
        yield played
        if every and isinstance(played, dict) and played["type"].endswith(".delta"):
            deltas += 1
            if deltas % every == 0:
                yield {"type": "keepalive"}


def _body(script: Script, done: list[Json]) -> Iterator[Json]:
    """Every item's events, one item after the other or all at once; `done` collects the items that have ended."""
    played = [_item_events(script, index, done) for index in range(len(script.items))]
    if not script.plan.overlaps:
        for events in played:
            yield from events
        return
    for round in zip_longest(*played):
        yield from (event for event in round if event is not None)


def _item_events(script: Script, output_index: int, done: list[Json]) -> Iterator[Json]:
    item = script.items[output_index]
    added = items.to_wire(item, "in_progress")
    yield {"type": "response.output_item.added", "item": added, "output_index": output_index}
    whole = script.plan.whole_deltas
    yield from _play_item(item, output_index, _uncut if whole else deltas.words, _uncut if whole else deltas.code)
    wire = items.to_wire(item, item_status(script, output_index))
    done.append(wire)
    yield {"type": "response.output_item.done", "item": wire, "output_index": output_index}


def _uncut(text: str) -> list[str]:
    return [text] if text else []


@singledispatch
def _play_item(item: OutputItem, output_index: int, words: Cutter, code: Cutter) -> Iterator[Json]:
    raise TypeError(item)


@_play_item.register
def _(item: Message, output_index: int, words: Cutter, code: Cutter) -> Iterator[Json]:
    for content_index, part in enumerate(item.parts):
        place = {"content_index": content_index, "item_id": item.id, "output_index": output_index}
        yield {"type": "response.content_part.added", **place, "part": items.to_part(part, "")}
        yield from _refusal(part, place, words) if part.is_refusal else _output_text(part, place, words)
        yield {"type": "response.content_part.done", **place, "part": items.to_part(part, part.text)}
    if item.speaks:
        yield from _audio(item.text, words)


def _refusal(part: Part, place: Json, words: Cutter) -> Iterator[Json]:
    for delta in words(part.text):
        yield {"type": "response.refusal.delta", **place, "delta": delta, "obfuscation": deltas.pad(delta)}
    yield {"type": "response.refusal.done", **place, "refusal": part.text}


def _output_text(part: Part, place: Json, words: Cutter) -> Iterator[Json]:
    waiting = list(enumerate(part.annotations))
    said = 0
    for delta in words(part.text):
        yield {
            "type": "response.output_text.delta",
            **place,
            "delta": delta,
            "logprobs": delta_logprobs(part, delta),
            "obfuscation": deltas.pad(delta),
        }
        said += len(delta)
        while waiting and _position(waiting[0][1]) <= said:
            index, annotation = waiting.pop(0)
            named = {"annotation": annotation, "annotation_index": index}
            yield {"type": "response.output_text.annotation.added", **place, **named}
    yield {"type": "response.output_text.done", **place, "logprobs": done_logprobs(part), "text": part.text}


def _position(annotation: Json) -> int:
    return int(annotation["end_index"] if "end_index" in annotation else annotation["index"])


def _audio(text: str, words: Cutter) -> Iterator[Json]:
    for delta in words(text):
        yield {"type": "response.audio.delta", "delta": "UklGRg=="}
        yield {"type": "response.audio.transcript.delta", "delta": delta}
    yield {"type": "response.audio.transcript.done"}
    yield {"type": "response.audio.done"}


@_play_item.register
def _(item: Reasoning, output_index: int, words: Cutter, code: Cutter) -> Iterator[Json]:
    place = {"item_id": item.id, "output_index": output_index}
    for summary_index, text in enumerate(item.summary):
        yield from _summary(text, {**place, "summary_index": summary_index}, words)
    for content_index, text in enumerate(item.thoughts):
        yield from _thought(text, {**place, "content_index": content_index}, words)


def _summary(text: str, place: Json, words: Cutter) -> Iterator[Json]:
    empty, full = {"type": "summary_text", "text": ""}, {"type": "summary_text", "text": text}
    yield {"type": "response.reasoning_summary_part.added", **place, "part": empty}
    for delta in words(text):
        padded = {"delta": delta, "obfuscation": deltas.pad(delta)}
        yield {"type": "response.reasoning_summary_text.delta", **place, **padded}
    yield {"type": "response.reasoning_summary_text.done", **place, "text": text}
    yield {"type": "response.reasoning_summary_part.done", **place, "part": full}


def _thought(text: str, place: Json, words: Cutter) -> Iterator[Json]:
    yield {"type": "response.content_part.added", **place, "part": {"type": "reasoning_text", "text": ""}}
    for delta in words(text):
        padded = {"delta": delta, "obfuscation": deltas.pad(delta)}
        yield {"type": "response.reasoning_text.delta", **place, **padded}
    yield {"type": "response.reasoning_text.done", **place, "text": text}
    yield {"type": "response.content_part.done", **place, "part": {"type": "reasoning_text", "text": text}}


# The event family and the key of the whole value, for function calls and for custom ones.
_CALL_EVENTS = {
    False: ("response.function_call_arguments", "arguments"),
    True: ("response.custom_tool_call_input", "input"),
}


@_play_item.register
def _(item: Call, output_index: int, words: Cutter, code: Cutter) -> Iterator[Json]:
    family, key = _CALL_EVENTS[item.is_custom]
    place = {"item_id": item.id, "output_index": output_index}
    for delta in code(item.arguments):
        yield {"type": f"{family}.delta", "delta": delta, **place, "obfuscation": deltas.pad(delta)}
    yield {"type": f"{family}.done", key: item.arguments, **place}


@_play_item.register
def _(item: Hosted, output_index: int, words: Cutter, code: Cutter) -> Iterator[Json]:
    for type, fields in item.events:
        place: Json = {"output_index": output_index}
        if not type.startswith(_ITEMLESS):
            place["item_id"] = item.id
        yield {"type": type, **place, **fields}


def _interrupted(script: Script, answer: Answer, done: list[Json]) -> Iterator[Played]:
    body = _body(script, done)
    if not script.plan.interruptions:
        yield from body
        return
    after = _middle(script)
    interrupting = _interrupting(script, answer, done)
    deltas = 0
    for event in body:
        yield event
        if event["type"].endswith(".delta"):
            deltas += 1
            if deltas == after:
                yield from interrupting
    # An answer without deltas is interrupted at its end.
    yield from interrupting


def _middle(script: Script) -> int:
    """How many deltas there are up to the middle of the answer itself, which reasoning is not part of."""
    counts: list[int] = [
        sum(event["type"].endswith(".delta") for event in _item_events(script, index, []))
        for index in range(len(script.items))
    ]
    before: int = sum(count for count, item in zip(counts, script.items, strict=True) if isinstance(item, Reasoning))
    return before + (sum(counts) - before + 1) // 2


def _interrupting(script: Script, answer: Answer, done: list[Json]) -> Iterator[Played]:
    for interruption in script.plan.interruptions:
        if isinstance(interruption, Failure):
            if interruption.is_told:
                yield _error_event(interruption)
            yield {"type": "response.failed", "response": answer.failed(interruption, done)}
        else:
            yield interruption


def _error_event(failure: Failure) -> Json:
    """Nested, as the live API sends it (recorded), or flat, as the SDK types it (docs/mapping.md#stream-events)."""
    named = {"code": failure.code, "message": failure.message, "param": None}
    return (
        {"type": "error", **named} if failure.is_flat else {"type": "error", "error": {"type": failure.code, **named}}
    )
