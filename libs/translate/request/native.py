"""Calls that an upstream's own chat endpoint answers: nothing of them is kept, and they continue nothing."""

from libs.schemas.plan import MarkPlan
from libs.schemas.wire.errors import ErrorBody
from libs.translate.errors import InvalidRequest, TranslationError


def to_mark(name: str | None, owner: str, *, only_new: bool, typed: bool, what: str) -> MarkPlan | None:
    """Return where such a call is marked as open: in the conversation that it names.

    `what` needs the chat endpoint. Raises TranslationError for a partial history, which would stand alone there, and
    for a client that wants typed events, which the chat endpoint does not have.
    """
    if typed:
        message = f"{what} needs the upstream's own chat endpoint, which has no format but 'chat'."
        raise InvalidRequest(message, "x-parley-format", "unsupported_value")
    if only_new:
        body = ErrorBody(
            message=f"{what} needs the upstream's own chat endpoint, which continues nothing. Send the whole history.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
        raise TranslationError(400, body)
    return None if name is None else MarkPlan(scope=owner, conversation=name, known=True)
