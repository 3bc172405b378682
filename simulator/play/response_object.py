"""The Response object: every key OpenAI sends, the request echoed, at each state an answer passes through."""

import time
from typing import Any

from simulator.checks.models import dated
from simulator.checks.responses_request import ResponsesRequest
from simulator.checks.tools import to_echoed_tool
from simulator.output import items
from simulator.scripts.decision import Script
from simulator.scripts.plan import Failure
from simulator.wire.ids import new_id
from simulator.wire.json import Json

_TOOL_USAGE = {
    "image_gen": {
        "input_tokens": 0,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
        "total_tokens": 0,
    },
    "web_search": {"num_requests": 0},
}


class Answer:
    """One response on its way: created once, then asked for a snapshot of each state.

    `usage` is the finished answer's `usage` object (docs/mapping.md#usage, #what-an-upstream-streams).
    """

    def __init__(self, request: ResponsesRequest, script: Script, usage: Json, context: list[Json]) -> None:
        self.id = new_id("resp")
        self.is_background = request.background
        self._script = script
        self._usage = usage
        self._base = _base(request, self.id, int(time.time()))
        if script.plan.withheld is not None:
            self._base["input_transformations"] = _removed(context, script.plan.withheld)

    def queued(self) -> Json:
        return {**self._base, "status": "queued"}

    def started(self) -> Json:
        """The snapshot in `response.created` and `response.in_progress`."""
        return self._base

    def finished(self) -> Json:
        """The final snapshot of an answer that ran to its scripted end: completed, incomplete or failed."""
        if self._script.plan.failure is not None:
            return self.failed(self._script.plan.failure, [])
        reason = self._script.incomplete_reason
        return {
            **self._base,
            "status": "incomplete" if reason else "completed",
            "completed_at": None if reason else int(time.time()),
            "incomplete_details": {"reason": reason} if reason else None,
            "output": output_of(self._script),
            "service_tier": _final_tier(self._base["service_tier"]),
            "usage": self._usage,
        }

    def failed(self, failure: Failure, output: list[Json]) -> Json:
        error = {"code": failure.code, "message": failure.message}
        return {**self._base, "status": "failed", "error": error, "output": output}


def _removed(context: list[Json], reason: str) -> list[Json]:
    """What the API tells about replayed reasoning that it left out (docs/mapping.md#what-an-upstream-keeps)."""
    return [
        {"id": item["id"], "action": "removed", "type": "reasoning", "reason": reason or "organization_mismatch"}
        for item in context
        if item["type"] == "reasoning"
    ]


def output_of(script: Script) -> list[Json]:
    return [items.to_final(item, item_status(script, position)) for position, item in enumerate(script.items)]


def item_status(script: Script, position: int) -> str:
    """Only the last item of an incomplete answer is itself incomplete."""
    is_last = position == len(script.items) - 1
    return "incomplete" if is_last and script.incomplete_reason else "completed"


def _final_tier(asked: str) -> str:
    return {"auto": "default", "fast": "priority"}.get(asked, asked)


def _base(request: ResponsesRequest, id: str, created_at: int) -> Json:
    params = request.params
    text = params.get("text", {})
    named = {} if request.conversation_id is None else {"conversation": {"id": request.conversation_id}}
    return {
        **named,
        "id": id,
        "object": "response",
        "created_at": created_at,
        "status": "in_progress",
        "background": request.background,
        "completed_at": None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
        **_echoed(params),
        "model": dated(request.model),
        "moderation": None,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls,
        "presence_penalty": 0.0,
        "reasoning": _reasoning(request),
        "service_tier": params.get("service_tier", "auto"),
        "store": request.store,
        "temperature": float(params.get("temperature", 1.0)),
        "text": {"format": request.text_format, "verbosity": text.get("verbosity") or "medium"},
        "tool_choice": request.tool_choice,
        "tool_usage": _TOOL_USAGE,
        "tools": [to_echoed_tool(tool) for tool in request.tools],
        "top_logprobs": params.get("top_logprobs", 0),
        "top_p": float(params.get("top_p", 0.98 if request.reasons else 1.0)),
        "truncation": params.get("truncation", "disabled"),
        "usage": None,
        "metadata": params.get("metadata", {}),
    }


_ECHOED = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "user",
)


def _echoed(params: Json) -> dict[str, Any]:
    """The parameters returned as they came, null when they did not."""
    return {name: params.get(name) for name in _ECHOED}


def _reasoning(request: ResponsesRequest) -> Json:
    asked = request.reasoning
    if not request.reasons:
        return {"effort": asked.get("effort"), "summary": None}
    return {
        "context": asked.get("context") or "current_turn",
        "effort": request.effort,
        "mode": asked.get("mode") or "standard",
        "summary": asked.get("summary") or asked.get("generate_summary"),
    }
