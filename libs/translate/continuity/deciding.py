"""How a request continues from the kept turns of its history. Each decision has one reason code.

*Chain* sends the new messages and names the parent; *replay* sends the whole history, with original items in
the place of their echoes (docs/continuity.md#when-a-request-is-chained).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from libs.schemas.bus.state import Found, HeadTurns, OpenRequest, Turn
from libs.schemas.plan import ContinuedTurn, Continuity
from libs.schemas.wire.chat import Message
from libs.schemas.wire.responses import InputItem
from libs.schemas.wire.tool_types import RESULT_FIELDS, RESULTS_IN_CHAT
from libs.translate.continuity import fingerprint, replay
from libs.translate.continuity.arguments import agrees
from libs.translate.continuity.fingerprint import EchoedTurn, History
from libs.translate.continuity.replay import Original
from libs.translate.errors import InvalidRequest
from libs.translate.request.messages import Input

# The reason of each decision; documented in the reference, counted, recorded, and sent to the client.
MATCHED = "matched"  # as asked for: chained to its newest turn, or replayed
CLIENT_PARENT = "client_parent"  # the request names its own parent, and its messages are what is new
HEAD = "head"  # only what is new, chained to the newest answer of its conversation
REGENERATED = "regenerated"  # the same as before on the same parent: another answer in the place of the newest
OFF = "off"  # the configuration or the client says so
FIRST_TURN = "first_turn"  # the history holds no answer yet
NO_MATCH = "no_match"  # no answer of this history is known: edited, expired, or never seen
NOTHING_KEPT = "nothing_kept"  # answers are known, but nothing of them that could be sent again
STATE_UNAVAILABLE = "state_unavailable"  # the state service did not answer
PLAIN_RETRY = "plain_retry"  # the upstream did not take what was continued; asked again in full
# Why a request that asks for chaining is not chained; it may still be replayed.
CHOICES = "choices"  # several answers are asked for
STORE_FALSE = "store_false"  # the client forbids the upstream to keep anything
HISTORY_CHANGED = "history_changed"  # the newest answer is known from another history, or not at all
CONTEXT_CHANGED = "context_changed"  # instructions or tools are not those of the newest answer
ARGUMENTS_CHANGED = "arguments_changed"  # the arguments of a call were edited
NOT_A_PARENT = "not_a_parent"  # the newest answer was cut, or is not stored
EXPIRED = "expired"  # the upstream may have dropped it
REPLAY_ONLY = "replay_only"  # the request has new messages alone, and the client or the configuration asks for replay
UNCHAINED = "unchained"  # the upstream has lately ignored a parent
MODEL_CHANGED = "model_changed"  # the answer came from another model
NOTHING_NEW = "nothing_new"  # no message follows the newest answer
UNANSWERED_CALLS = "unanswered_calls"  # a call of the newest answer has no result among what is new
# Why what is new cannot follow the newest answer that is kept: it may not be the newest that was given.
BUSY = "busy"  # a call of the conversation is under way, or its answer is not kept yet
OPEN_CALL = "open_call"  # a call of the conversation ended without an answer that could be followed
NOT_HEAD = "not_head"  # the client saw another answer last

REASONS = (
    MATCHED,
    CLIENT_PARENT,
    HEAD,
    REGENERATED,
    OFF,
    FIRST_TURN,
    NO_MATCH,
    NOTHING_KEPT,
    STATE_UNAVAILABLE,
    PLAIN_RETRY,
    CHOICES,
    STORE_FALSE,
    UNCHAINED,
    REPLAY_ONLY,
    HISTORY_CHANGED,
    CONTEXT_CHANGED,
    ARGUMENTS_CHANGED,
    NOT_A_PARENT,
    EXPIRED,
    MODEL_CHANGED,
    NOTHING_NEW,
    UNANSWERED_CALLS,
    BUSY,
    OPEN_CALL,
    NOT_HEAD,
)

Wish = Literal["replay", "chain"]


class ContinuableRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A translated request and what is wanted of it; `no_chain` is a reason against chaining that is known already."""

    messages: Sequence[Message]
    made: Input
    history: History
    context: str
    model: str
    wish: Wish
    no_chain: str | None = None
    now: int  # Unix seconds


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: `input`, after `parent` if there is one; and the kept turns that this depends on."""

    continuity: Continuity
    input: Input
    parent: Turn | None = None
    continued: list[ContinuedTurn] = []


def plain(asked: ContinuableRequest, reason: str) -> Decision:
    """Return the request as it is."""
    return Decision(continuity=Continuity(reason=reason, new_items=len(asked.made.items)), input=asked.made)


def decide(asked: ContinuableRequest, found: Sequence[Found]) -> Decision:
    """Return how to go on from what was found; `found[k].index` counts the answers from the newest one."""
    newest_first = asked.history.turns[::-1]
    known = {newest_first[each.index].index: (newest_first[each.index], each) for each in found}
    if not known:
        return plain(asked, NO_MATCH)
    reason = MATCHED
    if asked.wish == "chain":
        newest = newest_first[0]
        refusal = asked.no_chain or _refusal(asked, newest, known.get(newest.index, (newest, None))[1])
        if refusal is None:
            return _chained(asked, known[newest.index][1].turn, newest.index)
        reason = refusal
    return _replayed(asked, known, reason)


class Newest(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a conversation: its turns and its open requests.

    `then` is the request's history after the newest turn, `again` the one after the turn before it. `after` is the
    response that the client saw last, as it claims.
    """

    head: HeadTurns
    then: History
    again: History
    open: Sequence[OpenRequest] = ()
    after: str | None = None


