"""The benchmark runs and writes all of its sections; what it measures is nobody's assertion."""

import json
import subprocess
import sys
from pathlib import Path

from tests.bench import compare

SECTIONS = {
    "streamed event",
    "call",
    "time to first token",
    "memory per open stream",
    "convert",
    "upload",
    "continuity",
}


def test_quick_run_writes_every_section_and_compares_with_itself(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert {measure["section"] for measure in report["measures"]} == SECTIONS
    assert all(measure["unit"] and measure["rounds"] for measure in report["measures"])
    assert report["machine"]["cores"] > 0
    assert report["machine"]["packages"]["uvloop"]
    assert {"commit", "dirty"} <= report["tree"].keys()
    assert "time to first token" in done.stdout

    compared = subprocess.run([sys.executable, "-m", compare.__name__, str(out), str(out)], capture_output=True)
    assert compared.returncode == 0, compared.stderr
    assert b"1.00" in compared.stdout
