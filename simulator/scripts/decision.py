"""Deciding what to answer: output items, how the answer ends, and how it travels.

Directives come first, then hosted tools, forced and mentioned functions, tool results, the text format, plain prose.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from simulator.checks import strict_schemas
from simulator.checks.responses_request import ResponsesRequest
from simulator.checks.tools import callable_tools, named_choice
from simulator.context import encrypted_content, reading, tokens
from simulator.output import hosted, items, prose, schema_instances
from simulator.output.items import Call, Hosted, Message, OutputItem, Reasoning
from simulator.output.message_part import Part
from simulator.scripts import directives, hosted_uses
from simulator.scripts.attempts import Attempts
from simulator.scripts.plan import Limit, Plan, PlannedCall
from simulator.scripts.scenario_models import directives_of
from simulator.scripts.scenarios import IGNORES_PARENT, SCENARIOS, STORES_NOTHING, to_plan, without_faults
from simulator.wire.ids import new_id
from simulator.wire.json import ENCODER, Json

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
    """A whole answer: its items, why it is incomplete (null when it is not), and the plan it was made from."""

    items: list[OutputItem]
    reasoning_tokens: int
    incomplete_reason: str | None
    plan: Plan

    @property
    def output_tokens(self) -> int:
        return self.reasoning_tokens + sum(items.count(item) for item in self.items if not isinstance(item, Reasoning))


@dataclass(frozen=True)
class _Asked:
    """What an answer is decided from."""

    request: ResponsesRequest
    context: list[Json]
    account: str
    user_text: str
    plan: Plan

    @property
    def names(self) -> list[str]:
        return prose.names_in(self.user_text)


def understood(request: ResponsesRequest, header: str) -> ResponsesRequest:
    """The request as a server takes it that keeps nothing: it knows the parameters, and does not heed them."""
    texts = (reading.last_user_text(request.items), directives_of(request.model), header)
    named = {directive.name for text in texts for directive in directives.parse(text, SCENARIOS)[0]}
    params = dict(request.params)
    if IGNORES_PARENT in named:
        params.pop("previous_response_id", None)
    if STORES_NOTHING in named:
        params["store"] = False
    return replace(request, params=params)


def decide(
    request: ResponsesRequest, context: list[Json], header: str, account: str, attempts: Attempts | None = None
) -> Script:
    """The answer to a request. Raises the 400 of a directive that does not exist."""
    written = reading.last_user_text(context)
    from_text, user_text = directives.parse(written, SCENARIOS)
    from_model, _ = directives.parse(directives_of(request.model))
    from_header, _ = directives.parse(header)
    given = ([*from_text, *from_model], from_header, reading.ends_with_user(context))
    plan = to_plan(*given)
    if plan.limit is not None and (attempts or Attempts()).is_over(account, _keyed(plan.limit, written)):
        plan = without_faults(*given)
    return _script(_Asked(request, context, account, user_text, plan))


def _keyed(limit: Limit, text: str) -> Limit:
    return limit if limit.key else replace(limit, key=text)


def _script(asked: _Asked) -> Script:
    plan, request = asked.plan, asked.request
    reasoning_tokens = _reasoning_tokens(request, plan)
    if plan.stops_in_reasoning:
        return Script(_opening(asked, reasoning_tokens), reasoning_tokens, plan.incomplete_reason, plan)
    answer, reason = _limited(_answer(asked), request.max_output_tokens, reasoning_tokens, plan.incomplete_reason)
    return Script(_thought_through(asked, answer, reasoning_tokens), reasoning_tokens, reason, plan)


def _answer(asked: _Asked) -> list[OutputItem]:
    plan, request, context = asked.plan, asked.request, asked.context
    found = hosted_uses.hosted_items(request, context, asked.user_text, plan)
    calls = [*_calls(asked, found), *hosted_uses.found_calls(found, asked.names)]
    commentary = [items.new_message(text, _phase(asked, "commentary")) for text in plan.commentary]
    raw = [Hosted(output, output) for output in plan.outputs]
    compacted = hosted_uses.compaction(request, context, asked.account)
    spoken = [_message(asked, found, calls)] if _speaks(plan, found, calls, raw) else []
    return [*compacted, *commentary, *found, *raw, *spoken, *calls]


def _speaks(plan: Plan, found: list[Hosted], calls: list[OutputItem], raw: list[Hosted]) -> bool:
    """Whether the answer has a text of its own: not where the client is to act first, unless a script says so."""
    waits = bool(calls or raw) or any(item.by_client for item in found)
    return plan.refuses or plan.text is not None or not waits


def _message(asked: _Asked, found: list[Hosted], calls: list[OutputItem]) -> Message:
    plan = asked.plan
    phase = _phase(asked, "commentary" if calls and not plan.refuses else "final_answer")
    if plan.refuses:
        return items.new_message(plan.text or "", phase, is_refusal=True)
    text = plan.text if plan.text is not None else _text(asked)
    cited = [_over(annotation, text) for annotation in plan.annotations]
    if not cited:
        cited = [annotation for item in found for annotation in hosted.citations(item.type.removesuffix("_call"), text)]
    wants_logprobs = "message.output_text.logprobs" in asked.request.include
    top_logprobs = asked.request.params.get("top_logprobs", 0) if wants_logprobs else None
    return Message(new_id("msg"), (Part(text, False, tuple(cited), top_logprobs),), phase, plan.speaks)


def _phase(asked: _Asked, phase: str) -> str | None:
    return phase if asked.request.reasons and asked.request.abilities.phases else None


def _over(annotation: Json, text: str) -> Json:
    """The annotation with its place in the text."""
    place = {"end_index": len(text), "index": len(text) // 2}
    return {**annotation, **{name: value for name, value in place.items() if name in annotation}}


def _calls(asked: _Asked, found: list[Hosted]) -> list[OutputItem]:
    plan, request = asked.plan, asked.request
    declared = {tool["name"]: tool for tool in request.tools if "name" in tool}
    planned = plan.calls
    is_open = plan.text is None and not plan.refuses and not found and not plan.outputs
    may_call = reading.ends_with_user(asked.context) or request.tool_choice == "required"
    if not planned and is_open and may_call:
        planned = [PlannedCall(tool["name"], "") for tool in _chosen_tools(request, asked.user_text)]
    return [] if plan.refuses else [_to_call(call, declared.get(call.name, {}), asked) for call in planned]


def _to_call(call: PlannedCall, tool: Json, asked: _Asked) -> Call:
    is_custom = call.is_custom or tool.get("type") == "custom"
    arguments = call.arguments
    if not arguments:
        _, schema = strict_schemas.effective(tool)
        made = schema_instances.instance(schema, asked.names)
        arguments = prose.excerpt(asked.user_text) if is_custom else ENCODER.encode(made).decode()
    return items.new_call(call.name, arguments, is_custom)


def _chosen_tools(request: ResponsesRequest, user_text: str) -> list[Json]:
    candidates = [tool for tool in callable_tools(request.tools, request.tool_choice) if not tool.get("defer_loading")]
    if named_choice(request.tool_choice) is None:
        mentioned = [tool for tool in candidates if _mentions(user_text, tool["name"])]
        candidates = mentioned or candidates[:1]
    return candidates if request.parallel_tool_calls else candidates[:1]


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None


def _text(asked: _Asked) -> str:
    text_format = asked.request.text_format
    if text_format["type"] == "json_schema":
        value = schema_instances.instance(text_format.get("schema", {}), asked.names)
        return ENCODER.encode(value).decode()
    if text_format["type"] == "json_object":
        return ENCODER.encode({"answer": prose.excerpt(asked.user_text), "simulated": True}).decode()
    outputs = reading.last_outputs(asked.context)
    if outputs:
        return prose.from_outputs(outputs)
    images, files = reading.media(asked.context, "input_image"), reading.media(asked.context, "input_file")
    return prose.answer(asked.user_text, images, files)


def _reasoning_tokens(request: ResponsesRequest, plan: Plan) -> int:
    if not request.reasons:
        return 0
    wanted = plan.reasoning_tokens
    if wanted is None:
        wanted = _REASONING_TOKENS.get(request.effort or "medium", _REASONING_TOKENS["medium"])
    limit = request.max_output_tokens
    # Half of a tight limit stays for the answer: a person who sets one should still see some text.
    return wanted if limit is None or plan.stops_in_reasoning else min(wanted, limit // 2)


def _thought_through(asked: _Asked, answer: list[OutputItem], reasoning_tokens: int) -> list[OutputItem]:
    """The answer with its reasoning: before all but listings of tools, and again after what OpenAI ran (recorded)."""
    if not (reasoning_tokens or asked.plan.summaries or asked.plan.thoughts) or not asked.request.reasons:
        return answer
    start = next((at for at, item in enumerate(answer) if not _is_listing(item)), len(answer))
    thought = [*answer[:start], *_opening(asked, reasoning_tokens)]
    for before, item in zip([None, *answer[start:-1]], answer[start:], strict=True):
        if isinstance(before, Hosted) and not before.by_client and isinstance(item, Message):
            thought.append(_reasoning(asked, f"after {before.id}", 0))
        thought.append(item)
    return thought


def _is_listing(item: OutputItem) -> bool:
    return isinstance(item, Hosted) and item.type in ("mcp_list_tools", "compaction")


def _opening(asked: _Asked, reasoning_tokens: int) -> list[OutputItem]:
    reasoning = asked.request.reasoning
    summary = tuple(asked.plan.summaries)
    if not summary and (reasoning.get("summary") or reasoning.get("generate_summary")):
        summary = (prose.summary(asked.user_text),)
    opened = _reasoning(asked, asked.request.model + asked.user_text, reasoning_tokens)
    return [replace(opened, summary=summary, thoughts=tuple(asked.plan.thoughts))]


def _reasoning(asked: _Asked, content: str, reasoning_tokens: int) -> Reasoning:
    abilities = asked.request.abilities
    is_sealed = abilities.seals or "reasoning.encrypted_content" in asked.request.include
    if not is_sealed:
        return Reasoning(new_id("rs"), None, shows_content=abilities.seals)
    token, resealed = (encrypted_content.issue(content, asked.account, reasoning_tokens, sealing) for sealing in (0, 1))
    return Reasoning(new_id("rs"), token, resealed, shows_content=abilities.seals)


def _limited(
    answer: list[OutputItem], limit: int | None, reasoning_tokens: int, reason: str | None
) -> tuple[list[OutputItem], str | None]:
    """The answer cut where the limit, or a directive, cuts it; and why, or null when it is whole."""
    if reason is not None:
        last = answer[-1]
        whole = last.text if isinstance(last, Message) else getattr(last, "arguments", "")
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
