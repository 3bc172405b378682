"""The official Node SDK, which rebuilds streams: it reads them otherwise than the Python one does.

Needs `node` and a folder whose `node_modules` holds `openai`: that of PARLEY_NODE_OPENAI, or the clients' own.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support import golden
from tests.support.answers import Json

_SCRIPT = Path(__file__).with_name("rebuild.mjs")
_FOLDER = Path(os.environ.get("PARLEY_NODE_OPENAI", golden.ROOT.parents[1] / "var" / "clients" / "openai_node"))

NEEDED = [
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(
        not (_FOLDER / "node_modules" / "openai").is_dir(), reason="PARLEY_NODE_OPENAI names no folder with `openai`"
    ),
]


def rebuild(streams: Mapping[str, str]) -> Json:
    """Return the completion that the SDK makes of each stream; one that it cannot read has an `error`."""
    command = ["node", str(_SCRIPT), str(_FOLDER)]
    done = subprocess.run(command, input=json.dumps(streams), capture_output=True, text=True, check=True, timeout=100)
    made: Json = json.loads(done.stdout)
    return made


def meant(message: Json) -> Json:
    """What this SDK adds up: of keys that it does not know it keeps the last piece alone."""
    unknown = ("audio", "reasoning_content", "reasoning")
    kept: Json = golden.meant({key: value for key, value in message.items() if key not in unknown})
    return kept
