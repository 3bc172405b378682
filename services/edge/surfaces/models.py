"""GET /v1/models: what all upstreams serve, with the aliases of the configuration."""

import asyncio

import msgspec

from libs.runtime.logs import Log
from libs.schemas.config import Upstream
from libs.schemas.wire.chat import Model, ModelList
from libs.schemas.wire.surrogates import read
from libs.translate.errors import TranslationError
from services.edge.edge import Edge
from services.edge.errors import UpstreamKeyRefused, UpstreamMalformed, UpstreamUnreachable
from services.edge.http.exchange import Exchange
from services.edge.served import ServedRequest, identify
from services.edge.upstreams.client import read_limited

_LIMIT = 4 * 1024 * 1024


class _Listed(msgspec.Struct):
    id: str
    created: int = 0
    owned_by: str = ""


class _List(msgspec.Struct):
    data: list[_Listed]


_DECODER = msgspec.json.Decoder(_List)
_ENCODER = msgspec.json.Encoder()

log = Log("parley.edge")


class ModelsEndpoint:
    """The endpoint."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. Raises TranslationError."""
        served = identify(self._edge, exchange)
        exchange.watch()
        lists = await asyncio.gather(*(self._list(served, upstream) for upstream in self._edge.config.upstream))
        if not any(isinstance(listed, list) for listed in lists):
            raise next((listed for listed in lists if isinstance(listed, UpstreamKeyRefused)), UpstreamUnreachable())
        models: dict[str, Model] = {}
        for upstream, listed in zip(self._edge.config.upstream, lists, strict=True):
            for model in listed if isinstance(listed, list) else ():
                models.setdefault(model.id, model)
            for alias in upstream.aliases:
                models[alias] = Model(id=alias, created=0, owned_by=upstream.name)
        await exchange.send(200, _ENCODER.encode(ModelList(data=list(models.values()))))

    async def _list(self, served: ServedRequest, upstream: Upstream) -> list[Model] | UpstreamKeyRefused | None:
        """Return the models of one upstream; where it does not tell, which is logged, None or why."""
        headers = served.auth_headers(upstream)
        try:
            async with self._edge.upstreams.request(upstream, "GET", "/models", headers=headers) as answer:
                listed = read(_DECODER, await read_limited(answer, _LIMIT))
            if listed is None:
                raise UpstreamMalformed
        except UpstreamKeyRefused as error:
            return error
        except TranslationError as error:
            log.warning("models_unavailable", upstream=upstream.name, error=type(error).__name__)
            return None
        return [
            Model(id=model.id, created=model.created, owned_by=model.owned_by or upstream.name) for model in listed.data
        ]
