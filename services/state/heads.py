"""What becomes of the head of a conversation: at a commit, at a mark of an open call, at a deletion. Pure.

Calls are ordered by the numbers that the head hands out, never by a clock. Each change may come twice, and late:
it then says the same and changes nothing. Times in Unix seconds.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from libs.schemas.bus.state import CommitRequest, Head, MarkRequest, OpenRequest, Turn
from libs.schemas.subjects import MARK_SECONDS
from services.state.records import KeptHead, KeptMark

RECENT = 16  # answers that a head remembers as counted
ENDED = 32  # marks that it remembers as taken off
LIVE = 64  # open calls of one conversation
DEAD = 8  # of those that can never be the head, the newest; an older one says nothing that a newer does not


class Change(NamedTuple):
    """The head to write, None where the present one stays; and the result for the caller."""

    head: KeptHead | None
    result: int


ERASED = -1  # result of a commit whose conversation was deleted after its request began


# -- commits ----------------------------------------------------------------------------------------


def is_counted(present: KeptHead | None, turn: Turn) -> bool:
    """Whether the head has had this answer."""
    return present is not None and _answer(turn) in present.recent


def is_erased(present: KeptHead | None, request: CommitRequest) -> bool:
    """Whether the conversation was deleted after the call began; one without a number must show that it did not."""
    if present is None or not present.floor:
        return False
    number = _number(present, request)
    return number < present.floor if number else not _follows(present, request.turn)


def committed(present: KeptHead | None, request: CommitRequest, now: int, ttl_seconds: int) -> Change:
    """Count the answer, and make it the head unless a later request has one; the result is the number of answers."""
    turn = request.turn
    if present is None:
        present = KeptHead(head=None, expires=now + ttl_seconds)
    if is_counted(present, turn):
        return Change(None, 0 if present.head is None else present.head.turns)
    if is_erased(present, request):
        return Change(None, ERASED)
    number = _number(present, request)
    moves = present.head is None or _may_move(present, request, number)
    head = _head(present, turn) if moves else _counted(present)
    made = KeptHead(
        head=head,
        start=turn.start if moves else present.start,
        end=turn.end if moves else present.end,
        expires=max(now + ttl_seconds, present.expires) if not moves else now + ttl_seconds,
        recent=[_answer(turn), *present.recent][:RECENT],
        number=max(present.number, number) if moves else present.number,
        next=max(present.next, number + 1),
        floor=present.floor,
        open=[mark for mark in present.open if mark.id != request.mark and mark.number >= number],
        ended=_ended(present, request.mark),
    )
    return Change(made, head.turns)


def _may_move(present: KeptHead, request: CommitRequest, number: int) -> bool:
    if _follows(present, request.turn):
        return True
    if number:
        return number >= present.number
    # No mark got through, or none was wanted: where calls are not numbered, the later commit is the head.
    return not request.mark and not present.number


def _follows(present: KeptHead, turn: Turn) -> bool:
    return present.head is not None and turn.start == present.end


def _number(present: KeptHead, request: CommitRequest) -> int:
    """The call's number; its mark may be there though the answer to it was lost."""
    found = (mark.number for mark in present.open if mark.id == request.mark)
    return request.number or next(found, 0)


def _head(present: KeptHead, turn: Turn) -> Head:
    """The head after `turn`: an addition to the present one, another try of it, or a branch."""
    before, before_id, old = None, "", present.head
    if old is not None and turn.start == present.end:
        before, before_id = old.turn_key, old.response_id
    elif old is not None and turn.start == present.start:
        before, before_id = old.before, old.before_response_id
    return Head(
        conversation=turn.conversation,
        turn_key=turn.key,
        before=before,
        response_id=turn.response_id,
        before_response_id=before_id,
        model=turn.model,
        upstream=turn.upstream,
        stored=turn.stored or (old is not None and old.stored),
        turns=1 if old is None else old.turns + 1,
        created=turn.created if old is None else old.created,
        updated=turn.created,
    )


def _counted(present: KeptHead) -> Head:
    assert present.head is not None
    return msgspec.structs.replace(present.head, turns=present.head.turns + 1)


