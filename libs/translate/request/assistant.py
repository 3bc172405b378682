"""What an assistant message becomes: reasoning, text and refusals, then its calls.

See docs/mapping.md#assistant-messages.
"""

import msgspec
from msgspec import Raw

from libs.schemas.wire.chat import NO_RAW, ContentPart, Message, ToolCall
from libs.schemas.wire.responses import (
    CustomToolCallIn,
    FunctionCallIn,
    InputItem,
    InputPart,
    OutputTextIn,
    ReasoningIn,
    ReasoningTextIn,
    RefusalIn,
)
from libs.schemas.wire.tool_types import NESTED
from libs.translate.errors import NeedsNative, missing, unexpected, unsupported
from libs.translate.request.body import is_given
from libs.translate.request.pairing import Pair
from libs.translate.request.parts import Terms, check_parts, named, untold_breakpoints
from libs.translate.request.policies import policy_of
from libs.translate.request.results import to_approval_request

_REASONING = ("reasoning_content", "reasoning", "reasoning_details")  # names under which clients echo it
_STRING = msgspec.json.Decoder(str)


def to_reasoning(message: Message, where: str, terms: Terms, dropped: list[str]) -> list[InputItem]:
    """Return echoed reasoning as an item, for upstreams with open reasoning; elsewhere it is dropped."""
    if message.reasoning_content is message.reasoning is message.reasoning_details is NO_RAW:
        return []
    given = {name: raw for name in _REASONING if _has_text(raw := getattr(message, name))}
    text = next((_STRING.decode(raw) for raw in given.values() if _is_string(raw)), "")
    if text and terms.profile.open_reasoning:
        return [ReasoningIn(content=[ReasoningTextIn(text=text)])]
    dropped += [f"{where}.{name}" for name in given]
    return []


def to_parts(message: Message, where: str, terms: Terms, dropped: list[str]) -> list[InputPart]:
    """Return text and refusals; none for an empty message. Raises InvalidRequest, NeedsNative."""
    parts: list[InputPart]
    if isinstance(message.content, list):
        parts = _listed_parts(message.content, f"{where}.content", dropped)
    else:
        parts = [OutputTextIn(text=message.content)] if message.content else []
    if message.audio is not None:
        parts = _with_audio(message, parts, f"{where}.audio", terms, dropped)
    if message.refusal:
        parts.append(RefusalIn(refusal=message.refusal))
    if message.name is None:
        return parts
    content = named(message.name, parts, where, terms, dropped)
    return content if isinstance(content, list) else parts


def to_tool_call(call: ToolCall, pair: Pair, where: str) -> InputItem:
    """Return the item of a call. Raises InvalidRequest."""
    if pair.kind == "approval":
        return to_approval_request(call, pair, where)
    if call.type is not None and call.type not in NESTED:
        raise unexpected(call.type, f"{where}.type", NESTED)
    if pair.kind == "custom":
        if call.custom is None:
            raise missing(f"{where}.custom")
        return CustomToolCallIn(call_id=pair.id, name=call.custom.name, input=call.custom.input)
    if call.function is None:
        raise missing(f"{where}.function")
    return FunctionCallIn(call_id=pair.id, name=call.function.name, arguments=call.function.arguments)


def _listed_parts(content: list[ContentPart], where: str, dropped: list[str]) -> list[InputPart]:
    check_parts("assistant", content, where)
    dropped += untold_breakpoints(content, where)
    return [_part(part) for part in content if part.text or part.refusal]


def _part(part: ContentPart) -> InputPart:
    return RefusalIn(refusal=part.refusal or "") if part.type == "refusal" else OutputTextIn(text=part.text or "")


def _with_audio(
    message: Message, parts: list[InputPart], where: str, terms: Terms, dropped: list[str]
) -> list[InputPart]:
    """The transcript of an earlier spoken answer; the sound itself stays upstream."""
    transcript = message.audio.transcript if message.audio else None
    if parts or transcript:
        dropped.append(where)
        return parts or [OutputTextIn(text=transcript or "")]
    if policy_of("audio", terms.profile, terms.format) == "native":
        raise NeedsNative(where)
    raise unsupported(where)


def _has_text(raw: Raw) -> bool:
    return is_given(raw) and bytes(raw) not in (b'""', b"[]")


def _is_string(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b'"'
