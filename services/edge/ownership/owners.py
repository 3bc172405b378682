"""Whose an id is: what was not made for a caller is refused before the upstream.

That holds for upstreams that are called with Parley's own key: with it, any caller could reach what others
made. Where the caller's own bearer is sent, the upstream itself knows whose an id is
(API_REFERENCE.md#with-parleys-own-key).
"""

import asyncio
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import partial

from libs.runtime.call import BusContext
from libs.runtime.errors import BusError
from libs.runtime.logs import Log
from libs.schemas.bus.convert import Converted
from libs.schemas.bus.state import ReadRequest
from libs.schemas.config import Config, Upstream
from libs.schemas.subjects import MAX_MESSAGE_BYTES, READ
from libs.translate.errors import InvalidRequest
from services.edge import state
from services.edge.edge import Edge
from services.edge.errors import StateUnavailable
from services.edge.http.media import text_too_large
from services.edge.ownership import named_ids
from services.edge.ownership.id_kinds import SHAREABLE, IdType
from services.edge.ownership.named_ids import PARENT, Named, Names
from services.edge.served import ServedRequest

INLINE_BYTES = 32 * 1024  # a larger body is read in a thread: the worst of them take 10 ms
SHARED_BYTES = 1024 * 1024  # a larger one in a thread of its kind
MAX_ID_CHARACTERS = 512
# One of these at a time: what is read takes many times its bytes, and holds up no smaller one.
_READER = ThreadPoolExecutor(1, "parley-names")
_SHOWN_CHARACTERS = 128  # of an id, in a message

_NOUNS: dict[IdType, str] = {
    "response": "Response",
    "conversation": "Conversation",
    "completion": "Chat completion",
    "item": "Item",
    "audio": "Audio",
    "file": "File",
    "vector_store": "Vector store",
    "container": "Container",
    "prompt": "Prompt",
    "skill": "Skill",
    "upload": "Upload",
    "batch": "Batch",
    "fine_tuning_job": "Fine-tuning job",
    "video": "Video",
}

log = Log("parley.edge")


# -- rules ------------------------------------------------------------------------------------------


def guarded(upstream: Upstream) -> bool:
    """Whether callers share one key there."""
    return upstream.auth == "key"


def guards(config: Config) -> bool:
    """Whether any upstream is."""
    return any(map(guarded, config.upstream))


def name(kind: IdType, id_: str) -> str:
    """Return what an id is claimed by: two sorts of things may have the same."""
    return id_ if kind == "response" else f"{kind}:{id_}"


def possible(id_: str) -> bool:
    """Whether an upstream may have made this id."""
    return 0 < len(id_) <= MAX_ID_CHARACTERS and id_.isascii() and id_.isprintable()


def shared(upstream: Upstream, kind: IdType, id_: str) -> bool:
    """Whether any caller may use this id there."""
    return kind in SHAREABLE and any(fnmatchcase(id_, pattern) for pattern in upstream.shared_ids)


def shares_all(upstream: Upstream) -> bool:
    """Whether no file and none of its like needs to be looked for there."""
    return "*" in upstream.shared_ids


def _same_account(one: Upstream, other: Upstream) -> bool:
    """Whether two upstreams keep the same things."""
    return (one.base_url, one.key_env, one.key_file) == (other.base_url, other.key_env, other.key_file)


def as_read(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers of a body whose ids were read: no upstream may read it in another way."""
    kept = {name: value for name, value in headers.items() if name != "content-encoding"}
    return {**kept, "content-type": "application/json"}


# -- what a request names ---------------------------------------------------------------------------


async def find(served: ServedRequest, names: Iterable[str]) -> dict[str, Upstream]:
    """Return the upstreams of those names that were claimed for the caller. Raises StateUnavailable."""
    edge = served.edge
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}
    try:
        known = await _ask(edge, wanted, served.bus_call(seconds=state.OWNER_SECONDS))
    except BusError as error:
        log.warning("owner_unknown", request_id=served.request_id, error=type(error).__name__)
        raise StateUnavailable from None
    upstreams = {upstream.name: upstream for upstream in edge.config.upstream}
    owners = {one: owner for one in wanted if (owner := edge.claims.get(served.tenant, one)) is not None}
    owners |= known
    return {one: upstreams[owner] for one, owner in owners.items() if owner in upstreams}


async def _ask(edge: Edge, names: list[str], context: BusContext) -> dict[str, str]:
    reply = await edge.bus.call(READ, ReadRequest(upstream_ids=names), context)
    if reply.owners is not None:
        return reply.owners
    one_by_one = {name: await edge.bus.call(READ, ReadRequest(upstream_id=name), context) for name in names}
    return {name: reply.upstream for name, reply in one_by_one.items() if reply.upstream is not None}


async def check(served: ServedRequest, upstream: Upstream, named: Collection[Named]) -> None:
    """See that all that is named was made for the caller, at `upstream`, or is shared there.

    Raises InvalidRequest for what was not, StateUnavailable where that cannot be known.
    """
    own = [one for one in named if not shared(upstream, one.id_type, one.id)]
    for one in own:
        if not possible(one.id):
            raise refusal(one)
    found = await find(served, (name(one.id_type, one.id) for one in own))
    for one in own:
        owner = found.get(name(one.id_type, one.id))
        if owner is None or not _same_account(owner, upstream):
            raise refusal(one)


async def named_in(bones: bytes, upstream: Upstream) -> Names:
    """Return the ids that a body, without its media, names to a guarded upstream. Raises InvalidRequest."""
    read = partial(_named_in, shareable=not shares_all(upstream))
    if len(bones) <= INLINE_BYTES:
        return read(bones)
    if len(bones) > MAX_MESSAGE_BYTES:
        raise text_too_large(MAX_MESSAGE_BYTES)
    pool = None if len(bones) <= SHARED_BYTES else _READER
    return await asyncio.get_running_loop().run_in_executor(pool, read, bones)


def _named_in(body: bytes, *, shareable: bool) -> Names:
    if not named_ids.may_name(body, shareable=shareable):
        return Names([])
    return named_ids.of_body(body, shareable=shareable)


async def check_converted(served: ServedRequest, converted: Converted) -> None:
    """See that what a chat request goes on from upstream is the caller's. Raises as `check` does."""
    upstream = served.edge.upstream(converted.upstream)
    if not guarded(upstream):
        return
    chained = converted.continuity.mode == "chain"  # Parley itself found the parent, which is the caller's
    names_parent = converted.previous_response_id is not None and not chained
    # No key of a JSON object can be met inside a string: the quotes in there are escaped.
    if not names_parent and b'"conversation":' not in converted.body and shares_all(upstream):
        return
    named = (await named_in(converted.body, upstream)).named
    # Items go up only as they were kept for the caller.
    own = [one for one in named if one.id_type != "item" and not (chained and one.param == PARENT)]
    await check(served, upstream, own)


def refusal(named: Named) -> InvalidRequest:
    """Return the words for an id that is not the caller's: those for one that is not there.

    See API_REFERENCE.md#with-parleys-own-key.
    """
    if named.param == PARENT:
        message = f"Previous response with id '{named.id[:_SHOWN_CHARACTERS]}' not found."
        return InvalidRequest(message, PARENT, "previous_response_not_found")
    return missing(named.id_type, named.id, param=named.param or None)


def missing(kind: IdType, id_: str, param: str | None = None) -> InvalidRequest:
    """Return the 404 for an id that is not the caller's; without `param` it stands in the path."""
    return InvalidRequest(f"{_NOUNS[kind]} with id '{id_[:_SHOWN_CHARACTERS]}' not found.", param, status=404)
