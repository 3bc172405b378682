"""Encrypted reasoning: opaque tokens that only the simulator can have issued, each bound to one account."""

import base64
import hashlib
import hmac

_KEY = b"parley simulator: reasoning"
_MARK = "gAAAAAB"
_MAC_BYTES = 32


def issue(content: str, account: str, tokens: int, sealing: int = 0) -> str:
    """A token for this content and account, longer the more reasoning it stands for.

    The API seals the same reasoning anew for each event that carries it (recorded); `sealing` counts them.
    """
    digest = hashlib.sha256(content.encode()).digest()
    padding = hashlib.shake_128(digest).digest(64 + min(tokens, 1024))
    payload = bytes([sealing]) + digest + padding
    return _MARK + base64.urlsafe_b64encode(_mac(payload, account) + payload).decode()


def unfinished(token: str) -> str:
    """What an announced item carries: a token that is not whole yet, and is none of ours (recorded, SDK's words)."""
    return token[: len(token) * 3 // 4]


def is_issued(token: str, account: str) -> bool:
    """Whether `issue` made this token for this account, unchanged since."""
    if not token.startswith(_MARK):
        return False
    try:
        raw = base64.urlsafe_b64decode(token[len(_MARK) :])
    except ValueError:
        return False
    return hmac.compare_digest(raw[:_MAC_BYTES], _mac(raw[_MAC_BYTES:], account))


def _mac(payload: bytes, account: str) -> bytes:
    return hmac.digest(_KEY + account.encode(), payload, "sha256")
