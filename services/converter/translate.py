"""The request to the Responses API that a chat request becomes, whole and not yet continued: the second step."""

import msgspec

from libs.translate.request import translating
from libs.translate.request.translating import Parsed, Translated
from services.converter.options import Options


def translate(parsed: Parsed, options: Options) -> Translated:
    """Return the upstream request. Raises InvalidRequest, NeedsNative."""
    named = options.named
    return translating.translate(
        msgspec.structs.replace(parsed, chat=options.chat),
        model=options.way.model,
        profile=options.way.upstream,
        format_=options.client_options.format,
        store=_stores(options),
        continues=named.only_new,
        replays=options.keeps,
        heads={lifted.placeholder: lifted.start for lifted in options.request.lifted},
    )


def _stores(options: Options) -> bool:
    """Whether the upstream is to store the answer: what is to be continued there, by a name or by an id alike."""
    continues_there = options.wish == "chain" or options.named.parent is not None
    return options.keeps and not options.client_options.unchained and continues_there
