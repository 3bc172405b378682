"""The deployment's secret: tenants are hashed and kept items sealed with keys that are derived from it."""

import os
import secrets
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from libs.runtime.errors import StartError

_MIN_SECRET_BYTES = 16


def load_secret(environ: Mapping[str, str], path: str) -> bytes:
    """Return the deployment's secret, from `PARLEY_SECRET` or the file, which is made if it lacks.

    Raises StartError when it is too short or the file cannot be used.
    """
    given = environ.get("PARLEY_SECRET")
    if given is None:
        given = _read_or_make(Path(path))
    if len(given) < _MIN_SECRET_BYTES:
        raise StartError(f"the secret has less than {_MIN_SECRET_BYTES} characters (PARLEY_SECRET or {path})")
    return blake2b(given.encode(), digest_size=32).digest()


def _read_or_make(path: Path) -> str:
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _make(path)
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise StartError(f"secret file {path}: {error.strerror}") from None


def _make(path: Path) -> None:
    """Make the file whole or not at all: services that start together must all read the same."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        os.link(draft, path)
    except FileExistsError:
        pass  # another service was first
    finally:
        draft.unlink()
