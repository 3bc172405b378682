"""Streams that break the rules: each distortion changes the events of an answer, or its final Response.

Events are changed before they are numbered, so that a broken stream still counts 0, 1, 2: what a server that works
so by design would send.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.http.steps import Cut, Pause
from simulator.wire.ids import new_id
from simulator.wire.json import Json

Played = Json | Pause | Cut
_LIFECYCLE = ("response.created", "response.in_progress", "response.queued")
_TERMINAL = ("response.completed", "response.incomplete", "response.failed")


@dataclass(frozen=True)
class Distortion:
    says: str
    events: Callable[[Iterator[Played]], Iterator[Played]] | None = None
    response: Callable[[Json], Json] | None = None


def _type(played: Played) -> str:
    return str(played["type"]) if isinstance(played, dict) else ""


def _without(drops: Callable[[str], bool]) -> Callable[[Iterator[Played]], Iterator[Played]]:
    def distort(events: Iterator[Played]) -> Iterator[Played]:
        return (played for played in events if not drops(_type(played)))

    return distort


def _only_the_end(type: str) -> bool:
    return bool(type) and type not in _LIFECYCLE and type not in _TERMINAL


def _shuffled(events: Iterator[Played]) -> Iterator[Played]:
    """Every item's announcement comes after its first event, and every part's done before its text's done."""
    held: Played | None = None
    for played in events:
        if held is not None:
            yield played
            yield held
            held = None
        elif _type(played) in ("response.output_item.added", "response.output_text.done"):
            held = played
        else:
            yield played
    if held is not None:
        yield held


def _item_null(events: Iterator[Played]) -> Iterator[Played]:
    for played in events:
        yield {**played, "item": None} if isinstance(played, dict) and "item" in played else played


def _unknown_events(events: Iterator[Played]) -> Iterator[Played]:
    for played in events:
        yield played
        if _type(played) in ("response.in_progress", "response.output_item.added"):
            yield {"type": "response.future_thing.delta", "delta": {"a": [1]}, "output_index": 0}


def _unknown_items(events: Iterator[Played]) -> Iterator[Played]:
    """A first item of an unknown type; the others move up by one."""
    item = {"id": "future_1", "type": "future_call", "status": "completed", "payload": {"a": 1}}
    for played in events:
        if isinstance(played, dict) and "output_index" in played:
            played = {**played, "output_index": played["output_index"] + 1}
        yield played
        if _type(played) == "response.in_progress":
            yield {"type": "response.output_item.added", "output_index": 0, "item": item}
            yield {"type": "response.output_item.done", "output_index": 0, "item": item}


def _id_rotation(events: Iterator[Played]) -> Iterator[Played]:
    """Another item id in every event, as recorded from GitHub Copilot: only `output_index` tells items apart."""
    for played in events:
        if isinstance(played, dict):
            played = {**played, **_rotated(played)}
        yield played


def _rotated(event: Json) -> Json:
    changed: Json = {}
    if "item_id" in event:
        changed["item_id"] = new_id("rotated")
    if "item" in event:
        changed["item"] = {**event["item"], "id": new_id("rotated")}
    return changed


def _changed(**values: Any) -> Callable[[Json], Json]:
    return lambda response: {**response, **values}


def _other_id(response: Json) -> Json:
    return {**response, "id": new_id("resp")}


def _with_usage(change: Callable[[Json], Json | None]) -> Callable[[Json], Json]:
    def distort(response: Json) -> Json:
        usage = response["usage"]
        return response if usage is None else {**response, "usage": change(usage)}

    return distort


def _lying(usage: Json) -> Json:
    return {**usage, "input_tokens": 0, "output_tokens": -1, "total_tokens": 7}


def _bare(usage: Json) -> Json:
    return {name: count for name, count in usage.items() if name.endswith("_tokens")}


_KEPT = ("store", "previous_response_id")


def _untold(response: Json) -> Json:
    return {name: value for name, value in response.items() if name not in _KEPT}


def _in_lifecycle(change: Callable[[Json], Json]) -> Callable[[Iterator[Played]], Iterator[Played]]:
    """The snapshots that go before the answer; the final one is changed by itself."""

    def distort(events: Iterator[Played]) -> Iterator[Played]:
        for played in events:
            if isinstance(played, dict) and played["type"] in _LIFECYCLE:
                played = {**played, "response": change(played["response"])}
            yield played

    return distort


def _other_parent(response: Json) -> Json:
    return {**response, "previous_response_id": new_id("resp")}


_WHOLE_TEXTS = ("text", "refusal", "arguments", "input")


def _mapped(value: Any, change: Callable[[str], str], keys: tuple[str, ...]) -> Any:
    """The same with every string under one of these keys changed."""
    if isinstance(value, dict):
        return {
            key: change(inner) if key in keys and isinstance(inner, str) else _mapped(inner, change, keys)
            for key, inner in value.items()
        }
    return [_mapped(inner, change, keys) for inner in value] if isinstance(value, list) else value


