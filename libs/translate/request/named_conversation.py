"""What conversation a request belongs to, and whether its messages are all of it.

See docs/continuity.md#named-conversations.
"""

import re
from typing import Any

import msgspec
from msgspec import Raw

from libs.schemas.bus.convert import ClientOptions
from libs.schemas.wire.chat import NO_RAW, ChatRequest
from libs.translate.errors import InvalidRequest
from libs.translate.ids import response_id
from libs.translate.request.body import is_given

MAX_NAME_CHARACTERS = 512
ISSUED = "pc_"  # how the tokens begin that Parley issues by itself
_UPSTREAM = "conv_"  # how the upstream's own conversations begin
# C0, DEL, C1 and halves of surrogate pairs: they would end a header, or hide in a log.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ENCODER = msgspec.json.Encoder()


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """The names a request gives, at most one of `name` and `parent`.

    `name` is a conversation of Parley's. `parent` is what the upstream itself keeps, a response or a
    conversation, which the messages follow; `delta` says the same of the newest turn of `name`.
    """

    name: str | None = None
    parent: str | None = None
    delta: bool = False

    @property
    def by_client(self) -> bool:
        """Whether the client chose the name: a token that was issued to it asks for nothing."""
        return self.name is not None and not self.name.startswith(ISSUED)

    @property
    def shown(self) -> str | None:
        """The conversation that the request names, be it Parley's or the upstream's own."""
        return self.parent if self.parent and self.parent.startswith(_UPSTREAM) else self.name

    @property
    def only_new(self) -> bool:
        """Whether the messages are only what is new."""
        return self.parent is not None or self.delta


def name(chat: ChatRequest, client_options: ClientOptions) -> tuple[ChatRequest, Named]:
    """Return the request with those of its names that are sent upstream, and the names among `client_options`.

    Raises InvalidRequest when it gives two that exclude each other.
    """
    conversation = _one(client_options.conversation, _conversation(chat.conversation), chat.conversation_id)
    parent = chat.previous_response_id or client_options.previous_response_id
    if parent:
        check_name(parent, "previous_response_id")
    if conversation is not None and parent:
        raise _exclusive("'previous_response_id' and a conversation")
    if parent:
        parent = response_id(parent) or parent
        return _with(chat, parent=parent), Named(parent=parent)
    if conversation is not None and conversation.startswith(_UPSTREAM):
        return _with(chat, conversation=conversation), Named(parent=conversation)
    if client_options.delta and conversation is None:
        raise InvalidRequest(
            "A request that sends only what is new must name its conversation, or its 'previous_response_id'.",
            "previous_response_id",
            "previous_response_not_found",
        )
    return _with(chat), Named(name=conversation, delta=client_options.delta)


def has_control(text: str) -> bool:
    """Whether a text holds what no name and no id may hold."""
    return _CONTROL.search(text) is not None


def check_name(name: str, param: str) -> None:
    """Check a name, or an id, that a client gave in `param`. Raises InvalidRequest."""
    if len(name) > MAX_NAME_CHARACTERS:
        message = f"Invalid '{param}': expected at most {MAX_NAME_CHARACTERS} characters, got {len(name)}."
        raise InvalidRequest(message, param, "string_above_max_length")
    if has_control(name):
        raise InvalidRequest(f"Invalid '{param}': must not hold control characters.", param, "invalid_value")


def without_control(name: str) -> str:
    """Return a name without the characters that could end a header."""
    return _CONTROL.sub("?", name)


def names_parent(chat: ChatRequest) -> bool:
    """Whether the body names what its messages follow upstream. Raises InvalidRequest when it names two."""
    conversation = is_given(chat.conversation)
    if chat.previous_response_id and conversation:
        raise _exclusive("'previous_response_id' and 'conversation'")
    return bool(chat.previous_response_id) or conversation


def _with(chat: ChatRequest, *, parent: str | None = None, conversation: str | None = None) -> ChatRequest:
    sent = NO_RAW if conversation is None else Raw(_ENCODER.encode(conversation))
    return msgspec.structs.replace(chat, previous_response_id=parent, conversation=sent, conversation_id=None)


def _conversation(raw: Raw) -> str | None:
    """The body's `conversation`: an id, or an object with one."""
    if not is_given(raw):
        return None
    value: Any = msgspec.json.decode(raw)
    if isinstance(value, dict):
        value = value.get("id")
    if not isinstance(value, str) or not value:
        raise InvalidRequest("Invalid type for 'conversation': expected an id.", "conversation", "invalid_type")
    return value


def _one(*names: str | None) -> str | None:
    given = {name for name in names if name}
    if len(given) > 1:
        raise _exclusive("Two different conversations")
    for only in given:
        check_name(only, "conversation")
    return next(iter(given), None)


def _exclusive(what: str) -> InvalidRequest:
    return InvalidRequest(f"{what} may not be given together.", "previous_response_id", "mutually_exclusive_parameters")
