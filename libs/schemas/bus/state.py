"""What is asked of the state service, and its replies.

Messages are MessagePack, for they carry whole JSON bodies as bytes. A reply is a tagged union: a refusal
that the client must hear is a reply, not a failure of the bus. `subjects.py` says which subject carries which.
"""

from typing import Literal

import msgspec


class KeptToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that an answer made: `outline` is the digest of each part of its arguments, 8 bytes each."""

    id: str
    name: str
    outline: bytes


class Turn(
    msgspec.Struct, frozen=True, kw_only=True, rename={"tool_calls": "calls", "chainable": "parent", "key": "entry"}
):
    """A turn, without any text of it. Times in Unix seconds.

    `prefix` is the digest of the history that ends with the answer, `end` the same with its arguments,
    from which the next one goes on; `asked` and `start` are those of the `CommitPlan`.
    """

    key: str
    response_id: str
    upstream: str
    account: str = ""  # not used, like `context`: a state service of the release before cannot read a turn without it
    model: str
    prefix: str
    end: str
    asked: str
    start: str
    context: str = ""
    conversation: str
    chainable: bool
    stored: bool
    tool_calls: list[KeptToolCall] = []
    created: int
    expires: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True, rename={"turn_key": "entry"}):
    """One answer of a history: the keys it may be known by, and its prefix digest.

    `turn_key` is the key of a turn of just this history and context; `loose` leads to a turn whose context or
    history was another.
    """

    turn_key: str
    loose: str


class ResolveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which of these turns are known? `turns` newest first.

    `items_bytes` bounds the original output items that come back, newest first; with `chains` none come
    where the newest answer is found as it was, and may be a parent. `head` asks for the newest turn of
    that conversation as well.
    """

    scope: str
    turns: list[Wanted] = []
    items_bytes: int = 0
    chains: bool = False
    head: str | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A known turn: `index` is its place among `turns`, `exact` that it was found under its `entry`.

    `items` are its original output items, JSON; None where they are not kept, or beyond the limit.
    """

    index: int
    exact: bool
    turn: Turn
    items: list[bytes] | None = None


class HeadTurns(msgspec.Struct, frozen=True, kw_only=True):
    """The newest turn of a conversation and the one before it, where that is still kept."""

    turn: Turn
    before: Turn | None = None


class OpenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request of a conversation whose answer the head lacks; `number` orders it among the others.

    `asked` and `start` are those of its `MarkPlan`. `live` is false once it can never become the head: it was cut,
    or its mark was not renewed for a minute.
    """

    number: int
    asked: str
    start: str
    live: bool


class ResolveReply(msgspec.Struct, frozen=True, kw_only=True):
    """What is known, in the order asked for; with the `head` of a conversation its open calls, oldest first."""

    found: list[Found] = []
    head: HeadTurns | None = None
    open: list[OpenRequest] = []


class MarkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Change the mark of the open request `id` in the head of its conversation.

    `open` adds it, `renew` tells that it still lives, `close` takes it off, `spoil` says that its answer will
    never be kept though the client may have seen some of it. With `known` a conversation that has no head gets none.
    """

    scope: str
    conversation: str
    id: str
    change: Literal["open", "renew", "close", "spoil"]
    asked: str = ""
    start: str = ""
    known: bool = False


class MarkReply(msgspec.Struct, frozen=True, kw_only=True):
    """`number` is that of the call among those of its conversation; 0 where it is not, or no more, among them."""

    number: int = 0


class CommitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a turn, its original output `items` where they are of use, and move the conversation's head.

    `loose` is the key under which the turn may be known in another context, or in an edited history. `mark` is the
    id of the open call that this ends, empty where none was wanted, and `number` its number, 0 where that is not known.
    """

    scope: str
    loose: str
    turn: Turn
    items: list[bytes] = []
    mark: str = ""
    number: int = 0


class CommitReply(msgspec.Struct, frozen=True, kw_only=True):
    """`turns` counts the answers in the conversation; `refused` says why nothing was kept, if so."""

    turns: int = 0
    refused: str | None = None


class ReadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of a conversation, and which upstream owns an id, or each of several, of its API?"""

    conversation: str | None = None
    upstream_id: str | None = None
    upstream_ids: list[str] = []


class ConversationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as its owner may see it; times in Unix seconds."""

    id: str
    turns: int
    model: str
    upstream: str
    stored: bool
    last_response_id: str
    created: int
    updated: int
    expires: int


class ReadReply(msgspec.Struct, frozen=True, kw_only=True):
    """`upstream` is the name of the owner of the id; each None where it is not known.

    `owners` are those of `upstream_ids` that are known; None from a worker that knows no such question.
    """

    conversation: ConversationInfo | None = None
    upstream: str | None = None
    owners: dict[str, str] | None = None


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Remember that an id, and those in `more`, belong to an upstream, which made them for this tenant."""

    upstream_id: str
    upstream: str
    more: list[str] = []


class ClaimReply(msgspec.Struct, frozen=True):
    """It is remembered."""


class ReleaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Forget whose an id is: its upstream has deleted what it named."""

    upstream_id: str


class ReleaseReply(msgspec.Struct, frozen=True):
    """It is forgotten."""


class ListRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The tenant's conversations, newest first; `after` is the id of the last one seen."""

    after: str | None = None
    limit: int = 20


class ListReply(msgspec.Struct, frozen=True, kw_only=True):
    """One page."""

    conversations: list[ConversationInfo]
    has_more: bool = False


class DeleteRequest(msgspec.Struct, frozen=True, kw_only=True, rename={"turn_keys": "entries"}):
    """Erase a whole conversation, or the turns of these `turn_keys`."""

    conversation: str | None = None
    turn_keys: list[str] = []


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response that Parley had an upstream store."""

    upstream: str
    response_id: str


class DeleteReply(msgspec.Struct, frozen=True, kw_only=True):
    """`known` says whether there was such a conversation; `responses` are still to be deleted upstream."""

    known: bool = False
    responses: list[StoredResponse] = []


class StateStatusRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How is the state service?"""


class StateStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The store and its limits; `hits` and `misses` count the turns looked up since this replica started."""

    store: str
    entries: int
    bytes: int | None = None
    link_ttl_seconds: int
    items_ttl_seconds: int
    max_items_bytes: int
    max_tenant_turns: int
    hits: int = 0
    misses: int = 0


class Head(msgspec.Struct, frozen=True, kw_only=True, rename={"turn_key": "entry"}):
    """The newest turn of a conversation, as kept, and the one before it; times in Unix seconds.

    Two answers with the same words have the same entry, so that the ids of the responses tell which is meant.
    """

    conversation: str
    turn_key: str
    before: str | None
    response_id: str
    before_response_id: str = ""
    model: str
    upstream: str
    stored: bool
    turns: int
    created: int
    updated: int
