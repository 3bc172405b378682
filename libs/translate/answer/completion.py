"""A finished Response to a ChatCompletion: the sum of the deltas of its items (docs/mapping.md#answers)."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.completion import (
    AssistantMessage,
    ChatCompletion,
    Choice,
    ChunkChoice,
    CustomCallOut,
    Delta,
    FunctionCallOut,
    FunctionDelta,
    ToolCallDelta,
    ToolCallOut,
)
from libs.schemas.wire.errors import ErrorBody
from libs.schemas.wire.output import Response
from libs.translate.answer.chain_check import check_chained
from libs.translate.answer.deltas import ItemTranslator
from libs.translate.answer.finish import failed, finish_reason, is_unfinished, response_failure
from libs.translate.answer.logprobs import to_choice_logprobs
from libs.translate.answer.moderation import to_moderation
from libs.translate.answer.usage import to_completion_usage
from libs.translate.errors import UpstreamFailed
from libs.translate.ids import completion_id

COMPLETION_ENCODER = msgspec.json.Encoder()


def to_completion(response: Response, plan: StreamPlan) -> ChatCompletion:
    """Return the completion of a finished response.

    Raises UpstreamFailed when it failed, or is unfinished (docs/mapping.md#response-status), NotChained when it
    ignored what the request continues.
    """
    if failed(response):
        raise response_failure(response, plan)
    if is_unfinished(response.status):
        raise _failure("The upstream answered before its answer was whole.", "upstream_unfinished")
    if not (response.id or response.status or response.output):
        raise _failure("The upstream's answer is no response.", "upstream_malformed")
    check_chained(response, plan)
    answer = ItemTranslator(plan)
    choices = [*answer.finish(response.output), *answer.closing()]
    reason = finish_reason(response, has_calls=answer.calls > 0, functions=plan.functions, stopped=answer.cut)
    tokens = [token for choice in choices if choice.logprobs for token in choice.logprobs.content]
    return ChatCompletion(
        id=completion_id(response.id),
        created=int(response.created_at),
        model=response.model,
        choices=[Choice(message=sum_of(choices), logprobs=to_choice_logprobs(tokens), finish_reason=reason)],
        usage=UNSET if response.usage is None else to_completion_usage(response.usage),
        service_tier=response.service_tier or UNSET,
        metadata=response.metadata or UNSET,
        moderation=to_moderation(response.moderation) or UNSET,
    )


def _failure(message: str, code: str) -> UpstreamFailed:
    return UpstreamFailed(502, ErrorBody(message=message, type="server_error", code=code))


# -- the sum of deltas ------------------------------------------------------------------------------


def sum_of(choices: Iterable[ChunkChoice]) -> AssistantMessage:
    """Return the message that the deltas of one choice add up to."""
    deltas = [choice.delta for choice in choices]
    content: str | None = "".join(delta.content or "" for delta in deltas)
    refusal = "".join(delta.refusal or "" for delta in deltas) or None
    calls = _calls(deltas)
    function = _function([delta.function_call for delta in deltas if delta.function_call])
    if not content and (calls or function or refusal is not None):
        content = None
    return AssistantMessage(
        content=content,
        refusal=refusal,
        annotations=[annotation for delta in deltas for annotation in delta.annotations or ()],
        tool_calls=calls or UNSET,
        function_call=function or UNSET,
        images=[image for delta in deltas for image in delta.images or ()] or UNSET,
        reasoning_content="".join(delta.reasoning_content or "" for delta in deltas) or UNSET,
        reasoning="".join(delta.reasoning or "" for delta in deltas) or UNSET,
    )


def _calls(deltas: Iterable[Delta]) -> list[ToolCallOut]:
    parts: dict[int, list[ToolCallDelta]] = {}
    for delta in deltas:
        for part in delta.tool_calls or ():
            parts.setdefault(part.index, []).append(part)
    return [_call(run) for run in parts.values()]


def _call(parts: Sequence[ToolCallDelta]) -> ToolCallOut:
    first = parts[0]
    custom = [part.custom for part in parts if part.custom]
    return ToolCallOut(
        id=first.id or "",
        type=first.type or "function",
        function=_function([part.function for part in parts if part.function]) or UNSET,
        custom=CustomCallOut(name=custom[0].name or "", input="".join(part.input for part in custom))
        if custom
        else UNSET,
    )


def _function(parts: Sequence[FunctionDelta | UnsetType]) -> FunctionCallOut | None:
    given = [part for part in parts if part]
    if not given:
        return None
    return FunctionCallOut(name=given[0].name or "", arguments="".join(part.arguments for part in given))
