"""Log lines are JSON objects with the service's name."""

import json
import logging
from collections.abc import Iterator

import pytest

from libs.runtime import logs


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_line_is_an_object_with_event_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("edge")
    logs.Log("parley.test").info("call", status=200, model="m")
    line = json.loads(capsys.readouterr().err)
    assert {key: line[key] for key in ("service", "level", "event", "status", "model")} == {
        "service": "edge",
        "level": "info",
        "event": "call",
        "status": 200,
        "model": "m",
    }
    assert line["ts"].endswith("Z")


def test_exception_is_one_line_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("edge")
    try:
        raise ValueError("oops")
    except ValueError:
        logs.Log("parley.test").exception("failed")
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "ValueError: oops" in json.loads(text)["exception"]


def test_rare_line_is_written_once_in_its_time_and_the_next_counts_what_was_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.setup("edge")
    now = 5.0
    rare = logs.RareLog("parley.test", 60.0, lambda: now)
    for event in ("full", "full", "broken", "full"):
        rare.error(event, bytes=7)
    now = 64.9
    rare.error("full")
    now = 65.0
    rare.error("full")
    rare.error("full")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line.get("suppressed"), line.get("bytes")) for line in lines] == [
        ("full", None, 7),
        ("broken", None, 7),
        ("full", 3, None),
    ]


def test_credential_is_masked_wherever_a_long_text_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("edge")
    for room in range(0, 40):
        text = "x" * (logs.MAX_TEXT_CHARACTERS - room) + " nats://parley:s3cret-s3cret@host"
        logs.Log("parley.test").info("failed", error=text)
    assert "s3cret" not in capsys.readouterr().err
