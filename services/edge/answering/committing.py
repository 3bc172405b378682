"""After the end of an answer: commits its turn, and deletes the turns whose items the upstream did not use."""

import asyncio
import time
from collections.abc import Collection, Sequence

import msgspec
from msgspec import Raw

from libs.runtime import metrics
from libs.runtime.logs import Log
from libs.schemas.bus.state import CommitRequest, StoredResponse
from libs.schemas.plan import StreamPlan
from libs.schemas.records import Outcome
from libs.schemas.wire.completion import AssistantMessage
from libs.schemas.wire.output import Response
from libs.translate.continuity.keeping import to_commit, withheld
from libs.translate.errors import TranslationError
from services.edge import state
from services.edge.answering.deletion import delete_upstream
from services.edge.answering.marks import Mark
from services.edge.served import ServedRequest

log = Log("parley.edge")

_KEPT: tuple[Outcome, ...] = ("ok", "incomplete")


class Keeper:
    """Keeps the answers of one request."""

    def __init__(self, served: ServedRequest, plan: StreamPlan, mark: Mark) -> None:
        self._served = served
        self._plan = plan
        self._mark = mark
        self._commits: list[asyncio.Task[None]] = []

    def ended(
        self, response: Response, output: Sequence[Raw], outcome: Outcome, sent: AssistantMessage | None = None
    ) -> None:
        """Begin to commit one answer, where a later request could use it; `sent` is what a client got of a stream."""
        self._drop(withheld(response))
        request = self._request(response, output, outcome, sent) if outcome in _KEPT else None
        if request is not None:
            self._mark.committed = True
            request = msgspec.structs.replace(request, mark=self._mark.id, number=self._mark.number)
            self._commits.append(self._served.edge.spawn(self._commit(request)))

    async def kept(self) -> None:
        """Wait until all is kept, or after `commit_timeout_seconds` on disk on its way there."""
        if self._commits:
            await asyncio.wait(self._commits)

    async def _commit(self, request: CommitRequest) -> None:
        result = await state.commit(self._served.edge, request, self._served.bus_call())
        turn = request.turn
        if result == "failed":
            self._mark.lost()
        elif result == "deleted" and turn.stored:  # the deletion ran before this commit
            stored = StoredResponse(upstream=turn.upstream, response_id=turn.response_id)
            self._served.edge.spawn(delete_upstream(self._served, [stored]))

    def _request(
        self, response: Response, output: Sequence[Raw], outcome: Outcome, sent: AssistantMessage | None
    ) -> CommitRequest | None:
        retention = self._served.edge.config.retention
        try:
            return to_commit(
                self._plan,
                output,
                response.id,
                complete=outcome == "ok",
                now=int(time.time()),
                link_seconds=retention.link_ttl_seconds,
                items_seconds=retention.items_ttl_seconds,
                sent=sent,
                store=response.store,
            )
        except TranslationError as error:  # an answer in the upstream's own form may hold what no chat answer can
            log.warning("not_kept", request_id=self._served.request_id, code=error.error.code)
            return None

    def _drop(self, ids: Collection[str]) -> None:
        """Delete the turns whose items the upstream would not use."""
        entries = [turn.turn_key for turn in self._plan.continued if not set(ids).isdisjoint(turn.ids)]
        if entries:
            metrics.FALLBACKS.labels("withheld").inc()
            log.info("withheld", request_id=self._served.request_id, items=len(ids), entries=len(entries))
            state.delete_turns(self._served, entries)
