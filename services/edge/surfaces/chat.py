"""POST /v1/chat/completions: where a call begins.

The body is read, its media taken out; the converter says what it becomes; `answering/attempt.py` carries it
upstream and its answer back. Where the upstream no longer has the parent, the request is converted again,
without it.
"""

import asyncio

import msgspec
from msgspec import Raw

from libs.runtime import metrics
from libs.runtime.logs import Log
from libs.schemas.bus.convert import ClientOptions, Converted, Native
from libs.schemas.config import Upstream
from libs.schemas.plan import MarkPlan
from libs.schemas.wire.chat import ChatEnvelope, ParleyOptions
from libs.translate.answer.chain_check import NotChained
from libs.translate.continuity.deciding import BUSY
from libs.translate.continuity.fingerprint import scope_digest
from libs.translate.lift import Skeleton
from libs.translate.request.body import decode_body, is_given
from libs.translate.request.native import to_mark
from libs.translate.request.options import CONTINUITY_HEADER, merged
from libs.translate.request.routing import MATCHED_CHARACTERS, Route, bypassed
from services.edge import state
from services.edge.answering.attempt import Attempt
from services.edge.answering.marks import Mark, begin
from services.edge.answering.stale_turns import Stale, missing_parent, stale_turn_keys
from services.edge.converter import convert
from services.edge.edge import Edge
from services.edge.errors import ConversionRefused, Overloaded
from services.edge.failures import CONVERSATION_BUSY
from services.edge.http.exchange import Exchange
from services.edge.http.media import hidden, skeleton
from services.edge.http.options import Asked, to_header
from services.edge.ownership import owners
from services.edge.records.handoffs import record_handoff
from services.edge.served import ServedRequest, identify
from services.edge.surfaces.responses import relay_call

BUSY_WAITS_SECONDS = (0.05, 0.1, 0.15, 0.2, *[0.25] * 6)  # 2 s in all

_ENVELOPE = msgspec.json.Decoder(ChatEnvelope)
_OPTIONS = msgspec.json.Decoder(ParleyOptions)

log = Log("parley.edge")


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """All that a second try needs of the first: `skeleton` is the body without what may not cross the bus."""

    served: ServedRequest
    asked: Asked
    skeleton: Skeleton
    mark: Mark


