"""The reply to the edge, with the plan for the answer: the last step."""

from hashlib import blake2b

import msgspec

from libs.runtime.call import BusContext
from libs.schemas.bus.convert import Converted, Native, Refused
from libs.schemas.plan import CommitPlan, MarkPlan, StreamPlan
from libs.schemas.records import cut
from libs.translate.request import named_conversation, translating
from libs.translate.request.native import to_mark
from services.converter.decide import Decided, Discontinued
from services.converter.options import Options
from services.converter.recognise import Prepared


def converted(prepared: Prepared, decided: Decided, context: BusContext) -> Converted:
    """Return the request that goes up, and the plan for its answer."""
    options, translated, decision = prepared.options, prepared.made, decided.decision
    parent = decision.parent
    body = msgspec.structs.replace(translated.body, input=decision.input.items)
    if parent is not None:
        body = msgspec.structs.replace(body, previous_response_id=parent.response_id)
    conversation = decided.conversation or options.named.shown or options.request.token or _token(context)
    return Converted(
        upstream=options.way.upstream.name,
        model=options.way.model,
        model_requested=cut(options.chat.model),
        body=translating.encode(body, translated.forwarded),
        plan=_plan(prepared, decided, conversation),
        continuity=decision.continuity,
        conversation=conversation,
        whole_history=not options.named.only_new,
        previous_response_id=parent.response_id if parent else options.chat.previous_response_id,
        dropped=translated.dropped,
        stored=translated.body.store,
    )


def native(options: Options, reason: str) -> Native:
    """Return what becomes of a call that the upstream must answer itself: nothing of it is kept, or continued.

    Raises TranslationError for a partial history, and for one whose client wants typed events.
    """
    named = options.named
    typed = options.client_options.format == "responses"
    mark = to_mark(named.name, options.scope, only_new=named.only_new, typed=typed, what=f"'{reason}'")
    return Native(upstream=options.way.upstream.name, model=options.way.model, reason=reason, mark=mark)


def refused(options: Options, refusal: Discontinued) -> Refused:
    """Return the refusal of a request that holds only what is new."""
    return Refused(
        status=refusal.status,
        error=refusal.error,
        continuity=refusal.continuity,
        upstream=options.way.upstream.name,
        model=options.way.model,
        conversation=options.named.name or "",
    )


def _token(context: BusContext) -> str:
    """Return the token of a conversation that has no name; the same for each try of a request."""
    return named_conversation.ISSUED + blake2b(context.request_id.encode(), digest_size=16).hexdigest()


def _plan(prepared: Prepared, decided: Decided, conversation: str) -> StreamPlan:
    options, translated, decision = prepared.options, prepared.made, decided.decision
    kept = _commit(prepared, decided, conversation) if options.keeps else None
    return msgspec.structs.replace(
        translated.plan,
        message_indexes=decision.input.message_indexes,
        continued=decision.continued,
        commit=kept,
        delta=options.named.delta,
        parent=options.chat.previous_response_id if decision.parent is None else decision.parent.response_id,
        only_new=options.named.only_new,
        mark=_mark(options, kept, followed=decided.followed),
    )


def _commit(prepared: Prepared, decided: Decided, conversation: str) -> CommitPlan:
    options, translated, parent = prepared.options, prepared.made, decided.decision.parent
    history = prepared.asked.history
    if options.named.delta and parent is not None:
        history = prepared.history(parent.end)
    return CommitPlan(
        scope=options.scope,
        asked=history.digest,
        start=history.start,
        context=prepared.asked.context,
        conversation=conversation,
        upstream=options.way.upstream.name,
        model=options.way.model,
        # The messages before the client's own parent are unknown here, so no later history could match.
        chainable=translated.plan.choices == 1 and options.named.parent is None,
        stored=translated.body.store,
    )


def _mark(options: Options, kept: CommitPlan | None, *, followed: bool) -> MarkPlan | None:
    """Return where the call is marked as open: wherever a request could come that holds only what is new.

    It could follow an answer that is stored, or ask for one in a conversation that has a name. A call of which
    nothing is kept leaves no digest, and its mark stands only where there is something to be followed.
    """
    name = options.named.name
    if options.named.parent is not None:
        return None
    if kept is None:
        return None if name is None else MarkPlan(scope=options.scope, conversation=name, known=True)
    if not (kept.stored or followed or name is not None):
        return None
    return MarkPlan(scope=kept.scope, conversation=kept.conversation, asked=kept.asked, start=kept.start)
