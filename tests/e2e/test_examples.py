"""Every example runs, as it is, against the cluster."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import Cluster

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").iterdir())
# What a reader of the output must find.
TOLD = {
    "asynchronous.py": "What is a stream?",
    "code_interpreter.py": "stop",
    "conversation.py": "chain;reason=head;matched=1",
    "curl.sh": "data: [DONE]",
    "custom_tool.py": "write_sql How many rivers",
    "errors.py": "400 invalid_type temperature req_",
    "files.py": "1 file with 15 bytes",
    "history.py": "replay;reason=matched;matched=2",
    "image_generation.py": "data:image/png;base64",
    "images.py": "1 image",
    "mcp_approval.py": "approved: docs.lookup",
    "parameters.py": "seed",
    "previous_response.py": "none;reason=client_parent;matched=0",
    "quickstart.py": "CompletionUsage(",
    "reasoning.py": " reasoning tokens",
    "stored.py": "user Name a river.",
    "streaming.py": " tokens",
    "structured.py": "name=",
    "tool_results.py": "The tool returned:",
    "tools.py": "Paris: 21 degrees",
    "typed.py": "response.completed",
    "upstream_conversation.py": "6 items",
    "web_search.py": "https://example.com/simulated",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(cluster: Cluster, example: Path) -> None:
    if example.suffix == ".sh" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = [sys.executable, str(example)] if example.suffix == ".py" else ["sh", str(example)]
    environ = {**os.environ, "OPENAI_BASE_URL": cluster.base_url}
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert TOLD[example.name] in ran.stdout


def test_tool_example_continues_its_conversation(cluster: Cluster) -> None:
    example = next(path for path in EXAMPLES if path.name == "tools.py")
    environ = {**os.environ, "OPENAI_BASE_URL": cluster.base_url}
    ran = subprocess.run(
        [sys.executable, str(example)], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.splitlines()[:2] == ["none;reason=first_turn;matched=0", "chain;reason=matched;matched=1"]
