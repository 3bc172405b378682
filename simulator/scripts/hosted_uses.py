"""Which hosted tools an answer uses: the ones a script names, else the ones the request declares."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simulator.checks.responses_request import ResponsesRequest
from simulator.checks.tools import hosted_tools
from simulator.context import encrypted_content, reading, tokens
from simulator.output import hosted, items, prose, schema_instances
from simulator.output.hosted import Use
from simulator.output.items import Hosted, OutputItem
from simulator.scripts.plan import Plan
from simulator.wire.json import ENCODER, Json

# How a user's text asks for a tool: any of these words.
_MENTIONS: Mapping[str, tuple[str, ...]] = {
    "web_search": ("search", "news", "web"),
    "web_search_preview": ("search", "news", "web"),
    "file_search": ("file", "document"),
    "code_interpreter": ("code", "compute", "python"),
    "image_generation": ("image", "draw", "picture"),
}


def compaction(request: ResponsesRequest, context: list[Json], account: str) -> list[OutputItem]:
    """The compaction item, where the input asks for one or has outgrown the request's threshold.

    See docs/mapping.md#what-an-upstream-keeps.
    """
    asked = bool(context) and context[-1]["type"] == "compaction_trigger"
    size = sum(map(tokens.count_item, context))
    thresholds = [entry.get("compact_threshold") for entry in request.params.get("context_management", ())]
    if not asked and not any(threshold is not None and size > threshold for threshold in thresholds):
        return []
    return [hosted.compaction(encrypted_content.issue(f"compaction of {size}", account, 64))]


def hosted_items(request: ResponsesRequest, context: list[Json], user_text: str, plan: Plan) -> list[Hosted]:
    """The hosted items of the answer, in order; none where only functions or plain text are called for."""
    query = prose.excerpt(user_text)
    if plan.uses:
        declared = {tool["type"]: tool for tool in request.tools}
        asked = [(use.kind, Use(declared.get(use.kind, {}), use.query or query)) for use in plan.uses]
        return [item for kind, use in asked for item in hosted.MAKERS[kind](replace(use, include=request.include))]
    if (approvals := _approvals(context)) and plan.text is None:
        return _approved(request, approvals, query)
    if _is_scripted(plan) or not reading.ends_with_user(context):
        return []
    made = [_make(tool, request, context, query) for tool in _chosen(request, user_text)]
    return [item for made_items in made for item in made_items]


def _is_scripted(plan: Plan) -> bool:
    return plan.text is not None or plan.refuses or bool(plan.calls or plan.outputs)


def _chosen(request: ResponsesRequest, user_text: str) -> list[Json]:
    declared = hosted_tools(request.tools, request.tool_choice)
    mentioned = [tool for tool in declared if _is_mentioned(tool["type"], user_text.lower())]
    has_functions = any(tool["type"] in ("function", "custom") and not _waits(tool) for tool in request.tools)
    return mentioned or ([] if has_functions and not isinstance(request.tool_choice, dict) else declared[:1])


def _waits(tool: Json) -> bool:
    """Whether a tool is found by a search only."""
    return bool(tool.get("defer_loading"))


def _is_mentioned(type: str, text: str) -> bool:
    words = _MENTIONS.get(type, ())
    return type.replace("_", " ") in text or any(word in text.split() for word in words)


def _make(tool: Json, request: ResponsesRequest, context: list[Json], query: str) -> list[Hosted]:
    use = Use(tool, query, request.include)
    if tool["type"] == "mcp":
        return _make_mcp(use, context)
    if tool["type"] == "tool_search":
        found = [other for other in request.tools if _waits(other)][:1]
        use = replace(use, tool={**tool, "found": found, "paths": [other["name"] for other in found]})
    return hosted.MAKERS[tool["type"]](use)


def _make_mcp(use: Use, context: list[Json]) -> list[Hosted]:
    label = use.tool.get("server_label")
    is_listed = any(item["type"] == "mcp_list_tools" and item.get("server_label") == label for item in context)
    listing = [] if is_listed else hosted.mcp_list(use)
    needs_approval = use.tool.get("require_approval") != "never"
    return [*listing, *(hosted.mcp_request(use) if needs_approval else hosted.mcp_call(use))]


def _approvals(context: list[Json]) -> list[Json]:
    """The approvals at the end of the context."""
    found: list[Json] = []
    for item in reversed(context):
        if item["type"] != "mcp_approval_response":
            break
        found.append(item)
    return found[::-1]


def _approved(request: ResponsesRequest, approvals: list[Json], query: str) -> list[Hosted]:
    tool: Any = next((tool for tool in request.tools if tool["type"] == "mcp"), {})
    use = Use(tool, query, request.include)
    approved = [approval["approval_request_id"] for approval in approvals if approval["approve"]]
    return [item for id in approved for item in hosted.mcp_call(use, approval_id=id)]


def found_calls(found: list[Hosted], names: list[str]) -> list[OutputItem]:
    """The calls of functions that a tool search has just found, each in the namespace of its own name (recorded)."""
    tools = [tool for item in found if item.type == "tool_search_output" for tool in item.done["tools"]]
    return [
        items.new_call(
            tool["name"],
            ENCODER.encode(schema_instances.instance(tool.get("parameters") or {"type": "object"}, names)).decode(),
            namespace=tool["name"],
        )
        for tool in tools
    ]
