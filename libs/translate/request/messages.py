"""Chat messages to input items (docs/mapping.md#messages).

Each item remembers the message it came from, so that an upstream's complaint about `input[4]` can
name the right message, and so that a continued conversation can send the newest messages alone.
"""

from collections.abc import Callable, Sequence

import msgspec

from libs.schemas.wire.chat import NO_RAW, Message
from libs.schemas.wire.responses import InputItem, InputMessage, InputPart, InputText
from libs.translate.errors import InvalidRequest, missing, unexpected
from libs.translate.request import assistant
from libs.translate.request.legacy import LegacyCalls
from libs.translate.request.pairing import ToolCallPairs
from libs.translate.request.parts import Terms, check_parts, has_breakpoint, named, plain_text, to_input_parts
from libs.translate.request.results import is_typed, to_result, to_typed_result

INSTRUCTION_SEPARATOR = "\n\n"
_HOISTED_ROLES = ("system", "developer")
_DEFAULT_TERMS = Terms()


class Input(msgspec.Struct):
    """The translated history: `sources[k]` is the index of the message that `items[k]` came from."""

    instructions: str | None = None
    hoisted: int = 0  # messages that became `instructions`
    items: list[InputItem] = []
    message_indexes: list[int] = []
    dropped: list[str] = []


def to_input(messages: Sequence[Message], terms: Terms = _DEFAULT_TERMS) -> Input:
    """Translate a history.

    Raises InvalidRequest, in chat terms, for what chat itself refuses, and NeedsNative.
    """
    if not messages:
        raise InvalidRequest(
            "Invalid 'messages': empty array. Expected at least one message.", "messages", "empty_array"
        )
    walk = _Walk(terms, _leading_run(messages, terms))
    for index, message in enumerate(messages):
        walk.read(index, message)
    return walk.close()


def contains_json(messages: Sequence[Message]) -> bool:
    """Whether the word stands in any of the messages."""
    return any("json" in plain_text(message.content).lower() for message in messages)


def _leading_run(messages: Sequence[Message], terms: Terms) -> int:
    """Count the leading messages of one role that become `instructions` (docs/mapping.md#instructions).

    None do when what would be left for `input` is nothing, or lacks a word that it needs, or when they
    mark where a cached beginning ends.
    """
    role = messages[0].role
    if role not in _HOISTED_ROLES or terms.profile.instructions == "keep":
        return 0
    run = next((index for index, message in enumerate(messages) if message.role != role), len(messages))
    rest = messages[run:]
    if not rest or (terms.needs_json and not contains_json(rest)):
        return 0
    lists = (message.content for message in messages[:run] if isinstance(message.content, list))
    return 0 if any(map(has_breakpoint, lists)) else run


class _Walk:
    """One walk over the messages of a history."""

    def __init__(self, terms: Terms, hoisted: int) -> None:
        self._terms = terms
        self._made = Input(hoisted=hoisted)
        self._instructions: list[str] = []
        self._calls = ToolCallPairs(
            terms.profile.max_call_id_characters, continues=terms.continues, approvals=terms.approvals
        )
        self._legacy = LegacyCalls()

    def read(self, index: int, message: Message) -> None:
        """Add the items of the next message."""
        where, made = f"messages[{index}]", self._made
        if message.role and message.role != "tool":
            self._calls.close()
        if message.role and (message.output is not NO_RAW or message.reason is not None):
            made.dropped += _stray(message, where)
        items = self._BY_ROLE.get(message.role, _Walk._other)(self, index, message, where)
        made.items += items
        made.message_indexes += [index] * len(items)

    def close(self) -> Input:
        """End the history."""
        self._calls.close()
        self._legacy.close()
        if self._made.hoisted:
            self._made.instructions = INSTRUCTION_SEPARATOR.join(self._instructions)
        return self._made

    def _system(self, index: int, message: Message, where: str) -> list[InputItem]:
        content = self._content(message, where)
        if index < self._made.hoisted:
            self._instructions.append(_text_of(content))
            return []
        role = self._terms.profile.system_role
        return [InputMessage(role=message.role if role == "keep" else role, content=content)]

    def _user(self, index: int, message: Message, where: str) -> list[InputItem]:
        if message.content is None:
            raise missing(f"{where}.content")
        return [InputMessage(role="user", content=self._content(message, where))]

    def _assistant(self, index: int, message: Message, where: str) -> list[InputItem]:
        items = assistant.to_reasoning(message, where, self._terms, self._made.dropped)
        parts = assistant.to_parts(message, where, self._terms, self._made.dropped)
        if parts:
            items.append(InputMessage(role="assistant", content=parts))
        if message.tool_calls:
            pairs = self._calls.ask(index, message.tool_calls)
            for k, call in enumerate(message.tool_calls):
                items.append(assistant.to_tool_call(call, pairs[k], f"{where}.tool_calls[{k}]"))
        if message.function_call is not None:
            items.append(self._legacy.ask(index, message.function_call))
        return items

    def _tool(self, index: int, message: Message, where: str) -> list[InputItem]:
        pair = self._calls.answer(message.tool_call_id, f"{where}.tool_call_id")
        return [to_result(message, pair, where, self._terms, self._made.dropped)]

    def _function(self, index: int, message: Message, where: str) -> list[InputItem]:
        return [self._legacy.answer(message, where, self._made.dropped)]

    def _other(self, index: int, message: Message, where: str) -> list[InputItem]:
        if is_typed(message):
            return [to_typed_result(message, self._calls, where, self._terms, self._made.dropped)]
        if not message.role:
            raise missing(f"{where}.role")
        raise unexpected(message.role, f"{where}.role", self._BY_ROLE)

    _BY_ROLE: dict[str, Callable[["_Walk", int, Message, str], list[InputItem]]] = {
        "system": _system,
        "developer": _system,
        "user": _user,
        "assistant": _assistant,
        "tool": _tool,
        "function": _function,
    }

    def _content(self, message: Message, where: str) -> str | list[InputPart]:
        content: str | list[InputPart] = message.content if isinstance(message.content, str) else ""
        if isinstance(message.content, list):
            path = f"{where}.content"
            check_parts(message.role, message.content, path)
            content = to_input_parts(message.content, path, self._terms)
        if message.name is None:
            return content
        return named(message.name, content, where, self._terms, self._made.dropped)


def _stray(message: Message, where: str) -> list[str]:
    """The fields of typed results that a message with a role has no use for."""
    given = {"output": message.output is not NO_RAW, "reason": message.reason is not None}
    return [f"{where}.{name}" for name, is_there in given.items() if is_there]


def _text_of(content: str | list[InputPart]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, InputText))
