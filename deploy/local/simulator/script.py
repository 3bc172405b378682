"""Deciding what to answer: output items, how the answer ends, and how it is paced.

Directives come first, then forced and mentioned tools, tool results, the text format, and plain prose.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.simulator import context as seen
from deploy.local.simulator import directives, items, prose, sealed, synthesis, tokens
from deploy.local.simulator.ids import new_id
from deploy.local.simulator.items import Call, OutputItem, Reasoning
from deploy.local.simulator.request import ResponsesRequest
from deploy.local.simulator.scenarios import SCENARIOS, Failure, Interruption, Plan, PlannedCall, to_plan
from deploy.local.simulator.tools import callable_tools, named_choice
from deploy.local.simulator.wire import ENCODER, Json

SCRIPT_HEADER = "x-simulator-script"

# Reasoning tokens by effort; models that reason use `medium` when none is asked for.
_REASONING_TOKENS: Mapping[str, int] = {
    "minimal": 16,
    "low": 64,
    "medium": 192,
    "high": 448,
    "xhigh": 960,
    "max": 1984,
}


@dataclass(frozen=True)
class Script:
    """A whole answer. `interruptions` happen in the middle of the deltas; `pace` is seconds between events."""

    items: list[OutputItem]
    reasoning_tokens: int
    incomplete_reason: str | None
    failure: Failure | None
    interruptions: list[Interruption]
    pace: float

    @property
    def output_tokens(self) -> int:
        return self.reasoning_tokens + sum(items.count(item) for item in self.items if not isinstance(item, Reasoning))


def decide(request: ResponsesRequest, context: list[Json], header: str, account: str) -> Script:
    """The answer to a request. Raises the `ApiError` that a directive asks for."""
    from_text, user_text = directives.parse(seen.last_user_text(context), SCENARIOS)
    from_header, _ = directives.parse(header)
    plan = to_plan(from_text, from_header, seen.ends_with_user(context))
    if plan.http_error is not None:
        raise plan.http_error
    answer = _answer(request, context, user_text, plan)
    reasoning_tokens = _reasoning_tokens(request, plan)
    answer, incomplete_reason = _limited(answer, request.max_output_tokens, reasoning_tokens, plan.incomplete_reason)
    if reasoning_tokens:
        answer = [_reasoning(request, user_text, account, reasoning_tokens), *answer]
    return Script(answer, reasoning_tokens, incomplete_reason, plan.failure, plan.interruptions, plan.pace)


def _answer(request: ResponsesRequest, context: list[Json], user_text: str, plan: Plan) -> list[OutputItem]:
    phases = request.reasons
    calls = _calls(request, context, user_text, plan)
    if plan.refuses:
        return [items.new_message(plan.text or "", "final_answer" if phases else None, is_refusal=True)]
    if calls and plan.text is None:
        return list(calls)
    text = plan.text if plan.text is not None else _text(request, context, user_text)
    phase = "commentary" if calls else "final_answer"
    return [items.new_message(text, phase if phases else None), *calls]


def _calls(request: ResponsesRequest, context: list[Json], user_text: str, plan: Plan) -> list[Call]:
    declared = {tool["name"]: tool for tool in request.tools if "name" in tool}
    planned = plan.calls
    if not planned and plan.text is None and seen.ends_with_user(context):
        planned = [PlannedCall(tool["name"], "") for tool in _chosen_tools(request, user_text)]
    names = prose.names_in(user_text)
    return [_to_call(call, declared.get(call.name, {}), names, user_text) for call in planned]


def _to_call(call: PlannedCall, tool: Json, names: list[str], user_text: str) -> Call:
    is_custom = tool.get("type") == "custom"
    arguments = call.arguments
    if not arguments:
        schema = tool.get("parameters") or {"type": "object"}
        arguments = (
            prose.excerpt(user_text) if is_custom else ENCODER.encode(synthesis.instance(schema, names)).decode()
        )
    return items.new_call(call.name, arguments, is_custom)


def _chosen_tools(request: ResponsesRequest, user_text: str) -> list[Json]:
    candidates = callable_tools(request.tools, request.tool_choice)
    if named_choice(request.tool_choice) is None:
        mentioned = [tool for tool in candidates if _mentions(user_text, tool["name"])]
        candidates = mentioned or candidates[:1]
    return candidates if request.parallel_tool_calls else candidates[:1]


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None


def _text(request: ResponsesRequest, context: list[Json], user_text: str) -> str:
    text_format = request.text_format
    if text_format["type"] == "json_schema":
        value = synthesis.instance(text_format.get("schema", {}), prose.names_in(user_text))
        return ENCODER.encode(value).decode()
    if text_format["type"] == "json_object":
        return ENCODER.encode({"answer": prose.excerpt(user_text), "simulated": True}).decode()
    outputs = seen.last_outputs(context)
    if outputs:
        return prose.from_outputs(outputs)
    return prose.answer(user_text, seen.media(context, "input_image"), seen.media(context, "input_file"))


def _reasoning_tokens(request: ResponsesRequest, plan: Plan) -> int:
    if not request.reasons:
        return 0
    wanted = plan.reasoning_tokens
    if wanted is None:
        wanted = _REASONING_TOKENS.get(request.reasoning.get("effort") or "medium", _REASONING_TOKENS["medium"])
    limit = request.max_output_tokens
    # Half of a tight limit stays for the answer: a person who sets one should still see some text.
    return wanted if limit is None else min(wanted, limit // 2)


def _reasoning(request: ResponsesRequest, user_text: str, account: str, reasoning_tokens: int) -> Reasoning:
    asked = request.reasoning.get("summary") or request.reasoning.get("generate_summary")
    summary = (prose.summary(user_text),) if asked else ()
    return Reasoning(new_id("rs"), sealed.issue(request.model + user_text, account, reasoning_tokens), summary)


def _limited(
    answer: list[OutputItem], limit: int | None, reasoning_tokens: int, reason: str | None
) -> tuple[list[OutputItem], str | None]:
    """The answer cut where the limit, or a directive, cuts it; and why, or null when it is whole."""
    if reason is not None:
        last = answer[-1]
        whole = last.text if isinstance(last, items.Message) else getattr(last, "arguments", "")
        return [*answer[:-1], items.shortened(last, len(whole) // 2)], reason
    if limit is None:
        return answer, None
    left = limit - reasoning_tokens
    kept: list[OutputItem] = []
    for item in answer:
        if items.count(item) > left:
            return [*kept, items.shortened(item, tokens.characters(left))], "max_output_tokens"
        left -= items.count(item)
        kept.append(item)
    return kept, None
