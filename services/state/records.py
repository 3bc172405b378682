"""What is kept under each kind of key, before it is sealed. Times in Unix seconds."""

import msgspec

from libs.schemas.bus.state import DeleteReply, Head, StoredResponse, Turn


class KeptTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn; `items_bytes` is the size of its items, 0 where none are kept."""

    turn: Turn
    loose: str
    items_bytes: int


class KeptItems(msgspec.Struct, frozen=True, kw_only=True):
    """The items of a turn: of use only to the turn with that response, for an entry can be written again."""

    response_id: str
    items: list[bytes]
    expires: int


class Pointer(msgspec.Struct, frozen=True, kw_only=True, rename={"turn_key": "entry"}):
    """What a loose key leads to; None where two turns have it, and so neither."""

    turn_key: str | None


class KeptMark(msgspec.Struct, frozen=True, kw_only=True):
    """An open call, as in `OpenCall`; after `deadline` nothing more is expected of it, nor where it is not `usable`."""

    id: str
    number: int
    asked: str
    start: str
    deadline: int
    usable: bool = True


class KeptHead(msgspec.Struct, frozen=True, kw_only=True):
    """A head, with what the next call and the next commit must know; `head` None before the first, and after DELETE.

    `start` and `end` are its turn's; `recent` the newest answers counted, so that a repeated commit
    counts once though others came between. `number` is that of the call which made the head, `next` what the next
    call gets. Calls below `floor` began before a deletion. `ended` are the newest marks that were taken off, so that
    one which comes late is none.
    """

    head: Head | None
    start: str = ""
    end: str = ""
    expires: int
    recent: list[str] = []
    number: int = 0
    next: int = 1
    floor: int = 0
    open: list[KeptMark] = []
    ended: list[str] = []


class Member(msgspec.Struct, frozen=True, kw_only=True, rename={"turn_key": "entry"}):
    """One answer of a conversation; `stored` where the upstream keeps the response."""

    turn_key: str
    loose: str
    stored: StoredResponse | None = None


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The upstream an id belongs to, and when that was last written."""

    upstream: str
    written: int = 0


ENCODER = msgspec.msgpack.Encoder()
TURN = msgspec.msgpack.Decoder(KeptTurn)
ITEMS = msgspec.msgpack.Decoder(KeptItems)
POINTER = msgspec.msgpack.Decoder(Pointer)
HEAD = msgspec.msgpack.Decoder(KeptHead)
MEMBER = msgspec.msgpack.Decoder(Member)
OWNER = msgspec.msgpack.Decoder(Owner)
ERASURE = msgspec.msgpack.Decoder(DeleteReply)
