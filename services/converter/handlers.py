"""Converts a chat body into an upstream request and the plan for its answer.

The only question it asks is the state service's: which answers of this history are known? When that
service is away, the request goes plain; a miss is never an error.
"""

import time
from collections.abc import Awaitable, Callable

import msgspec

from libs.runtime import metrics
from libs.runtime.call import Call
from libs.runtime.errors import BusError
from libs.runtime.logs import Log
from libs.schemas.bus import (
    Converted,
    ConvertReply,
    ConvertRequest,
    Native,
    PlanUnsupported,
    Refused,
    ResolveReply,
    ResolveRequest,
    Turn,
)
from libs.schemas.chat import ChatRequest
from libs.schemas.config import Config
from libs.schemas.plan import PLAN_VERSION, CommitPlan, Continuity, StreamPlan
from libs.translate import chain, fingerprint, request
from libs.translate.errors import InvalidRequest, NeedsNative
from libs.translate.request import Parsed, Translated
from libs.translate.routing import Route, route

Resolve = Callable[[ResolveRequest, Call], Awaitable[ResolveReply]]

log = Log("parley.converter")


class _Known(msgspec.Struct, frozen=True):
    """An answer of the history that the state service knows, and where it stands."""

    turn: Turn
    answer_index: int
    digest: str
    matched: int  # assistant messages up to and including it


class _Asked(msgspec.Struct, frozen=True):
    """One request, parsed and translated; `owner` and `history` are what it is recognised by."""

    request: ConvertRequest
    chat: ChatRequest
    way: Route
    made: Translated
    chains: bool  # answers of this call are kept upstream and continued
    account: str
    owner: str
    history: fingerprint.History


class Converter:
    """Handles CONVERT; `resolve` asks the state service."""

    def __init__(self, config: Config, resolve: Resolve) -> None:
        self._config = config
        self._resolve = resolve

    async def convert(self, request_: ConvertRequest, call: Call) -> ConvertReply:
        """Return the conversion, or the refusal that the client must hear."""
        if request_.plan_version != PLAN_VERSION:
            return PlanUnsupported(supported=PLAN_VERSION)
        try:
            parsed = request.parse(request_.body)
            way = route(self._config.upstream, parsed.chat.model)
            asked = _asked(request_, parsed, way)
        except InvalidRequest as refused:
            return Refused(status=refused.status, error=refused.error)
        except NeedsNative as native:
            return Native(upstream=way.upstream.name, model=way.model, reason=native.reason)
        known = await self._decide(asked, call)
        converted = _converted(asked, known)
        _tell(converted.continuity, call)
        return converted

    async def _decide(self, asked: _Asked, call: Call) -> _Known | str:
        """Return the answer to continue, or the reason why there is none."""
        reason = _early_reason(asked)
        if reason is not None:
            return reason
        known = await self._ask(asked, call)
        if isinstance(known, str):
            return known
        now = int(time.time())
        refusal = chain.refusal(known.turn, known.answer_index, asked.chat.messages, model=asked.way.model, now=now)
        return refusal or known

    async def _ask(self, asked: _Asked, call: Call) -> _Known | str:
        newest_first = asked.history.answers[::-1]
        question = ResolveRequest(scope=asked.owner, prefixes=[digest for _, digest in newest_first])
        try:
            reply = await self._resolve(question, call)
        except BusError as error:
            log.warning("state_unavailable", request_id=call.request_id, error=type(error).__name__)
            return chain.STATE_UNAVAILABLE
        if reply.turn is None or reply.index is None:
            return chain.NO_MATCH
        index, digest = newest_first[reply.index]
        return _Known(reply.turn, index, digest, len(newest_first) - reply.index)


def _asked(request_: ConvertRequest, parsed: Parsed, way: Route) -> _Asked:
    """Translate a request. Raises InvalidRequest, NeedsNative."""
    chat = parsed.chat
    may_chain = way.upstream.continuity != "off"
    chains = may_chain and (request_.conversation is not None or way.upstream.continuity == "chain")
    made = request.translate(
        parsed,
        model=way.model,
        profile=way.upstream,
        format_=request.wanted_format(chat, request_.format),
        # What is to be continued must have been stored, by a name or by an id alike.
        store=chains or (may_chain and request.names_parent(chat)),
        heads={lifted.placeholder: lifted.head for lifted in request_.lifted},
    )
    account = request_.accounts.get(way.upstream.name, "")
    owner = fingerprint.scope(request_.tenant, account, chat.safety_identifier or chat.user or "")
    media = {lifted.placeholder: lifted.sha256 for lifted in request_.lifted}
    return _Asked(
        request=request_,
        chat=chat,
        way=way,
        made=made,
        chains=chains,
        account=account,
        owner=owner,
        history=fingerprint.history(chat.messages, made.input.hoisted, owner, media),
    )


def _early_reason(asked: _Asked) -> str | None:
    """Return why the state service need not be asked; None if it must."""
    checks = (
        (asked.way.upstream.continuity == "off", chain.OFF),
        (request.names_parent(asked.chat), chain.CLIENT_PARENT),
        (not asked.chains, chain.UNNAMED),
        (asked.made.plan.choices > 1, chain.CHOICES),
        (not asked.made.body.store, chain.STORE_FALSE),
        (asked.request.mode == "plain", chain.PLAIN_RETRY),
        (not asked.history.answers, chain.FIRST_TURN),
    )
    return next((reason for holds, reason in checks if holds), None)


def _converted(asked: _Asked, known: _Known | str) -> Converted:
    body, sources = asked.made.body, asked.made.input.sources
    if isinstance(known, _Known):
        body, sources = chain.chained(body, asked.made.input, known.turn, known.answer_index)
    return Converted(
        upstream=asked.way.upstream.name,
        model=asked.way.model,
        body=request.encode(body, asked.made.forwarded),
        plan=_plan(asked, sources),
        continuity=_continuity(known, len(body.input)),
        previous_response_id=known.turn.response_id if isinstance(known, _Known) else None,
        entry=known.digest if isinstance(known, _Known) else None,
        dropped=asked.made.dropped,
    )


def _plan(asked: _Asked, sources: list[int]) -> StreamPlan:
    commit = CommitPlan(
        scope=asked.owner,
        prefix=asked.history.whole,
        conversation=asked.request.conversation,
        account=asked.account,
        model=asked.way.model,
    )
    kept = asked.chains and _may_be_parent(asked)
    return msgspec.structs.replace(asked.made.plan, items=sources, commit=commit if kept else None)


def _may_be_parent(asked: _Asked) -> bool:
    """Whether a later request may continue this answer: it is stored, whole, and its history is known."""
    plan = asked.made.plan
    known = not request.names_parent(asked.chat)
    return asked.made.body.store and plan.choices == 1 and not plan.stop and known


def _continuity(known: _Known | str, items: int) -> Continuity:
    if isinstance(known, str):
        return Continuity(reason=known, new_items=items)
    return Continuity(mode="chain", reason=chain.MATCHED, matched=known.matched, new_items=items)


def _tell(continuity: Continuity, call: Call) -> None:
    metrics.CONTINUITY.labels(continuity.mode, continuity.reason).inc()
    log.info(
        "handoff",
        request_id=call.request_id,
        mode=continuity.mode,
        reason=continuity.reason,
        matched=continuity.matched,
        new_items=continuity.new_items,
    )
