"""What a client may ask of Parley itself: where it may say so, and which word counts where it says two things.

What it says in headers and the query is read on the edge. What it says in the body is added where the body is read.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from libs.schemas.bus.convert import ClientOptions
from libs.schemas.wire.chat import ParleyOptions

FORMAT_HEADER = "x-parley-format"
HISTORY_HEADER = "x-parley-history"
RETAIN_HEADER = "x-parley-retain"
CONTINUITY_HEADER = "x-parley-continuity"
AFTER_HEADER = "x-parley-after"
CONVERSATION_QUERY = "conversation_id"
PARENT_QUERY = "previous_response_id"
MAX_HINT_CHARACTERS = 256


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to ask for: the field of `ClientOptions` that holds it, and each place where a client may give it.

    `setting` is the field of the section `conversation` that lists its headers, where they can be chosen. `words` gives
    the meaning of each word that is allowed; without them it is a name, or an id, or, where it `decides` nothing, a
    text that is cut at `MAX_HINT_CHARACTERS`. `body` is a key of the body's `parley`, and `settle` gives what counts of
    (the value outside of the body, the value in it).
    """

    field: str
    header: str = ""
    setting: str = ""
    query: str = ""
    body: str = ""
    decides: bool = True
    words: Mapping[str, Any] = {}
    settle: Callable[[Any, Any], Any] | None = None


OPTIONS = (
    Option(
        field="format",
        header=FORMAT_HEADER,
        body="format",
        words={"chat": "chat", "responses": "responses"},
        settle=lambda _, body: body,
    ),
    Option(
        field="delta",
        header=HISTORY_HEADER,
        body="history",
        words={"whole": False, "delta": True},
        settle=lambda outside, body: outside or body,
    ),
    Option(
        field="retain",
        header=RETAIN_HEADER,
        body="retain",
        words={"all": True, "none": False},
        settle=lambda outside, body: outside and body,
    ),
    Option(
        field="continuity",
        header=CONTINUITY_HEADER,
        words={"auto": None, "replay": "replay", "chain": "chain", "off": "off"},  # `auto` is what is configured
    ),
    Option(field="after", header=AFTER_HEADER),
    Option(field="hint", setting="hint_headers", decides=False),
    # In the body names stand in fields of their own: `named_conversation.py` compares them with these.
    Option(field="conversation", setting="name_headers", query=CONVERSATION_QUERY),
    Option(field="previous_response_id", query=PARENT_QUERY),
)


def merged(client_options: ClientOptions, body: ParleyOptions | None) -> ClientOptions:
    """Return all that a request asks for, in headers, query and body."""
    if body is None:  # nearly always
        return client_options
    settled = {
        option.field: option.settle(getattr(client_options, option.field), option.words[word])
        for option in OPTIONS
        if option.settle is not None and (word := getattr(body, option.body)) is not None
    }
    return msgspec.structs.replace(client_options, **settled) if settled else client_options
