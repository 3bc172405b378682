"""Any other /v1 path: relayed to the upstream that owns the id in it, else the first; bodies streamed both ways.

Where Parley's own key would be used, only what the table of `openai_paths.py` has is relayed, and only to
those for whom the ids were made that a request names.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from libs.schemas.config import Upstream
from libs.schemas.wire.errors import ErrorBody
from libs.schemas.wire.surrogates import read
from libs.translate.errors import TranslationError
from libs.translate.request.body import decode_body
from libs.translate.sse import FrameParser, FrameTooLarge
from services.edge.answering.passthrough import forwarded_headers, pass_through
from services.edge.answering.response_tap import MAX_CLAIMED_BYTES
from services.edge.edge import Edge
from services.edge.errors import StateUnavailable
from services.edge.http import paths
from services.edge.http.exchange import Exchange
from services.edge.http.media import skeleton
from services.edge.ownership import named_ids, owners
from services.edge.ownership.claiming import IdClaims, id_claims, item_ids, release
from services.edge.ownership.id_kinds import ROUTED, IdType
from services.edge.ownership.named_ids import Named, Names
from services.edge.served import ServedRequest, identify
from services.edge.surfaces import openai_paths
from services.edge.surfaces.openai_paths import Place, Row

_GOES_ON = (None, "queued", "in_progress")  # statuses of a response whose stream has not ended
_ROUTED_PARTS: dict[str, IdType] = {"responses": "response", "conversations": "conversation"}


_OBJECT = msgspec.json.Decoder(dict[str, Raw])


class NotRelayed(TranslationError):
    """A path whose answer may hold what others made with Parley's key."""

    def __init__(self, exchange: Exchange, why: str) -> None:
        message = f"Not relayed with Parley's own key: {exchange.scope['method']} {exchange.scope['path']}: {why}."
        super().__init__(403, ErrorBody(message=message, code="not_relayed"))


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request: `path` as it goes up, `parts` of it decoded, `place` in the table where it has one."""

    served: ServedRequest
    path: str
    parts: Sequence[str]
    place: Place | None

    @property
    def query(self) -> bytes:
        """As the client wrote it."""
        query: bytes = self.served.exchange.scope["query_string"]
        return query


class RelayEndpoint:
    """The endpoint of everything under /v1 that Parley does not serve itself."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. Raises TranslationError."""
        edge = self._edge
        served = identify(edge, exchange)
        path = _path(exchange)
        parts = openai_paths.segments(path)
        place = openai_paths.find(exchange.scope["method"], parts)
        request = _Request(served=served, path=path, parts=parts, place=place)
        upstream = await self._upstream(request)
        headers = forwarded_headers(served, upstream)
        body: AsyncIterator[bytes] | None = None
        if exchange.headers.get("content-length", "0") != "0" or "transfer-encoding" in exchange.headers:
            body = _body(exchange, edge.config.edge.body_idle_timeout_seconds)
            if "content-length" in exchange.headers:
                headers["content-length"] = exchange.headers["content-length"]
        else:
            exchange.watch()
        sent: list[bytes] | AsyncIterator[bytes] | None = body
        given = frozenset[str]()
        if place is not None and owners.guarded(upstream):
            read_body, given = await self._checked(request, place, upstream, has_body=body is not None)
            if read_body is not None:
                sent, headers = [read_body], {**owners.as_read(headers), "content-length": str(len(read_body))}
        await self._send(request, upstream, headers, sent, _makes(request, upstream, given))

    async def _send(
        self,
        request: _Request,
        upstream: Upstream,
        headers: dict[str, str],
        body: list[bytes] | AsyncIterator[bytes] | None,
        makes: IdClaims,
    ) -> None:
        def tap(is_stream: bool) -> _Tap:
            return _Tap(request, makes, is_stream=is_stream)

        await pass_through(request.served, upstream, path=request.path, headers=headers, body=body, tap=tap, made=makes)

    async def _upstream(self, request: _Request) -> Upstream:
        """Return where a request goes. Raises InvalidRequest for an id that is nobody's there, NotRelayed."""
        edge = self._edge
        first, guards = edge.config.upstream[0], owners.guards(edge.config)
        routed = _routed(request)
        upstream: Upstream | None = first
        if routed is not None and (guards or len(edge.config.upstream) > 1):
            upstream = await self._owner(request, *routed, strict=guards)
        if not owners.guarded(upstream or first):
            return upstream or first
        if request.place is None:
            raise NotRelayed(request.served.exchange, openai_paths.why_refused(request.parts))
        if upstream is None:
            assert routed is not None  # else it were the first
            raise owners.missing(*routed)
        return upstream

    async def _owner(self, request: _Request, kind: IdType, id_: str, *, strict: bool) -> Upstream | None:
        """Return the upstream that an id was made by. Raises StateUnavailable where that must be known."""
        name = owners.name(kind, id_)
        try:
            found = await owners.find(request.served, [name])
        except StateUnavailable:
            if strict:
                raise
            return None
        return found.get(name)

    async def _named_in(self, body: bytes, upstream: Upstream) -> Names:
        """Return what a body names, which must be JSON: in no other form could that be seen. Raises InvalidRequest."""
        if not body:
            return Names([])
        bones = (await skeleton(body)).body
        decode_body(_OBJECT, bones)
        return await owners.named_in(bones, upstream)

    async def _checked(
        self, request: _Request, place: Place, upstream: Upstream, *, has_body: bool
    ) -> tuple[bytes | None, frozenset[str]]:
        """See that all that the request names is the caller's. Raises as `owners.check` does.

        Return its body where that had to be read, and the ids that it gives to items of its own.
        """
        exchange, row = request.served.exchange, place.row
        settings = self._edge.config.edge
        read_body, names = None, Names([])
        if has_body and (row.names or not (owners.shares_all(upstream) or (row.form and _is_form(exchange)))):
            read_body = await exchange.read_body(settings.max_body_bytes, settings.body_idle_timeout_seconds)
            exchange.watch()
            names = await self._named_in(read_body, upstream)
            if row.makes == "batch":
                _check_batch(read_body)
        named = [*named_ids.of_query(request.query), *names.named]
        if row.id_type is not None and row.id_type not in ROUTED and place.id is not None:
            named.append(Named(row.id_type, place.id, ""))
        await owners.check(request.served, upstream, named)
        return read_body, names.given


