"""Who calls, and with which credentials upstream.

A tenant is the keyed hash of the caller's bearer, or of the first of several that belong together; an
account is the keyed hash of what a call uses upstream: upstream, key, organization and project
(docs/architecture.md#guarantees). The keys themselves go nowhere else.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import msgspec

from libs.runtime.errors import StartError
from libs.runtime.settings import upstream_key
from libs.schemas.config import Tenant, Upstream
from libs.translate.errors import InvalidRequest

_DIGEST_BYTES = 16
_SCOPING_HEADERS = ("openai-organization", "openai-project")


class Caller(msgspec.Struct, frozen=True):
    """One caller: `tenant` is a hex digest, `bearer` its token, `scoping` its organization and project headers.

    With `retain` false nothing of its conversations may be kept.
    """

    tenant: str
    bearer: str
    scoping: dict[str, str]
    retain: bool = True


class Tenants:
    """Identifies callers, and knows the key of every upstream; `linked` are the tenants of the configuration.

    Raises StartError where an upstream's key lacks, or a digest stands in two tenants.
    """

    def __init__(
        self,
        secret: bytes,
        upstreams: list[Upstream],
        environ: Mapping[str, str],
        linked: Sequence[Tenant] = (),
    ) -> None:
        self._secret = secret
        self._upstreams = upstreams
        self._keys = {upstream.name: upstream_key(upstream, environ) for upstream in upstreams}
        self._linked = _by_digest(linked)

    def identify(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller. Raises InvalidRequest (401) when the request carries no bearer, or more than one."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or "bearer " in token.lower():
            raise InvalidRequest(
                "No API key was given. Send it as a bearer token: 'Authorization: Bearer YOUR_KEY'.",
                None,
                "invalid_api_key",
                status=401,
            )
        scoping = {name: headers[name] for name in _SCOPING_HEADERS if name in headers}
        digest = self._digest("tenant", token)
        tenant = self._linked.get(digest)
        if tenant is None:
            return Caller(digest, token, scoping)
        return Caller(tenant.digests[0], token, scoping, retain=tenant.retain == "all")

    def key(self, upstream: Upstream, caller: Caller) -> str:
        """Return the key for a call of `caller` to `upstream`."""
        return self._keys[upstream.name] or caller.bearer

    def own(self, upstream: Upstream) -> str:
        """Return Parley's own key for `upstream`; empty where callers bring theirs."""
        return self._keys[upstream.name]

    def accounts(self, caller: Caller) -> dict[str, str]:
        """Return the account digest of `caller` at each upstream.

        Where the caller's own key is used, its tenant stands for it: a key that was rotated, and linked with
        the one before it, keeps its conversations.
        """
        scoping = "\n".join(f"{name}={value}" for name, value in sorted(caller.scoping.items()))
        return {
            upstream.name: self._digest("account", upstream.name, self._keys[upstream.name] or caller.tenant, scoping)
            for upstream in self._upstreams
        }

    def _digest(self, *parts: str) -> str:
        return blake2b("\0".join(parts).encode(), key=self._secret, digest_size=_DIGEST_BYTES).hexdigest()


def _by_digest(tenants: Sequence[Tenant]) -> dict[str, Tenant]:
    found: dict[str, Tenant] = {}
    for tenant in tenants:
        for digest in tenant.digests:
            if found.setdefault(digest, tenant) is not tenant:
                raise StartError(f"tenant: the digest {digest} stands in two tenants")
    return found
