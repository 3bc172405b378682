"""Recorded traffic. It is not kept with the project: PARLEY_RECORDINGS names the folder that holds it."""

import os
from pathlib import Path

import pytest

_NAMED = os.environ.get("PARLEY_RECORDINGS", "")
FOLDER = Path(_NAMED)

needed = pytest.mark.skipif(not _NAMED, reason="PARLEY_RECORDINGS names no folder of recordings")


def found(pattern: str) -> list[Path]:
    """Return the files whose path in the folder matches, sorted; none without recordings."""
    return sorted(FOLDER.glob(pattern)) if _NAMED else []
