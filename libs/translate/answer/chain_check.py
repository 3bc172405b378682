"""Does an answer follow the response that its request goes on from? Some servers take the parameter and ignore it.

A response shows this by another parent, by a null one, or by `store: false` where true was sent; an absent field
shows nothing (docs/mapping.md#what-an-upstream-keeps).
"""

from msgspec import UNSET

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.errors import ErrorBody
from libs.schemas.wire.output import Response
from libs.translate.answer.finish import failed
from libs.translate.errors import AnswerUnusable

NOT_CHAINED = "upstream_not_chained"


class NotChained(AnswerUnusable):
    """The upstream ignored the parent of the request; `response`, which was paid for, answers another request."""

    def __init__(self, response: Response, parent: str, *, delta: bool) -> None:
        super().__init__(*(_lost(parent) if delta else _failed()), response)


def check_chained(response: Response, plan: StreamPlan) -> None:
    """Raise NotChained where a response, finished or just begun, names another parent than the plan."""
    if plan.parent is None or failed(response):  # a failure is reported as such
        return
    named = response.previous_response_id
    stores = plan.commit is not None and plan.commit.stored
    if (named is not UNSET and named != plan.parent) or (stores and response.store is False):
        raise NotChained(response, plan.parent, delta=plan.only_new)


def _lost(parent: str) -> tuple[int, ErrorBody]:
    """What is only new may not be answered alone."""
    message = f"The upstream did not go on from the response '{parent}': it keeps none. Send the whole history."
    return 400, ErrorBody(message=message, param="previous_response_id", code="previous_response_not_found")


def _failed() -> tuple[int, ErrorBody]:
    message = "The upstream ignored the answer that your request goes on from. Send the request again."
    return 502, ErrorBody(message=message, type="server_error", code=NOT_CHAINED)