class ChatEndpoint:
    """The endpoint."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. Raises TranslationError."""
        edge = self._edge
        settings = edge.config.edge
        served = identify(edge, exchange)
        body = await exchange.read_body(settings.max_body_bytes, settings.body_idle_timeout_seconds)
        lifted_body = await skeleton(body)
        envelope: ChatEnvelope = decode_body(_ENVELOPE, lifted_body.body)
        way = bypassed(edge.config.upstream, envelope.model)
        exchange.watch()
        asked = served.options()
        client_options = asked.client_options
        if way is not None:
            plan = self._bypass_mark(served, client_options, way, envelope)
            await self._relay(served, way.upstream, way.model, body, lifted_body, envelope, plan)
            return
        lifted_body = await hidden(lifted_body)
        converted = await self._convert(served, lifted_body, client_options)
        if isinstance(converted, Native):
            exchange.report({"x-parley-native": converted.reason})
            upstream = edge.upstream(converted.upstream)
            await self._relay(served, upstream, converted.model, body, lifted_body, envelope, converted.mark)
            return
        await owners.check_converted(served, converted)
        mark = begin(served, converted.plan)
        request = _Request(served=served, asked=asked, skeleton=lifted_body, mark=mark)
        try:
            await self._call(request, converted, attempt=1)
        except Stale as stale:
            await self._call(request, await self._plain(request, converted, stale), attempt=2)
        finally:
            mark.end()

    async def _relay(
        self,
        served: ServedRequest,
        upstream: Upstream,
        model: str,
        body: bytes,
        lifted_body: Skeleton,
        envelope: ChatEnvelope,
        plan: MarkPlan | None,
    ) -> None:
        """Let the upstream's own chat endpoint answer: a turn of the conversation of which nothing is kept."""
        mark = Mark(served, plan)
        try:
            await relay_call(
                served,
                upstream,
                model,
                body,
                surface="chat",
                envelope=envelope,
                bones=lifted_body.body,
            )
        finally:
            mark.seen = served.exchange.status == 200
            mark.end()

    def _bypass_mark(
        self, served: ServedRequest, client_options: ClientOptions, way: Route, envelope: ChatEnvelope
    ) -> MarkPlan | None:
        """Return where a call is marked that never meets the converter. Raises TranslationError as `to_mark` does."""
        client_options = merged(client_options, _options(envelope))
        account = served.accounts()[way.upstream.name]
        scope = scope_digest(served.tenant, account, _text(envelope.safety_identifier) or _text(envelope.user))
        only_new = client_options.delta or client_options.previous_response_id is not None
        what = f"The model '{envelope.model[:MATCHED_CHARACTERS]}'"
        typed = client_options.format == "responses"
        return to_mark(client_options.conversation, scope, only_new=only_new, typed=typed, what=what)

    async def _convert(
        self, served: ServedRequest, lifted_body: Skeleton, client_options: ClientOptions
    ) -> Converted | Native:
        """Convert the request; a partial history waits while the turn before it is not kept yet.

        It waits in this place because it holds nothing here but its connection. Raises TranslationError.
        """
        waits = iter(BUSY_WAITS_SECONDS)
        while True:
            try:
                return await convert(served, lifted_body, client_options)
            except ConversionRefused as error:
                is_busy = error.error.code == CONVERSATION_BUSY
                wait = next(waits, None) if is_busy else None
                if wait is None:
                    if is_busy:
                        metrics.CONTINUITY.labels("none", BUSY).inc()
                        log.info("handoff", request_id=served.request_id, mode="none", reason=BUSY)
                    record_handoff(served, error.refused, attempt=1, session=client_options.hint)
                    raise
            await asyncio.sleep(wait)

    async def _call(self, request: _Request, converted: Converted, *, attempt: int) -> None:
        """Make one try. Raises TranslationError, Stale."""
        served, exchange = request.served, request.served.exchange
        _set_headers(exchange, converted)
        record_handoff(served, converted, attempt=attempt, session=request.asked.client_options.hint)
        try:
            first = 1 + (attempt - 1) * converted.plan.choices
            await Attempt(served, converted, first, request.mark).run(request.skeleton)
        except NotChained:
            self._note_unchained(request, converted, "withheld" if exchange.is_unsent else "cut")
            raise

    def _note_unchained(self, request: _Request, converted: Converted, what: str) -> None:
        """The upstream ignored the parent; `what` is what became of its answer."""
        metrics.UNCHAINED.labels(what).inc()
        log.warning("not_chained", request_id=request.served.request_id, upstream=converted.upstream, what=what)
        account = request.served.accounts()[converted.upstream]
        self._edge.unchained.note((converted.upstream, account, converted.model))

    async def _plain(self, request: _Request, converted: Converted, stale: Stale) -> Converted:
        """Delete the stale turns, and convert the request again without continuation. Raises InvalidRequest."""
        served, client_options = request.served, request.asked.client_options
        if stale.unchained:
            self._note_unchained(request, converted, "sent_again" if converted.whole_history else "withheld")
        entries = stale_turn_keys(converted, stale)
        state.delete_turns(served, entries)
        if not converted.whole_history:
            raise missing_parent(converted, client_options, request.asked.name_param)
        metrics.FALLBACKS.labels(str(stale.upstream_error.code)).inc()
        log.info("fallback", request_id=served.request_id, code=str(stale.upstream_error.code), entries=len(entries))
        plain = await convert(served, request.skeleton, client_options, mode="plain", token=converted.conversation)
        if not isinstance(plain, Converted):  # another converter, of another configuration
            log.error("converters_differ", request_id=served.request_id)
            raise Overloaded
        return plain


def _set_headers(exchange: Exchange, converted: Converted) -> None:
    """Set the headers that report how the request was translated and continued."""
    continuity = converted.continuity
    headers = {
        CONTINUITY_HEADER: f"{continuity.mode};reason={continuity.reason};matched={continuity.matched}",
        "x-parley-conversation": to_header(converted.conversation),
    }
    if converted.dropped:
        headers["x-parley-dropped"] = ",".join(converted.dropped)
    exchange.report(headers)


def _options(envelope: ChatEnvelope) -> ParleyOptions:
    """The body's own options. Raises InvalidRequest."""
    if not is_given(envelope.parley):
        return ParleyOptions()
    options: ParleyOptions = decode_body(_OPTIONS, envelope.parley, "parley")
    return options


def _text(raw: Raw) -> str:
    """A string, as far as it is one: the upstream judges its own fields."""
    value = msgspec.json.decode(raw) if is_given(raw) else ""
    return value if isinstance(value, str) else ""
