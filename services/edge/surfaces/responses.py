"""POST /v1/responses, and chat calls that an upstream answers itself: bytes pass, records are kept."""

from collections.abc import Callable

import msgspec
from msgspec import Raw

from libs.schemas.config import Upstream
from libs.schemas.records import Surface
from libs.schemas.wire.chat import ChatEnvelope
from libs.translate.request.body import decode_body, is_given
from libs.translate.request.routing import route
from services.edge.answering.chat_tap import ChatBodyTap, ChatStreamTap
from services.edge.answering.passthrough import Tap, forwarded_headers, pass_through
from services.edge.answering.response_tap import BodyTap, StreamTap
from services.edge.edge import Edge
from services.edge.http.exchange import Exchange
from services.edge.http.media import skeleton
from services.edge.ownership import named_ids, owners
from services.edge.ownership.claiming import IdClaims, id_claims
from services.edge.ownership.named_ids import Names
from services.edge.records import calls
from services.edge.records.calls import Call
from services.edge.served import ServedRequest, identify

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()
_PATHS: dict[Surface, str] = {"responses": "/responses", "chat": "/chat/completions"}
# How to read along, by surface and whether the answer is a stream.
_TAPS: dict[tuple[Surface, bool], Callable[[Call, IdClaims], Tap]] = {
    ("responses", False): BodyTap,
    ("responses", True): StreamTap,
    ("chat", False): ChatBodyTap,
    ("chat", True): ChatStreamTap,
}


_ENVELOPE = msgspec.json.Decoder(ChatEnvelope)


class ResponsesEndpoint:
    """The endpoint of `POST /v1/responses`."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. Raises TranslationError."""
        edge = self._edge
        settings = edge.config.edge
        served = identify(edge, exchange)
        body = await exchange.read_body(settings.max_body_bytes, settings.body_idle_timeout_seconds)
        bones = (await skeleton(body)).body
        envelope: ChatEnvelope = decode_body(_ENVELOPE, bones)
        way = route(edge.config.upstream, envelope.model)
        exchange.watch()
        await relay_call(
            served,
            way.upstream,
            way.model,
            body,
            surface="responses",
            envelope=envelope,
            bones=bones,
        )


def _is_stored(surface: Surface, envelope: ChatEnvelope) -> bool:
    """Whether the upstream is to keep the answer: a response unless told not to, a completion where told to.

    Sound is kept for a while, for the next question.
    """
    given = bytes(envelope.store)
    if surface == "chat":
        return given == b"true" or is_given(envelope.audio)
    return given != b"false" or bytes(envelope.background) == b"true"


async def relay_call(
    served: ServedRequest,
    upstream: Upstream,
    model: str,
    body: bytes,
    *,
    surface: Surface,
    envelope: ChatEnvelope,
    bones: bytes,
) -> None:
    """Pass a call to the upstream's own endpoint for `surface`, record it, and claim what it makes.

    `model` is what the upstream calls the model, and `bones` are the body without its media.

    Raises TranslationError as `pass_through` does, and for an id that is not the caller's.
    """
    names = Names([])
    if owners.guarded(upstream):
        names = await owners.named_in(bones, upstream)
        asked = [*named_ids.of_query(served.exchange.scope["query_string"]), *names.named]
        await owners.check(served, upstream, asked)
    streamed = bool(envelope.stream)
    stored = _is_stored(surface, envelope)
    makes = id_claims(served, upstream, stored=stored, given=names.given)
    unchanged = model == envelope.model and not is_given(envelope.parley)
    sent = body if unchanged else _rewritten(body, model)
    record = calls.begin(
        served,
        surface=surface,
        attempt=1,
        model_requested=envelope.model,
        upstream=upstream.name,
        streamed=streamed,
        request_bytes=len(sent),
    )
    headers = forwarded_headers(served, upstream)
    # The tap must be able to read what passes.
    headers["accept-encoding"] = "identity"
    headers["content-length"] = str(len(sent))
    if owners.guarded(upstream):
        headers = owners.as_read(headers)
    await pass_through(
        served,
        upstream,
        path=_PATHS[surface],
        headers=headers,
        body=[sent],
        record=record,
        tap=lambda is_stream: _TAPS[surface, is_stream](record, makes),
        made=makes,
        streamed=streamed,
    )


def _rewritten(body: bytes, model: str) -> bytes:
    """Return `body` with its model renamed and without what is for Parley alone, every other value as it was."""
    tree: dict[str, Raw] = decode_body(_OBJECT, body)
    tree.pop("parley", None)
    return _ENCODER.encode({**tree, "model": model})
