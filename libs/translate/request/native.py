"""Calls that an upstream's own chat endpoint answers: nothing of them is kept, and they continue nothing."""

from libs.schemas.plan import MarkPlan
from libs.schemas.wire.errors import ErrorBody
from libs.translate.errors import TranslationError


def to_mark(name: str | None, owner: str, *, only_new: bool, what: str) -> MarkPlan | None:
    """Return where such a call is marked as open: in the conversation that it names.

    `what` needs the chat endpoint. Raises TranslationError for messages that are only what is new: they would stand
    alone there.
    """
    if only_new:
        body = ErrorBody(
            message=f"{what} needs the upstream's own chat endpoint, which continues nothing. Send the whole history.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
        raise TranslationError(400, body)
    return None if name is None else MarkPlan(scope=owner, conversation=name, known=True)
