"""Responses answers, event by event and item by item, as short as a test needs them."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.completion import AssistantMessage, ChatCompletionChunk
from libs.schemas.wire.events import StreamEvent, decode_event
from libs.translate.answer.completion import sum_of
from libs.translate.answer.deltas import ItemTranslator
from libs.translate.answer.stream import ChunkStream

Json = dict[str, Any]

PLAN = StreamPlan(stream=True)

# -- items ------------------------------------------------------------------------------------------


def message(*texts: str, phase: str | None = None, annotations: list[Json] | None = None) -> Json:
    """A message item with one part for each text; annotations belong to the last."""
    content: list[Json] = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    if annotations:
        content[-1]["annotations"] = annotations
    return {"type": "message", "id": "msg_1", "role": "assistant", "phase": phase, "content": content}


def refusal(text: str) -> Json:
    """A message item that refuses."""
    return {"type": "message", "id": "msg_1", "content": [{"type": "refusal", "refusal": text}]}


def call(call_id: str = "call_1", name: str = "look", arguments: str = "{}") -> Json:
    """A function call item; its own id differs from its `call_id`, as everywhere."""
    return {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name, "arguments": arguments}


def reasoning(*summary: str, raw: tuple[str, ...] = ()) -> Json:
    """A reasoning item."""
    item: Json = {"type": "reasoning", "id": "rs_1"}
    item["summary"] = [{"type": "summary_text", "text": text} for text in summary]
    if raw:
        item["content"] = [{"type": "reasoning_text", "text": text} for text in raw]
    return item


def custom(call_id: str = "call_1", name: str = "query", text: str = "SELECT 1") -> Json:
    """A call of a custom tool."""
    return {"type": "custom_tool_call", "id": f"ctc_{call_id}", "call_id": call_id, "name": name, "input": text}


def approval(id_: str = "mcpr_1", arguments: str = "{}") -> Json:
    """A question whether a tool of an MCP server may be called."""
    return {"type": "mcp_approval_request", "id": id_, "server_label": "s", "name": "delete", "arguments": arguments}


def image(result: str | None = "aGk=", **fields: Any) -> Json:
    """An image that the upstream made."""
    return {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": result, **fields}


def token(text: str, **fields: Any) -> Json:
    """A token's log probability, as a delta brings it."""
    return {"token": text, "logprob": -0.5, "top_logprobs": [], **fields}


def citation(start: int, end: int, url: str = "https://tides.example") -> Json:
    """A citation in its flat form."""
    return {"type": "url_citation", "start_index": start, "end_index": end, "url": url, "title": "Tides"}


# -- events -----------------------------------------------------------------------------------------


def event(kind: str, **fields: Any) -> StreamEvent:
    """An event of type `kind`, by way of its bytes."""
    return decode_event(kind.encode(), json.dumps({"type": kind, **fields}).encode())


def response(*output: Json, **fields: Any) -> Json:
    """A Response object."""
    return {"id": "resp_1", "created_at": 1767225600, "model": "m-2026", "output": list(output), **fields}


def created(**fields: Any) -> StreamEvent:
    """The first event of an answer."""
    return event("response.created", response=response(status="in_progress", **fields))


def completed(*output: Json, **fields: Any) -> StreamEvent:
    """The last event of a whole answer."""
    return event("response.completed", response=response(*output, status="completed", **fields))


def incomplete(reason: str, *output: Json) -> StreamEvent:
    """The last event of an answer that was cut."""
    details = {"reason": reason}
    return event("response.incomplete", response=response(*output, status="incomplete", incomplete_details=details))


def failed(code: str, message: str = "No.", **fields: Any) -> StreamEvent:
    """The last event of an answer that failed."""
    error = {"code": code, "message": message, **fields}
    return event("response.failed", response=response(status="failed", error=error))


def added(index: int, item: Json | None) -> StreamEvent:
    """An item begins."""
    return event("response.output_item.added", output_index=index, item=item)


def done(index: int, item: Json | None) -> StreamEvent:
    """An item is complete."""
    return event("response.output_item.done", output_index=index, item=item)


def text(index: int, delta: str, part: int = 0, **fields: Any) -> StreamEvent:
    """Text of a message."""
    return event("response.output_text.delta", output_index=index, content_index=part, delta=delta, **fields)


def arguments(index: int, delta: str) -> StreamEvent:
    """Arguments of a call."""
    return event("response.function_call_arguments.delta", output_index=index, delta=delta)


def custom_input(index: int, delta: str) -> StreamEvent:
    """Input of a custom call."""
    return event("response.custom_tool_call_input.delta", output_index=index, delta=delta)


def arguments_done(index: int, whole: str) -> StreamEvent:
    """All arguments of a call."""
    return event("response.function_call_arguments.done", output_index=index, arguments=whole)


def summary(index: int, delta: str, part: int = 0) -> StreamEvent:
    """Text of a reasoning summary."""
    return event("response.reasoning_summary_text.delta", output_index=index, summary_index=part, delta=delta)


def raw_reasoning(index: int, delta: str, part: int = 0) -> StreamEvent:
    """Raw reasoning text."""
    return event("response.reasoning_text.delta", output_index=index, content_index=part, delta=delta)


# -- chunks -----------------------------------------------------------------------------------------


def feed(stream: ChunkStream, *events: StreamEvent) -> list[Json]:
    """Feed events one after the other; return the chunks as a client sees them."""
    return [_plain(chunk) for one in events for chunk in stream.feed(one)]


def _plain(chunk: ChatCompletionChunk) -> Json:
    plain: Json = msgspec.to_builtins(chunk)
    return plain


def chunks(*events: StreamEvent, plan: StreamPlan = PLAN) -> list[Json]:
    """Return the chunks of an answer."""
    return feed(ChunkStream(plan), *events)


def deltas(made: list[Json]) -> list[Json]:
    """Return what each chunk adds, without the role chunk and chunks that add nothing."""
    found = [choice["delta"] for chunk in made for choice in chunk["choices"]]
    return [delta for delta in found if delta and "role" not in delta]


def said(made: list[Json], key: str) -> str:
    """Return all that was said under one key, such as `content`."""
    return "".join(delta.get(key) or "" for delta in deltas(made))


def calls(made: list[Json]) -> list[Json]:
    """Return the tool calls a client puts together; fails when one's deltas are not contiguous."""
    whole: list[Json] = []
    for delta in (part for added_ in deltas(made) for part in added_.get("tool_calls", ())):
        if delta["index"] == len(whole):
            function = delta["function"]
            whole.append({"id": delta["id"], "name": function["name"], "arguments": function["arguments"]})
        else:
            assert delta["index"] == len(whole) - 1, "a call's deltas are not contiguous"
            assert "id" not in delta and "name" not in delta["function"], "said twice"
            assert delta["function"]["arguments"], "a delta that adds nothing"
            whole[-1]["arguments"] += delta["function"]["arguments"]
    return whole


# -- messages ---------------------------------------------------------------------------------------


def to_message(output: Sequence[Raw], plan: StreamPlan = PLAN) -> AssistantMessage:
    """The assistant message that these output items make."""
    deltas = ItemTranslator(plan)
    return sum_of([*deltas.finish(output), *deltas.closing()])
