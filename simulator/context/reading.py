"""Reading a context as the model does: its texts, the tool results at its end, what media it holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simulator.context.call_pairs import OUTPUT_TYPES
from simulator.wire.json import Json


def parts(item: Json) -> Iterator[Json]:
    """The content parts of a message or of a tool result in list form."""
    content = item.get("content") if item["type"] == "message" else item.get("output")
    if isinstance(content, list):
        yield from content


def texts(item: Json) -> Iterator[str]:
    """Every text in an item that a model reads, in order; images and files have none."""
    for part in parts(item):
        yield part.get("text") or part.get("refusal") or ""
    for key in ("arguments", "input", "name"):
        if isinstance(value := item.get(key), str):
            yield value
    if isinstance(value := item.get("output"), str):
        yield value


def last_user_text(context: list[Json]) -> str:
    """The text of the newest user message, "" when there is none."""
    for item in reversed(context):
        if item.get("role") == "user":
            return "".join(texts(item))
    return ""


def ends_with_user(context: list[Json]) -> bool:
    return bool(context) and context[-1].get("role") == "user"


def last_outputs(context: list[Json]) -> list[str]:
    """The tool results at the end of the context, each as text; none when something else comes last."""
    outputs: list[str] = []
    for item in reversed(context):
        if item["type"] not in OUTPUT_TYPES:
            break
        outputs.append("".join(texts(item)))
    return outputs[::-1]


@dataclass(frozen=True)
class Media:
    """What was attached: how many, and how many bytes arrived inline (a link or a file id has none)."""

    count: int
    bytes: int


_MEDIA_KEYS = {"input_image": "image_url", "input_file": "file_data"}


def media(context: list[Json], type: str) -> Media:
    """All parts of one type, `input_image` or `input_file`, in the whole context."""
    found = [part for item in context for part in parts(item) if part.get("type") == type]
    return Media(len(found), sum(_inline_bytes(part.get(_MEDIA_KEYS[type])) for part in found))


def _inline_bytes(url: Any) -> int:
    """The decoded size of a base64 data URL, from its length alone."""
    if not isinstance(url, str) or not url.startswith("data:"):
        return 0
    start = url.find(",", 0, 512) + 1
    return (len(url) - start) * 3 // 4 - url[-2:].count("=")
