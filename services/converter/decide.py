"""How a request goes on from what the state service knows of its conversation: the fourth step.

While that service is away, a request that carries its whole history goes up as it is. One that holds only what is new
is refused, for it must not be sent alone.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from libs.runtime.call import BusContext
from libs.runtime.errors import BusError
from libs.runtime.logs import Log
from libs.schemas.bus.convert import ClientOptions
from libs.schemas.bus.state import ResolveReply, ResolveRequest
from libs.schemas.plan import Continuity
from libs.schemas.wire.errors import ErrorBody
from libs.translate.continuity import deciding
from libs.translate.continuity.deciding import Decision, Newest
from libs.translate.errors import TranslationError
from libs.translate.ids import response_id
from services.converter.recognise import Prepared, question

Resolve = Callable[[ResolveRequest, BusContext], Awaitable[ResolveReply]]

_UNAVAILABLE = ErrorBody(
    message="What this request continues cannot be looked up at this moment. Try again shortly.",
    type="service_unavailable_error",
    code="server_is_overloaded",
)

log = Log("parley.converter")


class Decided(NamedTuple):
    """How a request continues; the conversation of its history, and whether a later request can continue that."""

    decision: Decision
    conversation: str | None = None
    followed: bool = False


class Discontinued(TranslationError):
    """A request with a partial history that has no turn to continue; it must not be sent upstream."""

    def __init__(self, status: int, error: ErrorBody, reason: str) -> None:
        super().__init__(status, error)
        self.continuity = Continuity(reason=reason)


async def decide(prepared: Prepared, resolve: Resolve, replay_bytes: int, context: BusContext) -> Decided:
    """Return how a request goes on. Raises Discontinued, and InvalidRequest for the result of no call.

    `resolve` asks the state service; at most `replay_bytes` of original items are sent again.
    """
    refusal = _refuses_new(prepared)
    if refusal is not None:
        raise Discontinued(400, *refusal)
    if prepared.options.named.delta:
        return Decided(await _on_head(prepared, resolve, context))
    reason = _early_reason(prepared)
    if reason is not None:
        return Decided(deciding.plain(prepared.asked, reason))
    try:
        reply = await resolve(question(prepared, replay_bytes), context)
    except BusError as error:
        _note_unavailable(error, context)
        return Decided(deciding.plain(prepared.asked, deciding.STATE_UNAVAILABLE))
    belongs = next((found.turn.conversation for found in reply.found), None)
    return Decided(
        deciding.decide(prepared.asked, reply.found),
        prepared.options.named.name or belongs,
        any(found.turn.stored for found in reply.found),
    )


def _early_reason(prepared: Prepared) -> str | None:
    """Return why the state service need not be asked; None if it must."""
    options = prepared.options
    checks = (
        (options.named.parent is not None, deciding.CLIENT_PARENT),
        (options.off, deciding.OFF),
        (options.request.mode == "plain", deciding.PLAIN_RETRY),
        (not prepared.asked.history.turns, deciding.FIRST_TURN),
    )
    return next((reason for holds, reason in checks if holds), None)


def _note_unavailable(error: BusError, context: BusContext) -> None:
    log.warning("state_unavailable", request_id=context.request_id, error=type(error).__name__)


# -- only what is new -------------------------------------------------------------------------------


async def _on_head(prepared: Prepared, resolve: Resolve, context: BusContext) -> Decision:
    """Go on from the newest turn of the conversation that the client named. Raises TranslationError."""
    name = prepared.options.named.name or ""
    try:
        reply = await resolve(ResolveRequest(scope=prepared.options.scope, head=name), context)
    except BusError as error:
        _note_unavailable(error, context)
        raise Discontinued(503, _UNAVAILABLE, deciding.STATE_UNAVAILABLE) from None
    decided = _from_head(prepared, reply)
    if isinstance(decided, Decision):
        return decided
    if decided == deciding.BUSY:
        raise Discontinued(409, _busy(name), decided)
    raise Discontinued(400, _not_continued(name, decided), decided)


def _from_head(prepared: Prepared, reply: ResolveReply) -> Decision | str:
    """Return the decision, or the reason why nothing can be followed. Raises InvalidRequest."""
    if prepared.options.off:
        return deciding.OFF
    if reply.head is None:
        return deciding.without_head(reply.open)
    newest = Newest(
        head=reply.head,
        then=prepared.history(reply.head.turn.end),
        again=prepared.history(reply.head.turn.start),
        open=reply.open,
        after=_seen(prepared.options.client_options),
    )
    return deciding.on_head(prepared.asked, newest, prepared.options.scope)


def _seen(client_options: ClientOptions) -> str | None:
    """The response that the client of a delta saw last; an id of another form is passed on as it is."""
    return None if client_options.after is None else response_id(client_options.after) or client_options.after


def _refuses_new(prepared: Prepared) -> tuple[ErrorBody, str] | None:
    """Return why a partial history is refused, as far as the request and the configuration decide it."""
    options = prepared.options
    client_options, upstream, named = options.client_options, options.way.upstream, options.named
    if client_options.unchained and (named.delta or options.chat.previous_response_id):
        why, reason = "The upstream keeps nothing that could be continued.", deciding.UNCHAINED
    elif options.off or not named.delta or client_options.continuity == "chain":
        return None
    elif client_options.continuity == "replay":
        why, reason = "'x-parley-continuity: replay' has the whole history sent.", deciding.REPLAY_ONLY
    elif upstream.continuity == "replay":
        why, reason = (
            f"'continuity = \"replay\"' of '{upstream.name}' has the whole history sent.",
            deciding.REPLAY_ONLY,
        )
    else:
        return None
    return _not_found(f"{why} Send the whole history."), reason


def _busy(name: str) -> ErrorBody:
    return ErrorBody(
        message=f"Another request of conversation '{name}' is under way. Send this one again when that is answered.",
        code="conversation_busy",
    )


def _not_continued(name: str, reason: str) -> ErrorBody:
    return _not_found(
        f"The newest answer of conversation '{name}' cannot be continued ({reason}). Send the whole history."
    )


def _not_found(message: str) -> ErrorBody:
    return ErrorBody(message=message, param="previous_response_id", code="previous_response_not_found")
