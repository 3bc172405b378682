"""Seals what is kept: AES-GCM with a key for each tenant, derived from the deployment's secret.

The key under which a value is kept is authenticated with it: a value that was moved does not open.
"""

import os
from functools import lru_cache
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_CIPHERS = 4096  # derived keys held


class Seals:
    """Seals with keys derived from `secret`."""

    def __init__(self, secret: bytes) -> None:
        @lru_cache(_CIPHERS)
        def cipher(tenant: str) -> AESGCM:
            return AESGCM(_derived(secret, tenant))

        self._cipher = cipher

    def seal(self, key: str, value: bytes) -> bytes:
        """Return the nonce and the sealed value."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher(_tenant(key)).encrypt(nonce, value, key.encode())

    def open(self, key: str, sealed: bytes) -> bytes | None:
        """Return the value; None where it was sealed with another secret or for another key, or is damaged."""
        nonce, data = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher(_tenant(key)).decrypt(nonce, data, key.encode())
        except (InvalidTag, ValueError):  # ValueError: too short to have a nonce
            return None


def _tenant(key: str) -> str:
    return key.partition(".")[0]


def _derived(secret: bytes, tenant: str) -> bytes:
    return blake2b(tenant.encode(), key=secret, digest_size=32, person=b"parley-seal").digest()
