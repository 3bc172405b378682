"""Converts a chat body into an upstream request and the plan for its answer.

The only question it asks is the state service's: which answers of this history are known? When that
service is away, a request that carries its history goes plain; a miss is never an error.
"""

import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from msgspec import UNSET

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
    Said,
    Wanted,
)
from libs.schemas.chat import ChatRequest
from libs.schemas.config import Config
from libs.schemas.errors import ErrorBody
from libs.schemas.plan import PLAN_VERSION, CommitPlan, Continuity, MarkPlan, StreamPlan
from libs.schemas.records import cut
from libs.schemas.subjects import MAX_MESSAGE_BYTES
from libs.translate import continuity, fingerprint, naming, request, tools
from libs.translate.continuity import Asked, Decision, Newest
from libs.translate.errors import NeedsNative, TranslationError
from libs.translate.ids import response_id
from libs.translate.naming import Named
from libs.translate.request import Parsed, Translated
from libs.translate.routing import Route, route

Resolve = Callable[[ResolveRequest, Call], Awaitable[ResolveReply]]

MAX_ANSWERS = 256  # of a history that are looked up, newest first
CONVERSION_BYTES = 512 * 1024  # what a conversion may be longer than its body, items left out

log = Log("parley.converter")


class _Work(msgspec.Struct, frozen=True, kw_only=True):
    """One request, parsed and translated; `owner` and `asked.history` are what it is recognised by."""

    request: ConvertRequest
    chat: ChatRequest
    named: Named
    way: Route
    made: Translated
    asked: Asked
    account: str
    owner: str
    retain: bool
    off: bool
    media: dict[str, str]

    def history(self, start: str) -> fingerprint.History:
        """Return the digests of the messages as what follows `start`."""
        return fingerprint.history(self.chat.messages, self.made.input.hoisted, self.owner, self.media, start)


class _Decided(NamedTuple):
    """How a request goes on; the conversation that its history was found in, and whether something can follow that."""

    decision: Decision
    conversation: str | None = None
    followed: bool = False


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
            work = _work(request_, parsed, way)
            decided = await self._decide(work, call)
        except _Discontinued as refused:
            if refused.continuity.reason != continuity.BUSY:  # which the edge tells, when it has waited
                _tell(work, refused.continuity, call)
            return Refused(
                status=refused.status,
                error=refused.error,
                continuity=refused.continuity,
                upstream=way.upstream.name,
                model=way.model,
                conversation=work.named.name or "",
            )
        except TranslationError as refused:
            return Refused(status=refused.status, error=refused.error)
        except NeedsNative as native:
            return _native(request_, parsed, way, native.reason)
        conversation = decided.conversation or work.named.told or request_.token or _token(call)
        converted = _converted(work, decided, conversation)
        _tell(work, converted.continuity, call)
        return converted

    async def _decide(self, work: _Work, call: Call) -> _Decided:
        """Return how the request goes on."""
        refusal = _refuses_new(work)
        if refusal is not None:
            raise _Discontinued(400, *refusal)
        if work.named.delta:
            return _Decided(await self._on_head(work, call))
        reason = _early_reason(work)
        if reason is not None:
            return _Decided(continuity.plain(work.asked, reason))
        newest_first = work.asked.history.answers[: -MAX_ANSWERS - 1 : -1]
        question = ResolveRequest(
            scope=work.owner,
            turns=[
                Wanted(entry=fingerprint.entry(answer.prefix, work.asked.context), loose=answer.loose)
                for answer in newest_first
            ],
            items_bytes=_room(self._config.conversation.replay_bytes, work.request.body),
            chains=_may_chain(work.asked),
        )
        try:
            reply = await self._resolve(question, call)
        except BusError as error:
            log.warning("state_unavailable", request_id=call.request_id, error=type(error).__name__)
            return _Decided(continuity.plain(work.asked, continuity.STATE_UNAVAILABLE))
        belongs = next((found.turn.conversation for found in reply.found), None)
        return _Decided(
            continuity.decide(work.asked, reply.found),
            work.named.name or belongs,
            any(found.turn.stored for found in reply.found),
        )

    async def _on_head(self, work: _Work, call: Call) -> Decision:
        """Go on from the newest turn of the conversation that the client named. Raises TranslationError."""
        name = work.named.name or ""
        try:
            reply = await self._resolve(ResolveRequest(scope=work.owner, head=name), call)
        except BusError as error:
            log.warning("state_unavailable", request_id=call.request_id, error=type(error).__name__)
            raise _Discontinued(503, _UNAVAILABLE, continuity.STATE_UNAVAILABLE) from None
        decided = _from_head(work, reply)
        if isinstance(decided, Decision):
            return decided
        if decided == continuity.BUSY:
            raise _Discontinued(409, _busy(name), decided)
        raise _Discontinued(400, _not_continued(name, decided), decided)


