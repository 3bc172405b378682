"""How values are cut into deltas, and what hides a delta's length."""

import re

_WORDS = re.compile(r"\s*\S+|\s+$")
_PIECES = re.compile(r"\w+|\W+")
_PAD_WIDTH = 16
_PAD = "qX7vT2mKc9RwLb4Z"


def words(text: str) -> list[str]:
    """Prose, a word with the space before it at a time."""
    return _WORDS.findall(text)


def code(text: str) -> list[str]:
    """Arguments, code and commands: names and what stands between them."""
    return _PIECES.findall(text)


def pad(delta: str) -> str:
    """An `obfuscation`: together with its delta a multiple of sixteen characters."""
    return _PAD[len(delta) % _PAD_WIDTH :]