def _in_events(ending: str, change: Callable[[str], str]) -> Callable[[Iterator[Played]], Iterator[Played]]:
    def distort(events: Iterator[Played]) -> Iterator[Played]:
        keys = (*_WHOLE_TEXTS, "delta")
        for played in events:
            yield _mapped(played, change, keys) if _type(played).endswith(ending) else played

    return distort


def _in_response(change: Callable[[str], str]) -> Callable[[Json], Json]:
    return lambda response: {**response, "output": _mapped(response["output"], change, _WHOLE_TEXTS)}


def _halved(events: Iterator[Played]) -> Iterator[Played]:
    """Every delta is cut within each character that UTF-16 writes in two units."""
    for played in events:
        if not isinstance(played, dict) or not isinstance(played.get("delta"), str):
            yield played
            continue
        start, delta = 0, played["delta"].encode("utf-16-le", "surrogatepass")
        cuts = [at + 2 for at in range(0, len(delta), 2) if 0xD8 <= delta[at + 1] < 0xDC]
        for cut in (*cuts, len(delta)):
            if cut > start or not delta:
                yield {**played, "delta": delta[start:cut].decode("utf-16-le", "surrogatepass")}
            start = cut


def _first_halves(text: str) -> str:
    """Of each character that UTF-16 writes in two units the first alone."""
    return "".join(chr(0xD800 + ((ord(one) - 0x10000) >> 10)) if one > "\uffff" else one for one in text)


def _null_deltas(events: Iterator[Played]) -> Iterator[Played]:
    deltas = 0
    for played in events:
        if isinstance(played, dict) and played["type"].endswith(".delta"):
            deltas += 1
            if deltas % 2 == 0:
                played = {**played, "delta": None}
        yield played


def _other(text: str) -> str:
    """Another text from the middle on, and a longer one."""
    middle = len(text) // 2
    return f"{text[:middle]}...{text[middle:]} And more." if text else text


def _half(text: str) -> str:
    return text[: len(text) // 2]


DISTORTIONS: Mapping[str, Distortion] = {
    "no-deltas": Distortion(
        "no deltas: texts and arguments arrive in `done` only", _without(lambda type: type.endswith(".delta"))
    ),
    "no-done": Distortion(
        "deltas, but no `done` events before the terminal one", _without(lambda type: type.endswith(".done"))
    ),
    "only-completed": Distortion("nothing between the lifecycle events and the terminal one", _without(_only_the_end)),
    "no-terminal": Distortion("the stream ends without its terminal event", _without(lambda type: type in _TERMINAL)),
    "no-lifecycle": Distortion("no created and in_progress events", _without(lambda type: type in _LIFECYCLE)),
    "shuffled": Distortion("announcements and `done` events one place too late", _shuffled),
    "item-null": Distortion("`item: null` in added and done, as Open Responses allows", _item_null),
    "unknown-events": Distortion("events of a type that nobody knows", _unknown_events),
    "unknown-items": Distortion("a first item of a type that nobody knows", _unknown_items),
    "id-rotation": Distortion("another item id in every event", _id_rotation),
    "id-changes": Distortion("the terminal event has another response id than created", response=_other_id),
    "empty-output": Distortion("the terminal event's output is empty", response=_changed(output=[])),
    "no-usage": Distortion("`usage: null` at the end", response=_changed(usage=None)),
    "bare-usage": Distortion("usage without its details", response=_with_usage(_bare)),
    "usage-lies": Distortion("usage that does not add up, with a negative count", response=_with_usage(_lying)),
}


# Of events that are as they should be, what they say of the same thing.
DISAGREEMENTS: Mapping[str, Distortion] = {
    "split-pairs": Distortion("every delta cut between the halves of each character beyond the BMP", _halved),
    "lone-halves": Distortion(
        "the first half alone of each character beyond the BMP, wherever it stands",
        _in_events("", _first_halves),
        _in_response(_first_halves),
    ),
    "null-deltas": Distortion("every second delta null", _null_deltas),
    "other-done": Distortion("`done` events whose texts are others from the middle on", _in_events(".done", _other)),
    "short-done": Distortion("`done` events with half of their texts", _in_events(".done", _half)),
    "empty-done": Distortion("`done` events with empty texts", _in_events(".done", lambda text: "")),
    "other-output": Distortion(
        "a terminal event whose texts are others from the middle on", response=_in_response(_other)
    ),
    "other-parent": Distortion(
        "`previous_response_id` names another response", _in_lifecycle(_other_parent), _other_parent
    ),
    "told-late": Distortion("only the terminal event says what is stored and followed", _in_lifecycle(_untold)),
    "untold": Distortion("nothing says what is stored and followed", _in_lifecycle(_untold), _untold),
}
_ALL = {**DISTORTIONS, **DISAGREEMENTS}


def distort_events(names: list[str], events: Iterator[Played]) -> Iterator[Played]:
    for name in names:
        change = _ALL[name].events
        events = events if change is None else change(events)
    return events


def distort_response(names: list[str], response: Json) -> Json:
    for name in names:
        change = _ALL[name].response
        response = response if change is None else change(response)
    return response
