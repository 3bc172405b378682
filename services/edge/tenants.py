"""Who calls, and with which credentials upstream.

A tenant is the keyed hash of the caller's bearer; an account is the keyed hash of what a call uses
upstream: upstream, key, organization and project (design, "Tenants"). The keys themselves go nowhere
else.
"""

import os
import secrets
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

import msgspec

from libs.runtime.errors import StartError
from libs.runtime.settings import upstream_key
from libs.schemas.config import Upstream
from libs.translate.errors import InvalidRequest

_DIGEST_BYTES = 16
_MIN_SECRET_BYTES = 16
_SCOPING_HEADERS = ("openai-organization", "openai-project")


class Caller(msgspec.Struct, frozen=True):
    """One caller: `tenant` is a hex digest, `bearer` its token, `scoping` its organization and project headers."""

    tenant: str
    bearer: str
    scoping: dict[str, str]


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
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    except OSError as error:
        raise StartError(f"secret file {path}: {error.strerror}") from None
    return path.read_text(encoding="utf-8").strip()


class Tenants:
    """Identifies callers, and knows the key of every upstream."""

    def __init__(self, secret: bytes, upstreams: list[Upstream], environ: Mapping[str, str]) -> None:
        self._secret = secret
        self._upstreams = upstreams
        self._keys = {upstream.name: upstream_key(upstream, environ) for upstream in upstreams}

    def identify(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller. Raises InvalidRequest (401) when the request carries no bearer."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise InvalidRequest(
                "No API key was given. Send it as a bearer token: 'Authorization: Bearer YOUR_KEY'.",
                None,
                "invalid_api_key",
                status=401,
            )
        scoping = {name: headers[name] for name in _SCOPING_HEADERS if name in headers}
        return Caller(self._digest("tenant", token), token, scoping)

    def key(self, upstream: Upstream, caller: Caller) -> str:
        """Return the key for a call of `caller` to `upstream`."""
        return self._keys[upstream.name] or caller.bearer

    def accounts(self, caller: Caller) -> dict[str, str]:
        """Return the account digest of `caller` at each upstream."""
        scoping = "\n".join(f"{name}={value}" for name, value in sorted(caller.scoping.items()))
        return {
            upstream.name: self._digest("account", upstream.name, self.key(upstream, caller), scoping)
            for upstream in self._upstreams
        }

    def _digest(self, *parts: str) -> str:
        return blake2b("\0".join(parts).encode(), key=self._secret, digest_size=_DIGEST_BYTES).hexdigest()
