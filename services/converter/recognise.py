"""The digests by which earlier answers of a request's history are known again: the third step."""

import msgspec
from msgspec import UNSET

from libs.schemas.bus.state import ResolveRequest, Wanted
from libs.schemas.subjects import MAX_MESSAGE_BYTES
from libs.translate.continuity import deciding, fingerprint
from libs.translate.continuity.deciding import ContinuableRequest
from libs.translate.request import tools
from libs.translate.request.translating import Translated
from services.converter.options import Options

MAX_ANSWERS = 256  # of a history that are looked up, newest first
CONVERSION_BYTES = 512 * 1024  # what a conversion may be longer than its body, items left out


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A request, translated and fingerprinted; `media` are the digests of what stayed on the edge, by placeholder."""

    options: Options
    made: Translated
    asked: ContinuableRequest
    media: dict[str, str]

    def history(self, start: str) -> fingerprint.History:
        """Return the digests of the messages as what follows `start`."""
        options = self.options
        return fingerprint.history(options.chat.messages, self.made.input.hoisted, options.scope, self.media, start)


def recognise(options: Options, made: Translated, now: int) -> Prepared:
    """Return the request with the digests of its history and its context; `now` in Unix seconds."""
    chat, named, owner, body = options.chat, options.named, options.scope, made.body
    media = {lifted.placeholder: lifted.sha256 for lifted in options.request.lifted}
    start = owner if named.parent is None else fingerprint.after(owner, named.parent)
    asked = ContinuableRequest(
        messages=chat.messages,
        made=made.input,
        history=fingerprint.history(chat.messages, made.input.hoisted, owner, media, start),
        context=fingerprint.context(
            "" if body.instructions is UNSET else body.instructions,
            tools.names([] if body.tools is UNSET else body.tools),
            (named.name or "") if named.by_client else "",
        ),
        model=options.way.model,
        wish=options.wish,
        no_chain=_no_chain(options, made),
        now=now,
    )
    return Prepared(options=options, made=made, asked=asked, media=media)


def question(prepared: Prepared, replay_bytes: int) -> ResolveRequest:
    """Return what the state service is asked: which answers of this history it knows, and their items."""
    asked = prepared.asked
    newest_first = asked.history.turns[: -MAX_ANSWERS - 1 : -1]
    return ResolveRequest(
        scope=prepared.options.scope,
        turns=[
            Wanted(turn_key=fingerprint.turn_key(answer.prefix, asked.context), loose=answer.loose)
            for answer in newest_first
        ],
        items_bytes=_room(replay_bytes, prepared.options.request.body),
        chains=_may_chain(asked),
    )


def _no_chain(options: Options, made: Translated) -> str | None:
    """Return why the request cannot be chained, where that is known already."""
    if options.client_options.unchained:
        return deciding.UNCHAINED
    if made.plan.choices > 1:
        return deciding.CHOICES
    return None if made.body.store else deciding.STORE_FALSE


def _room(replay_bytes: int, body: bytes) -> int:
    """Return how many bytes of items the conversion of `body` can take in and still be one message of the bus."""
    return max(0, min(replay_bytes, MAX_MESSAGE_BYTES - len(body) - CONVERSION_BYTES))


def _may_chain(asked: ContinuableRequest) -> bool:
    """Whether the request will chain, and needs no items, if its newest answer is known."""
    ends_with_turn = asked.history.turns[-1].index == len(asked.messages) - 1
    return asked.wish == "chain" and asked.no_chain is None and not ends_with_turn
