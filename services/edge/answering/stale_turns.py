"""Recognises that the upstream no longer has what a request continues, and finds the kept turns that are stale then."""

import re

from libs.schemas.bus.convert import ClientOptions, Converted
from libs.schemas.wire.errors import UpstreamErrorBody
from libs.translate.answer.chain_check import NotChained
from libs.translate.answer.upstream_errors import is_stale
from libs.translate.errors import InvalidRequest, TranslationError
from libs.translate.request.options import PARENT_QUERY
from services.edge.errors import UpstreamRefused
from services.edge.http.exchange import Exchange

_UNCHAINED = re.compile(r"unsupported parameter: .?previous_response_id", re.IGNORECASE)


class Stale(Exception):
    """The upstream cannot continue what the request does, and said `upstream_error` before any output."""

    def __init__(self, upstream_error: UpstreamErrorBody, *, ignored: bool = False) -> None:
        super().__init__(upstream_error.message)
        self.upstream_error = upstream_error
        self._ignored = ignored  # it answered, but ignored the parent

    @property
    def unchained(self) -> bool:
        """Whether the upstream never honours `previous_response_id`, so that no kept turn is stale."""
        return self._ignored or _UNCHAINED.search(self.upstream_error.message or "") is not None


def find_stale(converted: Converted, exchange: Exchange, error: TranslationError, *, has_output: bool) -> Stale | None:
    """Return the retry that `error` calls for; None where the client gets the error.

    Where Parley added no continuation, such an error is about what the client sent. An answer that ignored its parent
    can be requested again until output was sent (`has_output`); comments are no output.
    """
    if isinstance(error, NotChained):
        mendable = converted.plan.continued and (exchange.is_unsent or not has_output)
        return Stale(_upstream_error(error), ignored=True) if mendable else None
    upstream_error = error.upstream_error if isinstance(error, UpstreamRefused) else _upstream_error(error)
    mendable = converted.plan.continued and exchange.is_unsent and is_stale(upstream_error)
    return Stale(upstream_error) if mendable else None


def stale_turn_keys(converted: Converted, stale: Stale) -> list[str]:
    """Return the keys of the turns whose items the upstream's error names, or of all continued turns.

    A chained request has its parent's alone, which need not be named.
    """
    if stale.unchained:
        return []
    replayed = converted.plan.continued
    named = [
        turn.turn_key for turn in replayed if any(_names(stale.upstream_error.message or "", id_) for id_ in turn.ids)
    ]
    return named or [turn.turn_key for turn in replayed]


def missing_parent(converted: Converted, client_options: ClientOptions, name_param: str) -> InvalidRequest:
    """Return the refusal of a partial history: it is never sent without its parent.

    `name_param` is the header or query parameter that names the conversation, empty where none does.
    """
    if name_param:
        message = (
            f"The conversation '{client_options.conversation}' can no longer be continued. Send its whole history."
        )
        return InvalidRequest(message, name_param, "previous_response_not_found")
    parent = client_options.previous_response_id or converted.previous_response_id
    message = f"Previous response with id '{parent}' not found."
    return InvalidRequest(message, PARENT_QUERY, "previous_response_not_found")


def _upstream_error(error: TranslationError) -> UpstreamErrorBody:
    return UpstreamErrorBody(message=error.error.message, code=error.error.code)


def _names(message: str, id_: str) -> bool:
    """Whether an id stands in a message, and is not a part of a longer one."""
    at = message.find(id_) if id_ else -1
    while at >= 0:
        ends = at + len(id_)
        if not (_in_id(message[at - 1 : at]) or _in_id(message[ends : ends + 1])):
            return True
        at = message.find(id_, ends)
    return False


def _in_id(character: str) -> bool:
    return character.isalnum() or character in ("_", "-")
