"""Claims the ids in an answer for its caller, before anyone can get them.

A claim that does not get through is kept on disk and tried until it is in, as a turn is.
"""

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from libs.runtime.errors import BusError
from libs.runtime.logs import Log
from libs.schemas.bus.state import ClaimRequest, ReleaseRequest
from libs.schemas.config import Upstream
from libs.schemas.subjects import CLAIM, RELEASE, Subject
from libs.schemas.wire.output import Response
from libs.schemas.wire.surrogates import read
from services.edge import state
from services.edge.ownership import owners
from services.edge.ownership.id_kinds import ROUTED, IdType
from services.edge.served import ServedRequest

MAX_CLAIMED = 256  # ids in one claim
MAX_OF_ANSWER = 1024


class _Ids(msgspec.Struct):
    id: Any = None
    container_id: Any = None


log = Log("parley.edge")

_IDS = msgspec.json.Decoder(_Ids)


class IdClaims:
    """The ids of one answer. `upstream` None: none is claimed, and of items none that was `given` an id.

    `fresh`: what is to be sent next must wait, for an id that was just claimed or for the end.
    """

    def __init__(self, served: ServedRequest, upstream: Upstream | None, given: Collection[str] = ()) -> None:
        self._served = served
        self._upstream = upstream
        self._claimed = {owners.name("item", id_) for id_ in given}
        self._tasks: list[asyncio.Task[None]] = []
        self.fresh = False
        self._ended = False

    @property
    def wanted(self) -> bool:
        """Whether there is anything to claim."""
        return self._upstream is not None

    def response(self, response: Response) -> None:
        """The upstream has named a response, and the items of it that are there."""
        if self._upstream is not None:
            self.claim([("response", response.id), *item_ids(response.output)])

    def claim(self, ids: Iterable[tuple[IdType, Any]]) -> None:
        """Begin to have ids remembered as the caller's, each once."""
        upstream = self._upstream
        if upstream is None:
            return
        new = [name for name in dict.fromkeys(_names(upstream, ids)) if name not in self._claimed]
        if len(new) > MAX_OF_ANSWER:
            log.warning("not_all_claimed", request_id=self._served.request_id, ids=len(new), limit=MAX_OF_ANSWER)
            new = [new[0], *new[1 - MAX_OF_ANSWER :]]  # the answer itself, and the newest in it
        for start in range(0, len(new), MAX_CLAIMED):
            names = new[start : start + MAX_CLAIMED]
            self._claimed.update(names)
            self.fresh = True
            self._served.edge.claims.note(self._served.tenant, names, upstream.name)
            self._tasks.append(self._served.edge.spawn(_claim(self._served, names, upstream)))

    def ended(self) -> None:
        """The answer is about to end."""
        self._ended = True
        self.fresh = any(not task.done() for task in self._tasks)

    async def gone(self) -> None:
        """Wait for as long as what is about to go out must: at the end until all is kept, else until it was sent."""
        if self._ended:
            return await self.claimed()
        if not self.fresh:
            return None
        self.fresh = False
        for _ in range(3):  # the tasks begin, and publish
            await asyncio.sleep(0)

    async def claimed(self) -> None:
        """Wait until all is remembered, or on disk: `commit_timeout_seconds` at most."""
        self.fresh = False
        waiting = [task for task in self._tasks if not task.done()]
        if waiting:
            await asyncio.wait(waiting, timeout=self._served.edge.config.edge.commit_timeout_seconds)


def id_claims(
    served: ServedRequest,
    upstream: Upstream,
    *,
    stored: bool = True,
    given: Collection[str] = (),
) -> IdClaims:
    """Return what claims the ids of an answer of `upstream`: where that is of use, and it is `stored` there.

    `given` are ids that the request gave to items of its own: an answer that echoes them has not made them.
    """
    needed = stored and (owners.guarded(upstream) or upstream.name != served.edge.config.upstream[0].name)
    return IdClaims(served, upstream if needed else None, given)


def item_ids(items: Sequence[Raw]) -> list[tuple[IdType, Any]]:
    """Return the ids of items, and of the containers that they name."""
    found: list[tuple[IdType, Any]] = []
    for raw in items:
        ids = read(_IDS, raw)
        if ids is not None:
            found += [("item", ids.id), ("container", ids.container_id)]
    return found


def release(served: ServedRequest, kind: IdType, id_: str) -> None:
    """Have a claim forgotten: what it was about is deleted. Not waited for."""
    name = owners.name(kind, id_)
    served.edge.claims.forget(served.tenant, [name])
    served.edge.spawn(_deliver(served, RELEASE, ReleaseRequest(upstream_id=name)))


def _names(upstream: Upstream, ids: Iterable[tuple[IdType, Any]]) -> list[str]:
    known = owners.guarded(upstream)
    return [
        owners.name(kind, id_)
        for kind, id_ in ids
        if isinstance(id_, str)
        and owners.possible(id_)
        and (not owners.shared(upstream, kind, id_) if known else kind in ROUTED)
    ]


async def _claim(served: ServedRequest, names: list[str], upstream: Upstream) -> None:
    request = ClaimRequest(upstream_id=names[0], upstream=upstream.name, more=names[1:])
    if await _deliver(served, CLAIM, request):
        served.edge.claims.forget(served.tenant, names)


async def _deliver(served: ServedRequest, subject: Subject[Any, Any], request: Any) -> bool:
    """Send what must not be lost; return whether it is in."""
    edge, call = served.edge, served.bus_call()
    expires = int(time.time()) + edge.config.retention.link_ttl_seconds
    try:
        return await state.deliver(edge, subject, request, call, conversation=None, expires=expires) is not None
    except BusError:  # which is logged
        return False
