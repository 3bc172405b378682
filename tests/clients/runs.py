"""One run of a client's script: what it told, and what went upstream for it."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from simulator.http.ledger import short_hash
from tests.clients.clients import Client
from tests.clients.environments import SHARED, command
from tests.support.simulator import Json, Simulator

_RUN_SECONDS = 100.0
_LEDGER_LIMIT = 2000


@dataclass(frozen=True)
class Ran:
    """What the script of a client told, by scenario, and the ledger of what went upstream for it."""

    client: Client
    report: Json
    upstream: list[Json]

    def told(self, scenario: str) -> Json:
        """Return what came of a scenario; fails when its code did."""
        told: Json = self.report[scenario]
        assert "failed" not in told, told["failed"]
        return told

    def sent(self, text: str, *, stream: bool | None = None) -> list[Json]:
        """Return the bodies that went upstream with this text in them, in order; with `stream`, only those."""
        return [entry["body"] for entry in self.entries(text, stream=stream)]

    def entries(self, text: str, *, stream: bool | None = None) -> list[Json]:
        """Return what the ledger has of the requests of `sent`."""
        encoded = json.dumps(text, ensure_ascii=False)[1:-1]
        found = [entry for entry in self.upstream if encoded in json.dumps(entry["body"]["input"], ensure_ascii=False)]
        return [entry for entry in found if stream is None or entry["body"]["stream"] is stream]


def run(client: Client, base_url: str, upstream: Simulator, home: Path) -> Ran:
    """Run the script of a client in its environment. Its key is its own: by it the ledger tells it from others."""
    key = f"sk-{client.directory}-{'-'.join(client.arguments)}"
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": key,
        "PYTHONPATH": str(SHARED),
        "PYTHONDONTWRITEBYTECODE": "1",
        **client.environ,
    }
    done = subprocess.run(
        command(client), env=environ, cwd=home, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    bearer = f"Bearer sha256:{short_hash(key)}"
    requests = upstream.ledger(_LEDGER_LIMIT)
    mine = [entry for entry in requests if entry["headers"].get("authorization") == bearer]
    return Ran(client, json.loads(done.stdout), mine)
