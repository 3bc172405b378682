"""What running processes have written: files come and go while they are looked at."""

import os
from collections.abc import Iterator
from pathlib import Path


def tree(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield `folder` and all below it, each with its mode; links, and what is gone by now, aside."""
    for place, _, files in os.walk(folder):
        for path in (Path(place), *(Path(place) / name for name in files)):
            try:
                if not path.is_symlink():
                    yield path, path.lstat().st_mode
            except FileNotFoundError:
                continue


def open_to_others(folder: Path) -> dict[Path, str]:
    """Return what others may read or write, with its mode in octal."""
    return {path: oct(mode & 0o7777) for path, mode in tree(folder) if mode & 0o077}


def content(path: Path) -> bytes:
    """Return what a file holds; nothing where it is gone by now."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
