"""POST /convert: what a chat request would become, without the call."""

from typing import Any

import msgspec
from msgspec import Raw

from libs.schemas.bus.convert import Native
from libs.translate.lift import splice
from services.edge.converter import convert
from services.edge.edge import Edge
from services.edge.http.exchange import Exchange
from services.edge.http.media import hidden, skeleton
from services.edge.served import identify

_ENCODER = msgspec.json.Encoder()


class ConvertEndpoint:
    """The endpoint."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. Raises TranslationError."""
        settings = self._edge.config.edge
        served = identify(self._edge, exchange)
        body = await exchange.read_body(settings.max_body_bytes, settings.body_idle_timeout_seconds)
        bones = await hidden(await skeleton(body))
        converted = await convert(served, bones, served.options().client_options)
        if isinstance(converted, Native):
            shown = {"upstream": converted.upstream, "model": converted.model, "native": converted.reason}
            await exchange.send(200, _ENCODER.encode(shown))
            return
        answer: dict[str, Any] = {
            "upstream": converted.upstream,
            "model": converted.model,
            "continuity": converted.continuity,
            "conversation": converted.conversation,
            "dropped": converted.dropped,
            "request": Raw(b"".join(splice(converted.body, bones))),
        }
        await exchange.send(200, _ENCODER.encode(answer))
