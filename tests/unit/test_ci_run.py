import os
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / ".ci" / "run"


@pytest.mark.parametrize("place", ["", "missing", "empty"])
def test_recordings_that_are_promised_must_be_there(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    recordings = str(tmp_path / place) if place else ""
    done = subprocess.run(
        ["bash", str(RUN)],
        env={**os.environ, "PARLEY_RECORDINGS": recordings},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("PARLEY_RECORDINGS is set")
