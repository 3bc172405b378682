"""The table of relayed paths holds each path of OpenAI's API, once."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from services.edge.app import CHAT_PATH, RESPONSES_PATH
from services.edge.surfaces import openai_paths
from services.edge.surfaces.openai_paths import LISTED, ROWS, UNLISTED

REFERENCE = (Path(__file__).resolve().parents[5] / "API_REFERENCE.md").read_text(encoding="utf-8")
_IN_SDK = re.compile(r'"(/[a-z_]+(?:/[a-z_{}]+)*)(?:\?beta=true)?"')
# Served by Parley itself, or a WebSocket.
SERVED = {"/models", CHAT_PATH.removeprefix("/v1"), RESPONSES_PATH.removeprefix("/v1"), "/realtime", "/live/sessions"}


def sdk_paths() -> set[str]:
    spec = find_spec("openai.resources")
    assert spec is not None and spec.origin is not None
    sources = Path(spec.origin).parent.rglob("*.py")
    found = {path for source in sources for path in _IN_SDK.findall(source.read_text())}
    return {path for path in found if not path.startswith("/chat/completions/")} - SERVED


def parts(path: str) -> list[str]:
    return ["x1" if part.startswith("{") else part for part in path.split("/")[1:]]


def test_each_path_of_the_sdk_is_classified() -> None:
    paths = sdk_paths()
    assert len(paths) > 100
    unclassified = {
        path
        for path in paths
        if not any(openai_paths.find(method, parts(path)) for method in ("GET", "POST", "DELETE"))
        and openai_paths.why_refused(parts(path)) == UNLISTED
    }
    assert unclassified == set()


def test_no_row_stands_in_the_shadow_of_another() -> None:
    seen: set[tuple[str, str]] = set()
    for row in ROWS:
        for method in row.methods:
            place = openai_paths.find(method, parts(row.path))
            assert place is not None and place.row is row
            shape = (method, re.sub(r"\{\w+\}", "{}", row.path))
            assert shape not in seen
            seen.add(shape)


@pytest.mark.parametrize(
    ("method", "path", "id_"),
    [
        ("GET", "/responses/resp_1", "resp_1"),
        ("GET", "/responses/resp%5F1?include=x", "resp_1"),
        ("POST", "/responses/compact", None),
        ("GET", "/responses/compact", "compact"),
        ("GET", "/conversations/conv_1/items/msg_1", "conv_1"),
        ("GET", "/models/gpt-5", None),
    ],
)
def test_path_that_is_relayed(method: str, path: str, id_: str | None) -> None:
    place = openai_paths.find(method, openai_paths.segments(path))
    assert place is not None and place.id == id_


@pytest.mark.parametrize(
    "path",
    [
        "/files",
        "/files/",
        "//files/f",
        "/files//content",
        "/files/..",
        "/files/%2e%2e",
        "/files/a%2Fb",
        "/files/a%5Cb",
        "/files/a%3Fb",
        "/files/a%23b",
        "/files/a#b",
        "/files/a;b",
        "/files/%252e",
        "/files/a%00",
        "/files/%E2%82%AC",
        "/Files/f",
        "",
        "/",
    ],
)
def test_path_that_is_not_relayed(path: str) -> None:
    assert openai_paths.find("GET", openai_paths.segments(path)) is None


def test_reference_has_the_whole_table() -> None:
    shown = {*openai_paths.LISTS, *openai_paths.REFUSED, *(f"{'/'.join(row.methods)} {row.path}" for row in ROWS)}
    assert {path for path in shown if f"`{path}`" not in REFERENCE and f"`GET {path}`" not in REFERENCE} == set()


def test_reasons() -> None:
    assert openai_paths.why_refused(["files"]) == LISTED
    assert openai_paths.why_refused(["organization", "x", "y"]) == openai_paths.ADMIN
    assert openai_paths.why_refused(["files", "f", "more"]) == UNLISTED
    assert openai_paths.why_refused([""]) == UNLISTED
