"""Converts a chat body into an upstream request and the plan for its answer.

The only question it asks is the state service's: which answers of this history are known? When that
service is away, the request goes plain; a miss is never an error.
"""

import time
from collections.abc import Awaitable, Callable

import msgspec

from libs.runtime import metrics
from libs.runtime.bus import Call
from libs.runtime.errors import BusError
from libs.runtime.logs import Log
from libs.schemas.bus import (
    Converted,
    ConvertReply,
    ConvertRequest,
    PlanUnsupported,
    Refused,
    ResolveReply,
    ResolveRequest,
    Turn,
)
from libs.schemas.chat import ChatRequest
from libs.schemas.config import Config, Upstream
from libs.schemas.plan import PLAN_VERSION, CommitPlan, Continuity, StreamPlan
from libs.translate import chain, fingerprint, request
from libs.translate.errors import InvalidRequest
from libs.translate.routing import Route, route

Resolve = Callable[[ResolveRequest, Call], Awaitable[ResolveReply]]

log = Log("parley.converter")


class _Known(msgspec.Struct, frozen=True):
    """An answer of the history that the state service knows, and where it stands."""

    turn: Turn
    answer_index: int
    digest: str
    matched: int  # assistant messages up to and including it


class Converter:
    """Handles CONVERT; `resolve` asks the state service."""

    def __init__(self, config: Config, resolve: Resolve) -> None:
        self._config = config
        self._resolve = resolve

    async def convert(self, asked: ConvertRequest, call: Call) -> ConvertReply:
        """Return the conversion, or the refusal that the client must hear."""
        if asked.plan_version != PLAN_VERSION:
            return PlanUnsupported(supported=PLAN_VERSION)
        try:
            chat, dropped = request.parse(asked.body)
            way = route(self._config.upstream, chat.model)
            return await self._convert(asked, chat, way, dropped, call)
        except InvalidRequest as refused:
            return Refused(status=refused.status, error=refused.error)

    async def _convert(
        self, asked: ConvertRequest, chat: ChatRequest, way: Route, dropped: list[str], call: Call
    ) -> Converted:
        chains = _chains(way.upstream, asked)
        made = request.translate(chat, model=way.model, store=chains)
        account = asked.accounts.get(way.upstream.name, "")
        owner = fingerprint.scope(asked.tenant, account, chat.safety_identifier or chat.user or "")
        media = {lifted.placeholder: lifted.sha256 for lifted in asked.lifted}
        history = fingerprint.history(chat.messages, made.input.hoisted, owner, media)
        reason = _early_reason(asked, way.upstream, made.body.store, history)
        known: _Known | str = reason or await self._known(owner, history, call)
        if isinstance(known, _Known):
            known = (
                chain.refusal(known.turn, known.answer_index, chat.messages, model=way.model, now=int(time.time()))
                or known
            )
        body, sources = made.body, made.input.sources
        if isinstance(known, _Known):
            body, sources = chain.chained(body, made.input, known.turn, known.answer_index)
        continuity = _continuity(known, len(body.input))
        metrics.CONTINUITY.labels(continuity.mode, continuity.reason).inc()
        log.info(
            "handoff",
            request_id=call.request_id,
            mode=continuity.mode,
            reason=continuity.reason,
            matched=continuity.matched,
            new_items=continuity.new_items,
        )
        commit = CommitPlan(
            scope=owner,
            prefix=history.whole,
            conversation=asked.conversation,
            account=account,
            model=way.model,
        )
        return Converted(
            upstream=way.upstream.name,
            model=way.model,
            body=request.encode(body),
            plan=StreamPlan(
                stream=bool(chat.stream),
                include_usage=bool(chat.stream_options and chat.stream_options.include_usage),
                structured=request.is_structured(chat),
                items=sources,
                renames=made.renames,
                commit=commit if chains and made.body.store else None,
            ),
            continuity=continuity,
            previous_response_id=known.turn.response_id if isinstance(known, _Known) else None,
            entry=known.digest if isinstance(known, _Known) else None,
            dropped=dropped + made.dropped,
        )

    async def _known(self, owner: str, history: fingerprint.History, call: Call) -> "_Known | str":
        """Return the newest known answer, or the reason why there is none."""
        newest_first = history.answers[::-1]
        try:
            reply = await self._resolve(
                ResolveRequest(scope=owner, prefixes=[digest for _, digest in newest_first]), call
            )
        except BusError as error:
            log.warning("state_unavailable", request_id=call.request_id, error=type(error).__name__)
            return chain.STATE_UNAVAILABLE
        if reply.turn is None or reply.index is None:
            return chain.NO_MATCH
        index, digest = newest_first[reply.index]
        return _Known(reply.turn, index, digest, len(newest_first) - reply.index)


def _chains(upstream: Upstream, asked: ConvertRequest) -> bool:
    """Whether answers of this call are kept upstream and continued: by name, or by configuration."""
    if upstream.continuity == "off":
        return False
    return asked.conversation is not None or upstream.continuity == "chain"


def _early_reason(asked: ConvertRequest, upstream: Upstream, store: bool, history: fingerprint.History) -> str | None:
    """Return why the state service need not be asked; None if it must."""
    checks = (
        (upstream.continuity == "off", chain.OFF),
        (not _chains(upstream, asked), chain.UNNAMED),
        (not store, chain.STORE_FALSE),
        (asked.mode == "plain", chain.PLAIN_RETRY),
        (not history.answers, chain.FIRST_TURN),
    )
    return next((reason for holds, reason in checks if holds), None)


def _continuity(known: "_Known | str", items: int) -> Continuity:
    if isinstance(known, str):
        return Continuity(reason=known, new_items=items)
    return Continuity(mode="chain", reason=chain.MATCHED, matched=known.matched, new_items=items)
