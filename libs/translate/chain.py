"""May a request continue an earlier answer? Each refusal has one reason code (design, "Conditions").

A chained request sends what is new and the id of the answer it follows; the rest is upstream.
"""

from collections.abc import Sequence

import msgspec

from libs.schemas.bus import Turn
from libs.schemas.chat import Message
from libs.schemas.responses import ResponsesRequest
from libs.translate.messages import Input

# Why a request goes plain; documented in the reference, counted and told under these names.
OFF = "off"  # the upstream's configuration says so
CLIENT_PARENT = "client_parent"  # the request names its own parent, and its messages are what is new
CHOICES = "choices"  # several answers are asked for, of which none may be a parent
UNNAMED = "unnamed"  # no conversation was named, and this upstream does not chain by itself
FIRST_TURN = "first_turn"  # the history holds no answer yet
STORE_FALSE = "store_false"  # the client forbids the upstream to keep anything
NO_MATCH = "no_match"  # no answer of this history is known: edited, expired, or never seen
STATE_UNAVAILABLE = "state_unavailable"  # the state service did not answer
EXPIRED = "expired"  # known, but the upstream may have dropped it
MODEL_CHANGED = "model_changed"  # the answer came from another model
NOTHING_NEW = "nothing_new"  # no message follows the known answer
UNANSWERED_CALLS = "unanswered_calls"  # a call of the known answer has no result among what is new
PLAIN_RETRY = "plain_retry"  # the upstream did not know the answer any more; asked again in full
MATCHED = "matched"

REASONS = (
    OFF,
    CLIENT_PARENT,
    CHOICES,
    UNNAMED,
    FIRST_TURN,
    STORE_FALSE,
    NO_MATCH,
    STATE_UNAVAILABLE,
    EXPIRED,
    MODEL_CHANGED,
    NOTHING_NEW,
    UNANSWERED_CALLS,
    PLAIN_RETRY,
    MATCHED,
)


def refusal(turn: Turn, answer_index: int, messages: Sequence[Message], *, model: str, now: int) -> str | None:
    """Return why `messages` may not continue `turn`, whose answer is `messages[answer_index]`; None if they may.

    `now` in Unix seconds (translation reference F.3).
    """
    new = messages[answer_index + 1 :]
    if turn.expires <= now:
        return EXPIRED
    if turn.model != model:
        return MODEL_CHANGED
    if not new:
        return NOTHING_NEW
    answered = {answer for message in new for answer in _answers(message)}
    return None if answered.issuperset(turn.call_ids) else UNANSWERED_CALLS


def chained(body: ResponsesRequest, made: Input, turn: Turn, answer_index: int) -> tuple[ResponsesRequest, list[int]]:
    """Return the request that sends only what follows the answer, and its item sources.

    `instructions` stay: they are not carried over (translation reference E).
    """
    first = next((k for k, source in enumerate(made.sources) if source > answer_index), len(made.items))
    request = msgspec.structs.replace(body, input=made.items[first:], previous_response_id=turn.response_id)
    return request, made.sources[first:]


def _answers(message: Message) -> tuple[str | None, ...]:
    """The calls that a message gives the result of, by role or by type."""
    if message.role == "tool":
        return (message.tool_call_id,)
    return () if message.role else (message.call_id, message.approval_request_id)
