"""The deprecated functions of chat, from before there were tools (docs/mapping.md#legacy-functions).

Their calls have no ids: Parley gives a call one that depends on nothing but the call and its place, so
that a longer history repeats the ids of the shorter.
"""

from hashlib import sha256

from libs.schemas.wire.chat import ChatRequest, FunctionCall, Message
from libs.schemas.wire.responses import FunctionCallIn, FunctionCallOutput, InputItem
from libs.translate.errors import InvalidRequest, missing
from libs.translate.request.parts import check_parts, plain_text

CALL_PREFIX = "call_fn_"
_ID_CHARACTERS = 32


def uses_functions(chat: ChatRequest) -> bool:
    """Whether the client uses the legacy form. Raises InvalidRequest when it uses both."""
    if chat.functions and chat.tools:
        raise InvalidRequest("'functions' and 'tools' may not be given together.", "functions", "invalid_value")
    return bool(chat.functions)


class LegacyCalls:
    """The legacy calls of one history that have no result yet."""

    def __init__(self) -> None:
        self._open: list[tuple[str, str]] = []  # (function's name, call's id), oldest first

    def ask(self, index: int, call: FunctionCall) -> InputItem:
        """Return the item of the call that the message at `index` makes."""
        digest = sha256(f"{index}:{call.name}:{call.arguments}".encode("utf-8", "surrogatepass")).hexdigest()
        call_id = CALL_PREFIX + digest[:_ID_CHARACTERS]
        self._open.append((call.name, call_id))
        return FunctionCallIn(call_id=call_id, name=call.name, arguments=call.arguments)

    def answer(self, message: Message, where: str, dropped: list[str]) -> InputItem:
        """Return the item of a message of role `function`. Raises InvalidRequest."""
        if message.name is None:
            raise missing(f"{where}.name")
        if isinstance(message.content, list):
            check_parts("function", message.content, f"{where}.content")
        if not self._open:
            raise InvalidRequest(
                "Invalid parameter: a message with role 'function' must answer a preceding 'function_call'.",
                f"{where}.role",
            )
        # By name, the nearest; clients that changed a name on the way answer in order.
        by_name = [call for call in self._open if call[0] == message.name]
        call = by_name[-1] if by_name else self._open[0]
        if not by_name:
            dropped.append(f"{where}.name")
        self._open.remove(call)
        return FunctionCallOutput(call_id=call[1], output=plain_text(message.content))

    def close(self) -> None:
        """End the history. Raises InvalidRequest when a call has no result."""
        if self._open:
            raise InvalidRequest(
                "A message with 'function_call' must be followed by a message of role 'function' that answers it. "
                f"These have no answer: {', '.join(name for name, _ in self._open)}",
                "messages",
            )