def _answer(turn: Turn) -> str:
    return f"{turn.key}.{turn.response_id}"


# -- marks ------------------------------------------------------------------------------------------


def marked(present: KeptHead | None, request: MarkRequest, now: int, ttl_seconds: int) -> Change:
    """Change the open requests; the result is the number of this one, 0 where it is not among them.

    `ttl_seconds` is for a conversation without an answer.
    """
    if present is None:
        if request.change != "open" or request.known:
            return Change(None, 0)
        present = KeptHead(head=None, expires=now + ttl_seconds)
    if present.head is None:
        present = msgspec.structs.replace(present, expires=now + ttl_seconds)
    mark = next((mark for mark in present.open if mark.id == request.id), None)
    return _CHANGES[request.change](present, mark, request, now)


def _opened(present: KeptHead, mark: KeptMark | None, request: MarkRequest, now: int) -> Change:
    if mark is not None or request.id in present.ended:
        return Change(None, 0 if mark is None else mark.number)
    live = [mark for mark in present.open if _lives(mark, now)]
    if len(live) >= LIVE:
        return Change(None, 0)
    dead = [mark for mark in present.open if not _lives(mark, now)][-DEAD:]
    new = KeptMark(
        id=request.id,
        number=present.next,
        asked=request.asked,
        start=request.start,
        deadline=now + MARK_SECONDS,
    )
    marks = [*sorted([*dead, *live], key=lambda mark: mark.number), new]
    return Change(msgspec.structs.replace(present, open=marks, next=present.next + 1), new.number)


def _renewed(present: KeptHead, mark: KeptMark | None, request: MarkRequest, now: int) -> Change:
    if mark is None or not mark.usable:
        return Change(None, 0)
    return Change(_with(present, msgspec.structs.replace(mark, deadline=now + MARK_SECONDS)), mark.number)


def _closed(present: KeptHead, mark: KeptMark | None, request: MarkRequest, now: int) -> Change:
    if request.id in present.ended:
        return Change(None, 0)
    left = [other for other in present.open if other.id != request.id]
    return Change(msgspec.structs.replace(present, open=left, ended=_ended(present, request.id)), 0)


def _spoiled(present: KeptHead, mark: KeptMark | None, request: MarkRequest, now: int) -> Change:
    """A mark that is not there stays out: its client got `kept=no`."""
    if mark is None:
        return _closed(present, None, request, now)
    return Change(_with(present, msgspec.structs.replace(mark, usable=False)), mark.number)


_CHANGES: dict[str, Callable[[KeptHead, KeptMark | None, MarkRequest, int], Change]] = {
    "open": _opened,
    "renew": _renewed,
    "close": _closed,
    "spoil": _spoiled,
}


def open_requests(present: KeptHead, now: float) -> list[OpenRequest]:
    """Return the open calls, oldest first."""
    return [
        OpenRequest(number=mark.number, asked=mark.asked, start=mark.start, live=_lives(mark, now))
        for mark in present.open
    ]


def _lives(mark: KeptMark, now: float) -> bool:
    return mark.usable and mark.deadline > now


def _with(present: KeptHead, changed: KeptMark) -> KeptHead:
    marks = [changed if mark.id == changed.id else mark for mark in present.open]
    return msgspec.structs.replace(present, open=marks)


def _ended(present: KeptHead, *ids: str) -> list[str]:
    return [*filter(None, ids), *(id_ for id_ in present.ended if id_ not in ids)][:ENDED]


# -- deletions --------------------------------------------------------------------------------------


def deleted(present: KeptHead, now: int, ttl_seconds: int) -> Change:
    """Leave a tombstone: requests that have a number by now are not kept. The result is 1 where there was a head.

    It is kept twice as long as a commit is retried, because the model call itself takes time.
    """
    if present.head is None and not present.open:
        return Change(None, 0)
    tombstone = KeptHead(
        head=None,
        expires=now + 2 * ttl_seconds,
        number=present.number,
        next=present.next,
        floor=present.next,
        ended=_ended(present, *(mark.id for mark in present.open)),
    )
    return Change(tombstone, 1)
