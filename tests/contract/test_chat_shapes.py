"""Our chat objects and chunks beside those recorded by others from the real API: the same keys, the same types.

They are not kept with the project: PARLEY_RECORDINGS names the folder that holds `chat/*.yaml`, whole exchanges.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from libs.translate.sse import FrameParser
from tests.support import golden, recordings

_FILES = recordings.found("chat/*.yaml")
# Recorded before caches were written (docs/mapping.md#usage), from models that never have log probabilities; elsewhere
# that key is always there, null (docs/mapping.md#the-completion). What only pads a chunk is not sent
# (docs/mapping.md#request-fields).
OURS, THEIRS = {"logprobs", "cache_write_tokens"}, {"obfuscation"}
OPTIONAL = {"service_tier", "tool_calls", "usage"}
# Cases that ask for nothing beyond what was recorded.
WHOLE = ("plain_text", "parallel_tool_calls", "two_messages", "usage_with_cache_writes")
STREAMED = ("plain_text", "two_messages", "usage_with_cache_writes")

Shape = dict[str, set[str]]  # by path, the types and keys that were seen there

pytestmark = recordings.needed


def _shape(values: Iterable[Any]) -> tuple[Shape, Shape]:
    """Return by path the types that occur there, and of objects the keys that all of them have."""
    types: Shape = {}
    always: Shape = {}
    for path, value in (entry for one in values for entry in _walk("", one)):
        types.setdefault(path, set()).add(type(value).__name__)
        if isinstance(value, dict):
            always[path] = always.get(path, set(value)) & set(value)
    return types, always


def _walk(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(f"{path}[]", inner)


def _recorded() -> tuple[list[Any], list[Any]]:
    """Return the whole answers and the chunks of all exchanges that went well."""
    bodies = [
        exchange["response"]["body"] for file in _FILES for exchange in yaml.safe_load(file.read_text())["interactions"]
    ]
    streams = [body for body in bodies if body.startswith("data:")]
    wholes = [json.loads(body) for body in bodies if not body.startswith("data:")]
    chunks = [json.loads(data) for body in streams for _, data in _frames(body.encode())]
    return [whole for whole in wholes if "error" not in whole], chunks


def _frames(body: bytes) -> list[tuple[bytes, bytes]]:
    return [frame for frame in FrameParser().feed(body.rstrip() + b"\n\n") if frame[1] != b"[DONE]"]


def _compare(ours: list[Any], theirs: list[Any]) -> None:
    (made, always_made), (recorded, always_recorded) = _shape(ours), _shape(theirs)
    assert recorded
    for path, types in made.items():
        if path in recorded and "tool_calls" not in path:
            assert types <= recorded[path] | {"NoneType"}, path
    for path in made.keys() & recorded.keys():
        lacking = always_recorded.get(path, set()) - always_made.get(path, set()) - THEIRS - OPTIONAL
        assert lacking == set(), f"{path or 'answer'} lacks {lacking}"
        new = _keys(made, path) - _keys(recorded, path) - OURS
        assert new == set(), f"{path or 'answer'} has {new}"


def _keys(shape: Shape, path: str) -> set[str]:
    prefix = f"{path}."
    return {name[len(prefix) :].split(".")[0].removesuffix("[]") for name in shape if name.startswith(prefix)}


def test_the_folder_holds_exchanges() -> None:
    wholes, chunks = _recorded()
    assert wholes and chunks


def test_whole_answers_have_the_recorded_shape() -> None:
    _compare([json.loads(golden.read(case, "completion.json")) for case in WHOLE], _recorded()[0])


def test_chunks_have_the_recorded_shape() -> None:
    ours = [chunk for case in STREAMED for chunk in golden.chunks_of(golden.read(case, "client.sse"))]
    _compare(ours, _recorded()[1])
