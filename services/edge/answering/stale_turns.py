"""What a request continues may be gone upstream: how that is recognised, and what of ours it makes stale."""

import re

from libs.schemas.bus.convert import Converted, Said
from libs.schemas.wire.errors import UpstreamErrorBody
from libs.translate.answer.chain_check import NotChained
from libs.translate.answer.upstream_errors import is_stale
from libs.translate.errors import InvalidRequest, TranslationError
from libs.translate.request.options import PARENT_QUERY
from services.edge.errors import UpstreamRefused
from services.edge.http.exchange import Exchange

_UNCHAINED = re.compile(r"unsupported parameter: .?previous_response_id", re.IGNORECASE)


class Stale(Exception):
    """The upstream cannot continue what the request does, and said `told` before any output."""

    def __init__(self, told: UpstreamErrorBody, *, ignored: bool = False) -> None:
        super().__init__(told.message)
        self.told = told
        self._ignored = ignored  # it answered, without what it was to go on from

    @property
    def unchained(self) -> bool:
        """Whether the upstream goes on from no `previous_response_id` at all, so that nothing of ours is stale."""
        return self._ignored or _UNCHAINED.search(self.told.message or "") is not None


def find_stale(converted: Converted, exchange: Exchange, error: TranslationError, *, has_output: bool) -> Stale | None:
    """Return how `error` is to be mended; None where it is the client's to hear.

    Without anything of ours in the request, such an error is about what the client itself sent. An answer that does
    not follow what it was to can be asked for again while nothing but comments went out, which `has_output` tells.
    """
    if isinstance(error, NotChained):
        mendable = converted.plan.replayed and (exchange.is_unsent or not has_output)
        return Stale(_told(error), ignored=True) if mendable else None
    told = error.told if isinstance(error, UpstreamRefused) else _told(error)
    mendable = converted.plan.replayed and exchange.is_unsent and is_stale(told)
    return Stale(told) if mendable else None


def stale_entries(converted: Converted, stale: Stale) -> list[str]:
    """Return the entries that the upstream's words are about: those whose items they name, or all of them.

    A chained request has its parent's entry alone, which need not be named.
    """
    if stale.unchained:
        return []
    replayed = converted.plan.replayed
    named = [turn.entry for turn in replayed if any(_names(stale.told.message or "", id_) for id_ in turn.ids)]
    return named or [turn.entry for turn in replayed]


def missing_parent(converted: Converted, said: Said, name_param: str) -> InvalidRequest:
    """Return the refusal of a request that sends only what is new: it is never sent without its parent.

    `name_param` is the header or query parameter that names the conversation, empty where none does.
    """
    if name_param:
        message = f"The conversation '{said.conversation}' can no longer be continued. Send its whole history."
        return InvalidRequest(message, name_param, "previous_response_not_found")
    parent = said.previous_response_id or converted.previous_response_id
    message = f"Previous response with id '{parent}' not found."
    return InvalidRequest(message, PARENT_QUERY, "previous_response_not_found")


def _told(error: TranslationError) -> UpstreamErrorBody:
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