def on_head(asked: ContinuableRequest, newest: Newest, scope: str) -> Decision | str:
    """Return how a request with a partial history continues the newest turn of its conversation.

    The same messages on the same parent, in an answer or in a call under way, are a regeneration. A string is the
    reason why there is no parent; BUSY may end. Raises InvalidRequest for the result of a call that was never made.
    """
    head = newest.head
    found = _followed(newest)
    if isinstance(found, str):
        return found
    regenerates, reason = found
    if regenerates and head.turn.start == scope:  # it was the first turn, and the messages are the whole history
        return plain(asked, reason)
    parent = head.before if regenerates else head.turn
    refusal = _not_chainable(asked, parent)
    if parent is None or refusal is not None:
        return refusal or NOT_A_PARENT
    _check_results(asked.messages, parent)
    if not _answers_all(asked.messages, parent):
        return UNANSWERED_CALLS
    return _after(asked, asked.made, parent, reason, 1)


def without_head(open_: Sequence[OpenRequest]) -> str:
    """Return why a conversation without a kept turn cannot be continued."""
    return _in_the_way(open_) or NO_MATCH


def _followed(newest: Newest) -> tuple[bool, str] | str:
    """Return (whether the turn before the newest is followed, the reason), or why neither can be."""
    head, after = newest.head, newest.after
    of_head = any((request.start, request.asked) == (head.turn.end, newest.then.digest) for request in newest.open)
    of_before = any((request.start, request.asked) == (head.turn.start, newest.again.digest) for request in newest.open)
    again = of_before or newest.again.digest == head.turn.asked
    if after == head.turn.response_id:
        return False, REGENERATED if of_head else HEAD
    if after is not None:
        if again and head.before is not None and after == head.before.response_id:
            return True, REGENERATED
        return BUSY if _in_the_way(newest.open) == BUSY else NOT_HEAD
    if of_head or of_before:
        return of_before and not of_head, REGENERATED
    return _in_the_way(newest.open) or (again, REGENERATED if again else HEAD)


def _in_the_way(open_: Sequence[OpenRequest]) -> str | None:
    """The newest of the open calls decides: an answer to it is newer than all that is kept."""
    if not open_:
        return None
    return BUSY if max(open_, key=lambda call: call.number).live else OPEN_CALL


def _check_results(messages: Sequence[Message], parent: Turn) -> None:
    """Raise InvalidRequest for the result of a call that neither the parent nor these messages made."""
    made = {call.id for call in parent.tool_calls}
    for index, message in enumerate(messages):
        made.update(id_ for id_, _, _ in fingerprint.tool_calls_of(message))
        path, name = _result_of(message)
        if path is not None and name not in made:
            text = f"No tool call found for the result of '{name}': the newest answer did not make it."
            raise InvalidRequest(text, f"messages[{index}].{path}")


def _result_of(message: Message) -> tuple[str | None, str | None]:
    """Where a message says which call it gives the result of, and what it says there; (None, None) for any other.

    The calls of the other typed results are in no chat answer, and the upstream knows them.
    """
    if message.role == "tool":
        return "tool_call_id", message.tool_call_id
    if message.role or message.type not in RESULTS_IN_CHAT:
        return None, None
    path = RESULT_FIELDS[message.type][0]
    return path, getattr(message, path)


# -- chain ------------------------------------------------------------------------------------------


