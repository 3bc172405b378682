"""Does an answer follow the response that its request goes on from? Some servers take the parameter and ignore it.

An answer says so where it names another response, or none, or says that it was not stored though that was asked
for; what it leaves out says nothing (docs/mapping.md#what-an-upstream-keeps).
"""

from msgspec import UNSET

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.errors import ErrorBody
from libs.schemas.wire.output import Response
from libs.translate.answer.finish import failed
from libs.translate.errors import AnswerUnusable

NOT_CHAINED = "upstream_not_chained"


class NotChained(AnswerUnusable):
    """The upstream ignored what the request goes on from: `response`, which was paid for, is no answer to it."""

    def __init__(self, response: Response, parent: str, *, delta: bool) -> None:
        super().__init__(*(_lost(parent) if delta else _failed()), response)


def check_chained(response: Response, plan: StreamPlan) -> None:
    """Raise NotChained where an answer, or its beginning, says that it does not follow the plan's parent."""
    if plan.parent is None or failed(response):  # a failure says more
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
