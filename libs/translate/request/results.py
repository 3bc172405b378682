"""Tool results: those of role `tool`, and the typed ones of the Responses API among a chat's messages.

A result goes up as its call's kind wants it. A typed one goes up as it was written, under the id that
its call got; what belongs to calls that chat cannot hold needs a parent that the client named.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw

from libs.schemas.wire.chat import ContentPart, Message, ToolCall
from libs.schemas.wire.responses import (
    CustomToolCallOutput,
    FunctionCallOutput,
    InputItem,
    InputPart,
    McpApprovalRequestIn,
    McpApprovalResponse,
)
from libs.schemas.wire.surrogates import UNREADABLE
from libs.schemas.wire.tool_types import RESULT_FIELDS, RESULTS_IN_CHAT
from libs.translate.errors import InvalidRequest, missing, unexpected
from libs.translate.request.body import NULL, decode_body, is_given
from libs.translate.request.pairing import Pair, ToolCallPairs
from libs.translate.request.parts import (
    Terms,
    check_parts,
    has_breakpoint,
    plain_text,
    to_input_parts,
    untold_breakpoints,
)

_DECISIONS = {"approve": True, "deny": False}


class _Decision(msgspec.Struct, frozen=True):
    """The JSON form of an answer to an approval request."""

    approve: bool
    reason: str | None = None


class _ApprovalCall(msgspec.Struct, frozen=True):
    """The arguments of Parley's own call that asks for an approval."""

    server_label: str
    name: str
    arguments: Raw = NULL


_DECISION = msgspec.json.Decoder(_Decision)
_APPROVAL_CALL = msgspec.json.Decoder(_ApprovalCall)
_STRING = msgspec.json.Decoder(str)


def is_typed(message: Message) -> bool:
    """Whether a message is a typed result."""
    return not message.role and message.type in RESULT_FIELDS


def to_result(message: Message, pair: Pair, where: str, terms: Terms, dropped: list[str]) -> InputItem:
    """Return the item of a message of role `tool`. Raises InvalidRequest."""
    if pair.kind == "approval":
        return _approval(message, pair, where)
    output = _output(message, f"{where}.content", terms, dropped)
    if pair.kind == "custom":
        return CustomToolCallOutput(call_id=pair.id, output=output)
    return FunctionCallOutput(call_id=pair.id, output=output)


def to_typed_result(message: Message, calls: ToolCallPairs, where: str, terms: Terms, dropped: list[str]) -> InputItem:
    """Return the item of a typed result. Raises InvalidRequest."""
    type_ = message.type or ""
    fields = RESULT_FIELDS[type_]
    given = {name: value for name in message.__struct_fields__ if _is_present(value := getattr(message, name))}
    for name in fields[:2]:
        if name not in given:
            raise missing(f"{where}.{name}")
    if type_ in RESULTS_IN_CHAT:
        given[fields[0]] = calls.answer(given[fields[0]], f"{where}.{fields[0]}").id
    elif not terms.continues:
        raise InvalidRequest(
            f"A '{type_}' needs the call it answers: name what came before in 'previous_response_id'.",
            f"{where}.{fields[0]}",
        )
    dropped += [f"{where}.{name}" for name in given if name not in fields and name != "type"]
    return {"type": type_, **{name: given[name] for name in fields if name in given}}


def to_approval_request(call: ToolCall, pair: Pair, where: str) -> InputItem:
    """Return the item behind Parley's own call for an approval. Raises InvalidRequest."""
    arguments = call.function.arguments if call.function else ""
    asked: _ApprovalCall = decode_body(_APPROVAL_CALL, arguments.encode(), f"{where}.function.arguments")
    inner = asked.arguments
    text = _STRING.decode(inner) if bytes(memoryview(inner)[:1]) == b'"' else bytes(inner).decode()
    return McpApprovalRequestIn(id=pair.id, server_label=asked.server_label, name=asked.name, arguments=text)


def _approval(message: Message, pair: Pair, where: str) -> InputItem:
    text = plain_text(message.content).strip()
    decision = _DECISIONS.get(text.lower())
    if decision is not None:
        return McpApprovalResponse(approval_request_id=pair.id, approve=decision)
    try:
        decided = _DECISION.decode(text)
    except UNREADABLE:
        raise unexpected(text[:64], f"{where}.content", _DECISIONS) from None
    return McpApprovalResponse(approval_request_id=pair.id, approve=decided.approve, reason=decided.reason or UNSET)


def _output(message: Message, where: str, terms: Terms, dropped: list[str]) -> str | list[InputPart]:
    """One string wherever it can be one: not every upstream takes a list."""
    content = message.content
    if not isinstance(content, list):
        return content or ""
    check_parts("tool", content, where)
    if not terms.profile.tool_output_list:
        return _string_only(content, where, dropped)
    if has_breakpoint(content) or any(part.type != "text" for part in content):
        return to_input_parts(content, where, terms)
    return plain_text(content)


def _string_only(content: list[ContentPart], where: str, dropped: list[str]) -> str:
    for index, part in enumerate(content):
        if part.type != "text":
            raise unexpected(part.type, f"{where}[{index}].type", ("text",))
    dropped += untold_breakpoints(content, where)
    return plain_text(content)


def _is_present(value: Any) -> bool:
    return is_given(value) if isinstance(value, Raw) else value not in (None, "")