class _AnswerIds(msgspec.Struct):
    """What an answer may name that belongs to the caller from then on."""

    id: Any = None
    status: Any = None
    output: list[Raw] | None = None
    data: list[Raw] | None = None
    file: Any = None
    output_file_id: Any = None
    error_file_id: Any = None


class _Event(msgspec.Struct):
    """An event of a response's stream."""

    response: _AnswerIds | None = None


_ANSWER_IDS = msgspec.json.Decoder(_AnswerIds)
_EVENT = msgspec.json.Decoder(_Event)


class _Tap:
    """Reads what a relayed answer makes, and forgets what it deletes."""

    def __init__(self, request: _Request, makes: IdClaims, *, is_stream: bool) -> None:
        self._request = request
        self._made = makes
        self._parser = FrameParser() if is_stream else None
        self._chunks: list[bytes] = []
        self._size = 0
        self._reads = makes.wanted

    def feed(self, data: bytes) -> None:
        """Read what has just arrived."""
        if not self._reads:
            return
        if self._parser is not None:
            self._feed(self._parser, data)
            return
        self._size += len(data)
        self._chunks.append(data)
        if self._size > MAX_CLAIMED_BYTES:
            self._reads = False
            self._chunks = []

    def _feed(self, parser: FrameParser, data: bytes) -> None:
        try:
            for _, payload in parser.feed(data):
                event = read(_EVENT, payload) if b'"response"' in payload else None
                if event is not None and event.response is not None:
                    self._made.claim(_ids(event.response, self._request.place))
                    if event.response.status not in _GOES_ON:
                        self._made.ended()
        except FrameTooLarge:
            self._reads = False

    def finish(self) -> None:
        """The answer is complete."""
        exchange, place = self._request.served.exchange, self._request.place
        if self._chunks:
            answer = read(_ANSWER_IDS, b"".join(self._chunks))
            if answer is not None:
                self._made.claim(_ids(answer, place, adds=exchange.scope["method"] == "POST"))
        if place is not None and _deletes(exchange, place) and exchange.status < 300:
            assert place.row.id_type is not None and place.id is not None
            release(self._request.served, place.row.id_type, place.id)


def _deletes(exchange: Exchange, place: Place) -> bool:
    """Whether the request deletes the very thing that the path names, not what is in it."""
    ends_there = place.row.path.endswith("}") and place.row.path.count("{") == 1
    return exchange.scope["method"] == "DELETE" and place.id is not None and ends_there


def _ids(answer: _AnswerIds, place: Place | None, *, adds: bool = False) -> list[tuple[IdType, Any]]:
    """Return the ids in an answer that belong to the caller; of a list only where the request `adds` what is in it.

    What a list shows may have any id that its maker gave it.
    """
    if place is None:
        return []
    row = place.row
    found: list[tuple[IdType, Any]] = [] if row.makes is None else [(row.makes, answer.id)]
    if row.items:
        found += item_ids([*(answer.output or ()), *((answer.data or ()) if adds else ())])
    if row.id_type == "upload" and isinstance(answer.file, dict):
        found.append(("file", answer.file.get("id")))
    if row.id_type == "batch":
        found += [("file", answer.output_file_id), ("file", answer.error_file_id)]
    return found


def _makes(request: _Request, upstream: Upstream, given: frozenset[str]) -> IdClaims:
    row = None if request.place is None else request.place.row
    claims = row is not None and (_makes_ids(row) if owners.guarded(upstream) else row.makes in ROUTED)
    return id_claims(request.served, upstream, stored=claims, given=given)


def _makes_ids(row: Row) -> bool:
    return row.makes is not None or row.items or row.id_type in ("upload", "batch")


def _routed(request: _Request) -> tuple[IdType, str] | None:
    """Return the response or conversation that a path is about, whatever follows it."""
    if request.place is not None and request.place.id is None:
        return None
    if len(request.parts) < 2 or not request.parts[1]:
        return None
    kind = _ROUTED_PARTS.get(request.parts[0])
    return None if kind is None else (kind, request.parts[1])


def _check_batch(body: bytes) -> None:
    """Refuse a batch of calls whose lines, which are not read, may name what is another's."""
    endpoint = named_ids.field(body, "endpoint")
    if endpoint not in openai_paths.BATCHED:
        supported = ", ".join(f"'{path}'" for path in sorted(openai_paths.BATCHED))
        message = f"Parley's own key runs batches of {supported} alone."
        raise TranslationError(403, ErrorBody(message=message, param="endpoint", code="not_relayed"))


def _is_form(exchange: Exchange) -> bool:
    """Whether the body is a form, which streams: what is uploaded in one names nothing."""
    return exchange.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def _body(exchange: Exchange, idle_seconds: float) -> AsyncIterator[bytes]:
    async for chunk in exchange.body_chunks(idle_seconds):
        yield chunk
    exchange.watch()


def _path(exchange: Exchange) -> str:
    """Return the path below the upstream's base URL, and the query as the client wrote it."""
    path = paths.below(exchange.scope)
    query: str = exchange.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path
