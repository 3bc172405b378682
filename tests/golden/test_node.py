"""The official Node SDK rebuilds every stream: it reads streams otherwise than the Python one does.

Needs `node` and a folder whose `node_modules` holds `openai`: that of PARLEY_NODE_OPENAI, or the clients' own.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import golden

_SCRIPT = Path(__file__).with_name("rebuild.mjs")
_FOLDER = Path(os.environ.get("PARLEY_NODE_OPENAI", golden.ROOT.parents[1] / "var" / "clients" / "openai_node"))
CASES = [case for case in golden.CASES if not golden.fails(golden.read(case, "upstream.sse"))]

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(
        not (_FOLDER / "node_modules" / "openai").is_dir(), reason="PARLEY_NODE_OPENAI names no folder with `openai`"
    ),
]


@pytest.fixture(scope="module")
def rebuilt() -> dict[str, Any]:
    streams = {case: golden.read(case, "client.sse").decode() for case in CASES}
    command = ["node", str(_SCRIPT), str(_FOLDER)]
    done = subprocess.run(command, input=json.dumps(streams), capture_output=True, text=True, check=True, timeout=100)
    made: dict[str, Any] = json.loads(done.stdout)
    return made


@pytest.mark.parametrize("case", CASES)
def test_node_rebuilds_the_whole_answer(case: str, rebuilt: dict[str, Any]) -> None:
    made, whole = rebuilt[case], json.loads(golden.read(case, "completion.json"))
    assert "error" not in made, made
    for streamed, expected in zip(made["choices"], whole["choices"], strict=True):
        assert streamed["finish_reason"] == expected["finish_reason"]
        assert _meant(streamed["message"]) == _meant(expected["message"])


def _meant(message: dict[str, Any]) -> dict[str, Any]:
    """What this SDK adds up: of keys that it does not know it keeps the last piece alone."""
    unknown = ("audio", "reasoning_content", "reasoning")
    return golden.meant({key: value for key, value in message.items() if key not in unknown})
