"""POST /v1/chat/completions: where a call begins.

The body is read, its media taken out; the converter says what it becomes; `answering/attempt.py` carries it
upstream and its answer back. A request that continues what the upstream forgot is converted once more,
whole.
"""

import asyncio

import msgspec
from msgspec import Raw

from libs.runtime import metrics
from libs.runtime.logs import Log
from libs.schemas.bus.convert import Converted, Native, Said
from libs.schemas.config import Upstream
from libs.schemas.plan import MarkPlan
from libs.schemas.wire.chat import ChatEnvelope, ParleyOptions
from libs.translate.answer.chain_check import NotChained
from libs.translate.continuity.deciding import BUSY
from libs.translate.continuity.fingerprint import scope
from libs.translate.lift import Skeleton
from libs.translate.request.body import decode_body, is_given
from libs.translate.request.native import to_mark
from libs.translate.request.options import CONTINUITY_HEADER, merged
from libs.translate.request.routing import MATCHED_CHARACTERS, Route, bypassed
from services.edge import state
from services.edge.answering.attempt import Attempt
from services.edge.answering.marks import Mark, begin
from services.edge.answering.stale_turns import Stale, missing_parent, stale_entries
from services.edge.converter import convert
from services.edge.edge import Edge
from services.edge.errors import ConversionRefused
from services.edge.failures import CONVERSATION_BUSY
from services.edge.http.exchange import Exchange
from services.edge.http.media import hidden, skeleton
from services.edge.http.options import Asked, to_header
from services.edge.ownership import owners
from services.edge.records.handoffs import tell
from services.edge.served import ServedRequest, identify
from services.edge.surfaces.responses import relay_call

BUSY_WAITS_SECONDS = (0.05, 0.1, 0.15, 0.2, *[0.25] * 6)  # 2 s in all

_ENVELOPE = msgspec.json.Decoder(ChatEnvelope)
_OPTIONS = msgspec.json.Decoder(ParleyOptions)

log = Log("parley.edge")


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """All that a second try needs of the first: `bones` is the body without what may not cross the bus."""

    served: ServedRequest
    asked: Asked
    bones: Skeleton
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
        bones = await skeleton(body)
        envelope: ChatEnvelope = decode_body(_ENVELOPE, bones.body)
        way = bypassed(edge.config.upstream, envelope.model)
        exchange.watch()
        asked = served.options()
        said = asked.said
        if way is not None:
            plan = self._bypass_mark(served, said, way, envelope)
            await self._relay(served, way.upstream, way.model, body, bones, envelope, plan)
            return
        bones = await hidden(bones)
        converted = await self._convert(served, bones, said)
        if isinstance(converted, Native):
            exchange.report({"x-parley-native": converted.reason})
            upstream = edge.upstream(converted.upstream)
            await self._relay(served, upstream, converted.model, body, bones, envelope, converted.mark)
            return
        await owners.check_converted(served, converted)
        mark = begin(served, converted.plan)
        request = _Request(served=served, asked=asked, bones=bones, mark=mark)
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
        bones: Skeleton,
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
                bones=bones.body,
            )
        finally:
            mark.seen = served.exchange.status == 200
            mark.end()

    def _bypass_mark(self, served: ServedRequest, said: Said, way: Route, envelope: ChatEnvelope) -> MarkPlan | None:
        """Return where a call is marked that never meets the converter. Raises TranslationError as `to_mark` does."""
        said = merged(said, _options(envelope))
        account = served.accounts()[way.upstream.name]
        owner = scope(served.tenant, account, _text(envelope.safety_identifier) or _text(envelope.user))
        only_new = said.delta or said.previous_response_id is not None
        what = f"The model '{envelope.model[:MATCHED_CHARACTERS]}'"
        return to_mark(said.conversation, owner, only_new=only_new, what=what)

    async def _convert(self, served: ServedRequest, bones: Skeleton, said: Said) -> Converted | Native:
        """Convert the request; what is new waits for the answer before it to be kept, where one is under way.

        It waits here, where it holds nothing but its own connection. Raises TranslationError.
        """
        waits = iter(BUSY_WAITS_SECONDS)
        while True:
            try:
                return await convert(served, bones, said)
            except ConversionRefused as error:
                is_busy = error.error.code == CONVERSATION_BUSY
                wait = next(waits, None) if is_busy else None
                if wait is None:
                    if is_busy:
                        metrics.CONTINUITY.labels("none", BUSY).inc()
                        log.info("handoff", request_id=served.request_id, mode="none", reason=BUSY)
                    tell(served, error.refused, attempt=1, session=said.hint)
                    raise
            await asyncio.sleep(wait)

    async def _call(self, request: _Request, converted: Converted, *, attempt: int) -> None:
        """Make one try. Raises TranslationError, Stale."""
        served, exchange = request.served, request.served.exchange
        _tell(exchange, converted)
        tell(served, converted, attempt=attempt, session=request.asked.said.hint)
        try:
            first = 1 + (attempt - 1) * converted.plan.choices
            await Attempt(served, converted, first, request.mark).run(request.bones)
        except NotChained:
            self._note_unchained(request, converted, "withheld" if exchange.is_unsent else "cut")
            raise

    def _note_unchained(self, request: _Request, converted: Converted, what: str) -> None:
        """The upstream did not go on from what it was to; `what` became of its answer."""
        metrics.UNCHAINED.labels(what).inc()
        log.warning("not_chained", request_id=request.served.request_id, upstream=converted.upstream, what=what)
        account = request.served.accounts()[converted.upstream]
        self._edge.unchained.note((converted.upstream, account, converted.model))

    async def _plain(self, request: _Request, converted: Converted, stale: Stale) -> Converted:
        """Forget what the upstream forgot, and convert the request again, whole. Raises InvalidRequest."""
        served, said = request.served, request.asked.said
        if stale.unchained:
            self._note_unchained(request, converted, "sent_again" if converted.whole else "withheld")
        entries = stale_entries(converted, stale)
        state.delete_entries(served, entries)
        if not converted.whole:
            raise missing_parent(converted, said, request.asked.name_param)
        metrics.FALLBACKS.labels(str(stale.told.code)).inc()
        log.info("fallback", request_id=served.request_id, code=str(stale.told.code), entries=len(entries))
        plain = await convert(served, request.bones, said, mode="plain", token=converted.conversation)
        assert isinstance(plain, Converted)  # what was converted once does not become native
        return plain


def _tell(exchange: Exchange, converted: Converted) -> None:
    """Set the headers that say what became of the request."""
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
