"""One request while it is served: by which edge, over which exchange, for which caller.

It is made in one place, when the caller is identified, and handed to all that works on the request.
"""

import time

import msgspec

from libs.runtime.call import BusContext
from libs.schemas.config import Upstream
from services.edge.edge import Edge
from services.edge.http.exchange import Exchange
from services.edge.http.options import Asked, read_options
from services.edge.tenants import Caller


class ServedRequest(msgspec.Struct, frozen=True):
    """One request of a caller who is known."""

    edge: Edge
    exchange: Exchange
    caller: Caller

    @property
    def request_id(self) -> str:
        """The id under which a client, the logs and the records know it."""
        return self.exchange.request_id

    @property
    def tenant(self) -> str:
        """The tenant of its caller."""
        return self.caller.tenant

    def options(self) -> Asked:
        """Return what it asks for outside of its body. Raises InvalidRequest."""
        edge = self.edge
        asked = read_options(edge.config.conversation, self.exchange, retain=self.caller.retain)
        unchained_at = edge.unchained.known(self.accounts())
        if not unchained_at:
            return asked
        return Asked(msgspec.structs.replace(asked.client_options, unchained_at=unchained_at), asked.name_param)

    def accounts(self) -> dict[str, str]:
        """Return the account digest of its caller at each upstream."""
        return self.edge.tenants.accounts(self.caller)

    def auth_headers(self, upstream: Upstream) -> dict[str, str]:
        """Return the credentials that are sent to `upstream` for its caller."""
        return self.edge.upstreams.auth_headers(upstream, self.caller)

    def bus_call(self, *, seconds: float | None = None) -> BusContext:
        """Return what travels with a bus request made for it, which is given up after `seconds`."""
        return BusContext(
            tenant=self.caller.tenant,
            request_id=self.exchange.request_id,
            traceparent=self.exchange.traceparent,
            deadline=None if seconds is None else time.monotonic() + seconds,
        )


def identify(edge: Edge, exchange: Exchange) -> ServedRequest:
    """Return the request that has come over `exchange`. Raises InvalidRequest (401) where it does not say who calls."""
    return ServedRequest(edge, exchange, edge.tenants.identify(exchange.headers))
