"""POST /v1/chat/completions: where a call begins.

The body is read, its media taken out; the converter says what it becomes; `chat_call.py` carries it
upstream and its answer back. A request that continues what the upstream forgot is converted once more,
whole.
"""

import msgspec

from libs.schemas.bus import Converted, Native
from libs.schemas.chat import ChatEnvelope
from libs.translate.body import decode_body
from libs.translate.lift import Skeleton
from libs.translate.routing import route
from services.edge.chat_call import ChatCall, Stale
from services.edge.edge import Edge
from services.edge.exchange import Exchange
from services.edge.fan_out import FanOutCall
from services.edge.media import skeleton
from services.edge.responses import relay_call
from services.edge.tenants import Caller

_ENVELOPE = msgspec.json.Decoder(ChatEnvelope)


class ChatEndpoint:
    """The endpoint."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. Raises TranslationError."""
        edge = self._edge
        settings = edge.config.edge
        caller = edge.tenants.identify(exchange.headers)
        body = await exchange.read_body(settings.max_body_bytes, settings.body_idle_timeout_seconds)
        bones = await skeleton(body)
        envelope: ChatEnvelope = decode_body(_ENVELOPE, bones.body)
        way = route(edge.config.upstream, envelope.model)
        exchange.watch()
        if way.bridge == "bypass":
            await relay_call(edge, exchange, caller, way, body, surface="chat", envelope=envelope)
            return
        conversation = edge.conversation(exchange)
        if conversation is not None:
            exchange.response_headers["x-parley-conversation"] = conversation
        converted = await edge.convert(exchange, caller, bones, conversation)
        if isinstance(converted, Native):
            exchange.response_headers["x-parley-native"] = converted.reason
            await relay_call(edge, exchange, caller, way, body, surface="chat", envelope=envelope)
            return
        _tell(exchange, converted)
        if converted.plan.choices > 1:
            await FanOutCall(edge, exchange, caller, converted).run(bones, body)
            return
        try:
            await ChatCall(edge, exchange, caller, converted, 1).run(bones, body)
        except Stale:
            whole = await self._plain(exchange, caller, bones, conversation, converted)
            _tell(exchange, whole)
            await ChatCall(edge, exchange, caller, whole, 2).run(bones, body)

    async def _plain(
        self, exchange: Exchange, caller: Caller, bones: Skeleton, conversation: str | None, stale: Converted
    ) -> Converted:
        """Forget what the upstream forgot, and convert the request again, whole."""
        if stale.plan.commit is not None and stale.entry is not None:
            self._edge.forget(exchange, caller, stale.plan.commit.scope, stale.entry)
        whole = await self._edge.convert(exchange, caller, bones, conversation, mode="plain")
        assert isinstance(whole, Converted)  # what was converted once does not become native
        return whole


def _tell(exchange: Exchange, converted: Converted) -> None:
    """Set the headers that say what became of the request."""
    continuity = converted.continuity
    headers = exchange.response_headers
    headers["x-parley-continuity"] = f"{continuity.mode};reason={continuity.reason};matched={continuity.matched}"
    if converted.dropped:
        headers["x-parley-dropped"] = ",".join(converted.dropped)