def _busy(name: str) -> ErrorBody:
    return ErrorBody(
        message=f"Another request of conversation '{name}' is under way. Send this one again when that is answered.",
        code="conversation_busy",
    )


def _not_continued(name: str, reason: str) -> ErrorBody:
    return ErrorBody(
        message=f"The newest answer of conversation '{name}' cannot be continued ({reason}). Send the whole history.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def _refuses_new(work: _Work) -> tuple[ErrorBody, str] | None:
    """Return why what is new is not sent after anything, where that can be told without a look at what is kept."""
    said, policy, named = work.request.said, work.way.upstream.continuity, work.named
    if said.unchained and (named.delta or work.chat.previous_response_id):
        why, reason = "The upstream keeps nothing that could be continued.", continuity.UNCHAINED
    elif work.off or not named.delta or said.continuity == "chain":
        return None
    elif said.continuity == "replay":
        why, reason = "'x-parley-continuity: replay' has the whole history sent.", continuity.REPLAY_ONLY
    elif policy == "replay":
        why, reason = (
            f"'continuity = \"replay\"' of '{work.way.upstream.name}' has the whole history sent.",
            continuity.REPLAY_ONLY,
        )
    else:
        return None
    body = ErrorBody(
        message=f"{why} Send the whole history.", param="previous_response_id", code="previous_response_not_found"
    )
    return body, reason


_UNAVAILABLE = ErrorBody(
    message="What this request continues cannot be looked up at this moment. Try again shortly.",
    type="service_unavailable_error",
    code="server_is_overloaded",
)


class _Discontinued(TranslationError):
    """A request holds only what is new, and nothing that it could go on from; it must not be sent alone."""

    def __init__(self, status: int, error: ErrorBody, reason: str) -> None:
        super().__init__(status, error)
        self.continuity = Continuity(reason=reason)


def _work(request_: ConvertRequest, parsed: Parsed, way: Route) -> _Work:
    """Translate a request. Raises InvalidRequest, NeedsNative."""
    said = request_.said
    chat, named = naming.name(parsed.chat, said)
    options = parsed.chat.parley
    retain = said.retain and (options is None or options.retain != "none")
    policy = way.upstream.continuity
    off = policy == "off" or said.continuity == "off"
    wish: continuity.Wish = "chain" if _wants_chain(said, policy, named) else "replay"
    made = request.translate(
        msgspec.structs.replace(parsed, chat=chat),
        model=way.model,
        profile=way.upstream,
        format_=request.wanted_format(chat, request_.format),
        # What is to be continued must have been stored, by a name or by an id alike.
        store=not off and retain and not said.unchained and (wish == "chain" or named.parent is not None),
        continues=named.only_new,
        replays=not off and retain,
        heads={lifted.placeholder: lifted.head for lifted in request_.lifted},
    )
    account = request_.accounts.get(way.upstream.name, "")
    owner = _owner(request_, chat, way)
    media = {lifted.placeholder: lifted.sha256 for lifted in request_.lifted}
    start = owner if named.parent is None else fingerprint.after(owner, named.parent)
    body = made.body
    instructions = "" if body.instructions is UNSET else body.instructions
    asked = Asked(
        messages=chat.messages,
        made=made.input,
        history=fingerprint.history(chat.messages, made.input.hoisted, owner, media, start),
        context=fingerprint.context(
            instructions,
            tools.names([] if body.tools is UNSET else body.tools),
            (named.name or "") if named.by_client else "",
        ),
        model=way.model,
        wish=wish,
        no_chain=continuity.UNCHAINED if said.unchained else _no_chain(made),
        now=int(time.time()),
    )
    return _Work(
        request=request_,
        chat=chat,
        named=named,
        way=way,
        made=made,
        asked=asked,
        account=account,
        owner=owner,
        retain=retain,
        off=off,
        media=media,
    )


def _wants_chain(said: Said, policy: str, named: Named) -> bool:
    """The client's word counts before the configuration's, by default a name that it chose asks for it."""
    if said.continuity is None or (said.unchained and said.continuity == "replay"):  # which the edge says then
        return policy == "chain" or (policy == "auto" and named.by_client)
    return said.continuity == "chain"


def _no_chain(made: Translated) -> str | None:
    if made.plan.choices > 1:
        return continuity.CHOICES
    return None if made.body.store else continuity.STORE_FALSE


def _room(replay_bytes: int, body: bytes) -> int:
    """Return how many bytes of items the conversion of `body` can take in and still be one message of the bus."""
    return max(0, min(replay_bytes, MAX_MESSAGE_BYTES - len(body) - CONVERSION_BYTES))


def _may_chain(asked: Asked) -> bool:
    """Whether the request will chain, and needs no items, if its newest answer is known."""
    ends_with_answer = asked.history.answers[-1].index == len(asked.messages) - 1
    return asked.wish == "chain" and asked.no_chain is None and not ends_with_answer


def _early_reason(work: _Work) -> str | None:
    """Return why the state service need not be asked; None if it must."""
    checks = (
        (work.named.parent is not None, continuity.CLIENT_PARENT),
        (work.off, continuity.OFF),
        (work.request.mode == "plain", continuity.PLAIN_RETRY),
        (not work.asked.history.answers, continuity.FIRST_TURN),
    )
    return next((reason for holds, reason in checks if holds), None)


def _from_head(work: _Work, reply: ResolveReply) -> Decision | str:
    if work.off:
        return continuity.OFF
    if reply.head is None:
        return continuity.without_head(reply.open)
    newest = Newest(
        head=reply.head,
        then=work.history(reply.head.turn.end),
        again=work.history(reply.head.turn.start),
        open=reply.open,
        after=_seen(work.request.said),
    )
    return continuity.on_head(work.asked, newest, work.owner)


def _seen(said: Said) -> str | None:
    """The response that the client of a delta saw last; an id of another form is no answer of ours."""
    return None if said.after is None else response_id(said.after) or said.after


def _token(call: Call) -> str:
    """Return the token of a conversation that has no name; the same for each try of a request."""
    return naming.ISSUED + blake2b(call.request_id.encode(), digest_size=16).hexdigest()


def _converted(work: _Work, decided: _Decided, conversation: str) -> Converted:
    decision = decided.decision
    made, parent = decision.input, decision.parent
    body = msgspec.structs.replace(work.made.body, input=made.items)
    if parent is not None:
        body = msgspec.structs.replace(body, previous_response_id=parent.response_id)
    return Converted(
        upstream=work.way.upstream.name,
        model=work.way.model,
        model_requested=cut(work.chat.model),
        body=request.encode(body, work.made.forwarded),
        plan=_plan(work, decided, conversation),
        continuity=decision.continuity,
        conversation=conversation,
        whole=not work.named.only_new,
        previous_response_id=parent.response_id if parent else work.chat.previous_response_id,
        dropped=work.made.dropped,
        stored=work.made.body.store,
    )


def _plan(work: _Work, decided: _Decided, conversation: str) -> StreamPlan:
    decision, history = decided.decision, work.asked.history
    if work.named.delta and decision.parent is not None:
        history = work.history(decision.parent.end)
    commit = CommitPlan(
        scope=work.owner,
        asked=history.whole,
        start=history.start,
        context=work.asked.context,
        conversation=conversation,
        upstream=work.way.upstream.name,
        account=work.account,
        model=work.way.model,
        # Nothing could tell later what stands before what the client's own parent names.
        parent=work.made.plan.choices == 1 and work.named.parent is None,
        stored=work.made.body.store,
    )
    kept = commit if work.retain and not work.off else None
    return msgspec.structs.replace(
        work.made.plan,
        items=decision.input.sources,
        replayed=decision.replayed,
        commit=kept,
        delta=work.named.delta,
        parent=work.chat.previous_response_id if decision.parent is None else decision.parent.response_id,
        only_new=work.named.only_new,
        mark=_mark(work, kept, followed=decided.followed),
    )


def _mark(work: _Work, kept: CommitPlan | None, *, followed: bool) -> MarkPlan | None:
    """Return where the call is marked as open: wherever a request could come that holds only what is new.

    It could follow an answer that is stored, or ask for one in a conversation that has a name. A call of which
    nothing is kept leaves no digest, and its mark stands only where there is something to be followed.
    """
    name = work.named.name
    if work.named.parent is not None:
        return None
    if kept is None:
        return None if name is None else MarkPlan(scope=work.owner, conversation=name, known=True)
    if not (kept.stored or followed or name is not None):
        return None
    return MarkPlan(scope=kept.scope, conversation=kept.conversation, asked=kept.asked, start=kept.start)


def _native(request_: ConvertRequest, parsed: Parsed, way: Route, reason: str) -> Native | Refused:
    """Return what becomes of a call that the upstream must answer itself: nothing of it is kept, or continued."""
    chat, named = naming.name(parsed.chat, request_.said)
    if named.only_new:
        return Refused(status=400, error=continuity.alone(f"'{reason}'"))
    mark = None
    if named.name is not None:
        mark = MarkPlan(scope=_owner(request_, chat, way), conversation=named.name, known=True)
    return Native(upstream=way.upstream.name, model=way.model, reason=reason, mark=mark)


def _owner(request_: ConvertRequest, chat: ChatRequest, way: Route) -> str:
    account = request_.accounts.get(way.upstream.name, "")
    return fingerprint.scope(request_.tenant, account, chat.safety_identifier or chat.user or "")


def _tell(work: _Work, decided: Continuity, call: Call) -> None:
    metrics.CONTINUITY.labels(decided.mode, decided.reason).inc()
    log.info(
        "handoff",
        request_id=call.request_id,
        mode=decided.mode,
        reason=decided.reason,
        matched=decided.matched,
        answers=len(work.asked.history.answers),
        new_items=decided.new_items,
        messages=len(work.chat.messages),
    )
