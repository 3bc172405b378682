"""The names of all that is kept. Each begins with its tenant, so that tenants never meet.

Digests are checked before they become part of a key, and what a user wrote is hashed: neither can
reach another's keys, or be read from them.
"""

import re
from hashlib import blake2b

import msgspec

_HEX = re.compile(r"[0-9a-f]{1,128}")
_TENANT = re.compile(r"[0-9a-f]{32}")

# Kind of key -> how many of its first words make a prefix that can be listed.
_LISTED = {"t": (2,), "h": (2, 3), "m": (3,)}


class Keys:
    """The keys of one tenant. All raise msgspec.ValidationError for a word that is no lower-case hex."""

    def __init__(self, tenant: str) -> None:
        if not _TENANT.fullmatch(tenant):
            raise msgspec.ValidationError("the tenant is not 32 hexadecimal digits")
        self.tenant = tenant

    def turn(self, entry: str) -> str:
        """A turn."""
        return f"{self.tenant}.t.{_digest(entry)}"

    def items(self, entry: str) -> str:
        """The original items of a turn."""
        return f"{self.tenant}.i.{_digest(entry)}"

    def loose(self, loose: str) -> str:
        """A pointer to a turn."""
        return f"{self.tenant}.l.{_digest(loose)}"

    def head(self, conversation: str, scope: str) -> str:
        """The head of a conversation in a scope."""
        return f"{self.heads(conversation)}{_digest(scope)}"

    def member(self, conversation: str, entry: str, response_id: str) -> str:
        """One answer of a conversation: two responses may have the same entry, and both must be found."""
        return f"{self.members(conversation)}{_digest(entry)}.{_hashed(response_id)}"

    def owner(self, upstream_id: str) -> str:
        """Which upstream an id belongs to."""
        return f"{self.tenant}.o.{_hashed(upstream_id)}"

    def erasure(self, request_id: str, conversation: str) -> str:
        """The key of the reply to a request that erased a conversation."""
        return f"{self.tenant}.d.{_hashed(f'{request_id} {conversation}')}"

    def turns(self) -> str:
        """Prefix of all turns."""
        return f"{self.tenant}.t."

    def all_heads(self) -> str:
        """Prefix of all heads."""
        return f"{self.tenant}.h."

    def heads(self, conversation: str) -> str:
        """Prefix of the heads of a conversation, one for each scope."""
        return f"{self.tenant}.h.{_hashed(conversation)}."

    def members(self, conversation: str) -> str:
        """Prefix of all answers of a conversation."""
        return f"{self.tenant}.m.{_hashed(conversation)}."


def listed(key: str) -> list[str]:
    """Return the prefixes under which a store must be able to list `key`."""
    words = key.split(".")
    return [".".join(words[:count]) + "." for count in _LISTED.get(words[1], ())]


def immutable(key: str) -> bool:
    """Whether what is under `key` never changes its meaning: a turn, or its items."""
    return key.split(".", 2)[1] in ("t", "i")


def _digest(word: str) -> str:
    if not _HEX.fullmatch(word):
        raise msgspec.ValidationError("a digest is not lower-case hexadecimal")
    return word


def _hashed(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
