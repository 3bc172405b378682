"""The mark of an open request in the head: while it is there, no partial history continues an older turn.

It is made beside the upstream call, and taken off by the commit. A call that ends without one takes it off, or, where
the client may have seen some of its answer, makes it unusable (docs/continuity.md#named-conversations).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from libs.runtime import metrics
from libs.runtime.errors import BusError
from libs.runtime.logs import Log
from libs.schemas.bus.state import MarkRequest
from libs.schemas.plan import MarkPlan, StreamPlan
from libs.schemas.subjects import MARK, MARK_SECONDS
from libs.translate.request.options import CONTINUITY_HEADER
from services.edge import state
from services.edge.errors import StateUnavailable
from services.edge.served import ServedRequest

MARKED_SECONDS = 0.25  # a call waits no longer for its mark, counted from its start: few answers begin sooner
RENEW_SECONDS = MARK_SECONDS / 2
_NOT_KEPT = ";kept=no"

log = Log("parley.edge")


class Mark:
    """The mark of one request, over all its tries. Without a `plan` there is no mark, and every method does nothing.

    `id` and `number` go with the commits; the number is 0 until it is known. `committed` says that a commit is on its
    way, which takes the mark off; `seen` that the client may have got some of the answer.
    """

    def __init__(self, served: ServedRequest, plan: MarkPlan | None, *, delta: bool = False) -> None:
        self.id = "" if plan is None else served.request_id
        self.number = 0
        self.committed = False
        self.seen = False
        self._served = served
        self._edge = served.edge
        self._exchange = served.exchange
        self._plan = plan
        self._delta = delta
        self._stands = plan is not None  # as far as is known here
        self._timers: list[asyncio.TimerHandle] = []
        self._opening: asyncio.Task[None] | None = None
        if plan is not None:
            self._begun = time.monotonic()
            self._opening = self._edge.spawn(self._open(plan))
            self._later(RENEW_SECONDS, self._renew)
            if delta:
                self._later(MARKED_SECONDS, self._give_up)

    async def settled(self) -> None:
        """Wait, before the first byte goes out, until the mark stands, but not long.

        Without it `kept=no` asks a client with a whole history to send it again. Raises StateUnavailable for a partial
        history: Parley could not know that the next one follows this answer.
        """
        if self._opening is None or self.number:
            return
        left = self._begun + MARKED_SECONDS - time.monotonic()
        may_come = self._delta or self._edge.bus.connected
        if not self._opening.done() and left > 0 and may_come:
            await asyncio.wait({self._opening}, timeout=left)
        if self._stands and not self.number:
            if self._delta:
                raise StateUnavailable
            self._report_not_kept()

    def end(self) -> None:
        """The request is over. A commit that is on its way does the rest."""
        for timer in self._timers:
            timer.cancel()
        if self._plan is not None and not self.committed:
            self._edge.spawn(self._change(self._plan, "spoil" if self.seen else "close"))

    def lost(self) -> None:
        """A commit that was on its way is neither in nor kept."""
        if self._plan is not None:
            self._edge.spawn(self._change(self._plan, "spoil"))

    # -- requests to the state service --------------------------------------------------------------

    async def _open(self, plan: MarkPlan) -> None:
        request = MarkRequest(
            scope=plan.scope,
            conversation=plan.conversation,
            id=self.id,
            change="open",
            asked=plan.asked,
            start=plan.start,
            known=plan.known,
        )
        try:
            self.number = (await self._edge.bus.call(MARK, request, self._served.bus_call())).number
        except BusError as error:
            log.warning("mark_failed", request_id=self.id, error=type(error).__name__)
        else:
            self._stands = self.number > 0 or not plan.known
        if self._stands:
            metrics.MARKS.labels("marked" if self.number else "failed").inc()
        if self._stands and not self.number:
            self._report_not_kept()

    async def _change(self, plan: MarkPlan, change: Literal["renew", "close", "spoil"]) -> None:
        """Send a change once the mark is made or given up; the last change is saved until the state service has it."""
        if self._opening is not None:
            await asyncio.wait({self._opening})
        if not self._stands:
            return
        request = MarkRequest(scope=plan.scope, conversation=plan.conversation, id=self.id, change=change)
        try:
            if change == "renew":
                await self._edge.bus.call(MARK, request, self._served.bus_call())
            else:
                expires = int(time.time()) + MARK_SECONDS
                conversation = plan.conversation
                call = self._served.bus_call()
                await state.deliver(self._edge, MARK, request, call, conversation=conversation, expires=expires)
        except BusError as error:
            log.warning("mark_failed", request_id=self.id, change=change, error=type(error).__name__)

    def _renew(self) -> None:
        if self._plan is not None:
            self._edge.spawn(self._change(self._plan, "renew"))
            self._later(RENEW_SECONDS, self._renew)

    # -- what the client gets -----------------------------------------------------------------------

    def _give_up(self) -> None:
        if self._stands and not self.number and self._exchange.is_unsent:
            self._exchange.abort("unmarked")

    def _report_not_kept(self) -> None:
        present = self._exchange.reported(CONTINUITY_HEADER) or ""
        if not self._delta and not present.endswith(_NOT_KEPT):
            self._exchange.report({CONTINUITY_HEADER: present + _NOT_KEPT})

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, act))


def begin(served: ServedRequest, plan: StreamPlan) -> Mark:
    """Begin to mark a call as open, where its plan wants that."""
    return Mark(served, plan.mark, delta=plan.delta)
