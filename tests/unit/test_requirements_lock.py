"""The lock names packages and hashes, and no host: it installs from whatever index the machine uses."""

import re
from pathlib import Path

LOCK = (Path(__file__).parents[2] / "requirements.lock").read_text(encoding="utf-8")
REQUIREMENTS = [
    entry.replace("\\\n", " ") for entry in re.split(r"\n(?! )", LOCK) if entry and not entry.startswith("#")
]


def test_it_names_no_host() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^\s*-(-index-url|-extra-index-url|-find-links|-trusted-host|i|f)\b", LOCK, re.MULTILINE)


def test_every_requirement_is_pinned_and_hashed() -> None:
    assert len(REQUIREMENTS) > 20
    for requirement in REQUIREMENTS:
        assert re.match(r"[A-Za-z0-9._-]+==\S+", requirement), requirement
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", requirement), requirement