def _refusal(asked: ContinuableRequest, answer: EchoedTurn, found: Found | None) -> str | None:
    """Return why the request may not chain on its newest answer; None if it may."""
    if found is None or found.turn.prefix != answer.prefix:
        return HISTORY_CHANGED
    if not found.exact:
        return CONTEXT_CHANGED
    refusal = _not_chainable(asked, found.turn)
    if refusal is not None:
        return refusal
    if not _same_arguments(asked.messages[answer.index], found.turn):
        return ARGUMENTS_CHANGED
    new = asked.messages[answer.index + 1 :]
    if not new:
        return NOTHING_NEW
    return None if _answers_all(new, found.turn) else UNANSWERED_CALLS


def _not_chainable(asked: ContinuableRequest, turn: Turn | None) -> str | None:
    if turn is None or not (turn.chainable and turn.stored):
        return NOT_A_PARENT
    if turn.expires <= asked.now:
        return EXPIRED
    return None if turn.model == asked.model else MODEL_CHANGED


def _chained(asked: ContinuableRequest, turn: Turn, turn_index: int) -> Decision:
    """Send only what follows the answer; `instructions` are not carried over, and stay."""
    made = asked.made
    first = next((k for k, source in enumerate(made.message_indexes) if source > turn_index), len(made.items))
    new = msgspec.structs.replace(made, items=made.items[first:], message_indexes=made.message_indexes[first:])
    matched = sum(answer.index <= turn_index for answer in asked.history.turns)
    return _after(asked, new, turn, MATCHED, matched)


def _after(asked: ContinuableRequest, new: Input, turn: Turn, reason: str, matched: int) -> Decision:
    return Decision(
        continuity=Continuity(mode="chain", reason=reason, matched=matched, new_items=len(new.items)),
        input=new,
        parent=turn,
        continued=[ContinuedTurn(turn_key=turn.key, ids=[turn.response_id])],
    )


def _answers_all(new: Sequence[Message], turn: Turn) -> bool:
    answered = {answer for message in new for answer in _answers(message)}
    return all(call.id in answered for call in turn.tool_calls)


def _answers(message: Message) -> tuple[str | None, ...]:
    """The calls that a message gives the result of, by role or by type."""
    if message.role == "function":
        return ("",)  # the legacy form has one call at a time, without an id
    if message.role == "tool":
        return (message.tool_call_id,)
    return () if message.role else (message.call_id, message.approval_request_id)


def _same_arguments(message: Message, turn: Turn) -> bool:
    echoed = fingerprint.tool_calls_of(message)
    return len(echoed) == len(turn.tool_calls) and all(
        id_ == kept.id and name == kept.name and agrees(arguments, kept.outline)
        for (id_, name, arguments), kept in zip(echoed, turn.tool_calls, strict=True)
    )


# -- replay -----------------------------------------------------------------------------------------


def _replayed(asked: ContinuableRequest, known: Mapping[int, tuple[EchoedTurn, Found]], reason: str) -> Decision:
    """Put original items in the place of each turn whose items are kept and agree with the echo."""
    spans = replay.spans(asked.made)
    turns: dict[int, list[Original]] = {}
    refusals: list[str] = []
    used = set[str]()  # some upstreams give the items of all answers the same ids
    for index, (_, found) in known.items():
        items = replay.read(found.items or ())
        refusal = _no_replay(asked, index, found.turn, items, spans.get(index, []))
        ids = replay.ids(items)
        if refusal is None and used.isdisjoint(ids):
            turns[index] = items
            used.update(ids)
        elif refusal is not None:
            refusals.append(refusal)
    if not turns:
        return plain(asked, reason if reason != MATCHED else next(iter(refusals), NOTHING_KEPT))
    made = replay.replayed(asked.made, turns)
    return Decision(
        continuity=Continuity(mode="replay", reason=reason, matched=len(turns), new_items=len(made.items)),
        input=made,
        continued=[
            ContinuedTurn(turn_key=known[index][1].turn.key, ids=replay.ids(items)) for index, items in turns.items()
        ],
    )


def _no_replay(
    asked: ContinuableRequest, index: int, turn: Turn, items: Sequence[Original], plain_items: Sequence[InputItem]
) -> str | None:
    if not items:
        return NOTHING_KEPT
    if turn.model != asked.model:
        return MODEL_CHANGED  # its reasoning is sealed for the other model
    message = asked.messages[index]
    if not (_echoes(message, items) or _same_arguments(message, turn)) or not replay.fits(plain_items, items):
        return ARGUMENTS_CHANGED
    return None


def _echoes(message: Message, items: Sequence[Original]) -> bool:
    """Whether the calls came back byte for byte, as most clients send them."""
    given = [(item.call_id, item.arguments) for item in items if item.is_call]
    return given == [(id_, arguments) for id_, _, arguments in fingerprint.tool_calls_of(message)]
