"""What of an answer is kept, so that a later request can continue it (docs/continuity.md#what-is-kept)."""

from collections.abc import Sequence

from msgspec import Raw

from libs.schemas.bus.state import CommitRequest, KeptToolCall, Turn
from libs.schemas.plan import StreamPlan
from libs.schemas.wire.completion import AssistantMessage
from libs.schemas.wire.output import Response
from libs.translate.answer.completion import sum_of
from libs.translate.answer.deltas import ItemTranslator
from libs.translate.continuity import fingerprint, replay
from libs.translate.continuity.arguments import outline


def to_commit(
    plan: StreamPlan,
    output: Sequence[Raw],
    response_id: str,
    *,
    complete: bool,
    now: int,
    link_seconds: int,
    items_seconds: int,
    sent: AssistantMessage | None = None,
    store: bool | None = None,
) -> CommitRequest | None:
    """Return the commit of an answer; None where no later request could use it.

    That is so for an answer that neither chains, nor made calls, nor would be replayed with more than
    the client echoes, and for one that a stop sequence cut: the client has another text. An answer
    that is not `complete` is never a parent. `now` in Unix seconds. `sent` is what a client got of a stream: where
    the finished answer is another, its items are of no use. `store` is what the upstream says of the answer.
    """
    to = plan.commit
    if to is None or not output:
        return None
    translator = ItemTranslator(plan)
    finished = sum_of([*translator.finish(output), *translator.closing()])
    message = finished if sent is None else sent
    known = fingerprint.given_turn(to.scope, to.asked, to.context, message)
    tool_calls = _calls(message)
    stored = to.stored and store is not False
    replays = replay.is_worth_it(output) and replay.is_possible(output)
    if replays and sent is not None:
        replays = known == fingerprint.given_turn(to.scope, to.asked, to.context, finished)
    items = [bytes(raw) for raw in output] if replays else []
    if translator.cut or not (items or tool_calls or stored):
        return None
    turn = Turn(
        key=known.turn_key,
        response_id=response_id,
        upstream=to.upstream,
        model=to.model,
        prefix=known.prefix,
        end=known.end,
        asked=to.asked,
        start=to.start,
        conversation=to.conversation,
        chainable=to.chainable and complete and stored is to.stored,
        stored=stored,
        tool_calls=tool_calls,
        created=now,
        expires=now + (link_seconds if stored else items_seconds),
    )
    return CommitRequest(scope=to.scope, loose=known.loose, turn=turn, items=items)


def withheld(response: Response) -> list[str]:
    """Return the ids of the input items that the upstream would not use (docs/mapping.md#what-an-upstream-keeps)."""
    return [change.id for change in response.input_transformations or () if change.id and change.action == "removed"]


def _calls(message: AssistantMessage) -> list[KeptToolCall]:
    return [
        KeptToolCall(id=id_, name=name, outline=outline(arguments))
        for id_, name, arguments in fingerprint.tool_calls_of(message)
    ]
