"""The official Node SDK, which rebuilds streams: it reads them otherwise than the Python one does.

It is one of the clients of `tests/clients`, and runs in that client's environment.
"""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients.clients import CLIENTS
from tests.clients.environments import NODE, place, why_not
from tests.support import golden
from tests.support.answers import Json

_SCRIPT = Path(__file__).with_name("rebuild.mjs")
_CLIENT = next(client for client in CLIENTS if client.directory == "openai_node")

needed = pytest.mark.skipif(bool(why_not(_CLIENT)), reason=why_not(_CLIENT))


def rebuild(streams: Mapping[str, str]) -> Json:
    """Return the completion that the SDK makes of each stream; one that it cannot read has an `error`."""
    command = [NODE, str(_SCRIPT), str(place(_CLIENT))]
    done = subprocess.run(command, input=json.dumps(streams), capture_output=True, text=True, check=True, timeout=100)
    made: Json = json.loads(done.stdout)
    return made


def meant(message: Json) -> Json:
    """What this SDK adds up: of keys that it does not know it keeps the last piece alone."""
    unknown = ("audio", "reasoning_content", "reasoning")
    kept: Json = golden.meant({key: value for key, value in message.items() if key not in unknown})
    return kept
