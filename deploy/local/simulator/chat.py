"""`POST /v1/chat/completions`, native and small: the same scripts in the chat form, for calls past the gateway."""

import re
import secrets
import time
from collections.abc import Iterator
from typing import Any

from deploy.local.simulator import errors, script
from deploy.local.simulator.exchange import Exchange
from deploy.local.simulator.input_items import to_items
from deploy.local.simulator.items import Call, Message
from deploy.local.simulator.kinds import ARRAY, OBJECT, check_kind
from deploy.local.simulator.models import dated
from deploy.local.simulator.request import ResponsesRequest
from deploy.local.simulator.script import SCRIPT_HEADER, Script
from deploy.local.simulator.stream import Cut, Pause, Step, send_stream
from deploy.local.simulator.wire import Json, to_data_frame
from deploy.local.simulator.world import World

_WORDS = re.compile(r"\s*\S+|\s+$")
_DONE = b"data: [DONE]\n\n"
_PARTS = {"text": "text", "refusal": "refusal"}


async def create(exchange: Exchange, world: World) -> None:
    account = exchange.authenticate()
    body = await exchange.json()
    request = _to_request(body)
    scripted = script.decide(request, request.items, exchange.headers.get(SCRIPT_HEADER, ""), account)
    if scripted.failure is not None:
        raise errors.scripted(500, scripted.failure.code, scripted.failure.message)
    prompt_tokens, cached = world.prompt_cache.measure(request, request.items, account)
    reply = _Reply(request, scripted, _usage(scripted, prompt_tokens, cached))
    exchange.entry.response_id = reply.id
    if request.stream:
        include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        await send_stream(exchange, reply.steps(include_usage), scripted.pace)
    else:
        await exchange.answer(200, reply.whole())


def _to_request(body: Json) -> ResponsesRequest:
    params = {name: value for name, value in body.items() if value is not None}
    for name in ("model", "messages"):
        if name not in params:
            raise errors.missing_parameter(name)
    check_kind(params["messages"], "messages", ARRAY)
    for position, message in enumerate(params["messages"]):
        check_kind(message, f"messages[{position}]", OBJECT)
    if str(params["model"]).startswith("missing-"):
        raise errors.model_not_found(params["model"])
    tools = [{"type": "function", **tool.get("function", {})} for tool in params.get("tools", ())]
    choice = params.get("tool_choice", "auto")
    if isinstance(choice, dict):
        choice = {"type": "function", **choice.get("function", {})}
    kept: Json = {name: params[name] for name in ("model", "stream", "parallel_tool_calls") if name in params}
    kept["max_output_tokens"] = params.get("max_completion_tokens", params.get("max_tokens"))
    kept["reasoning"] = {"effort": params.get("reasoning_effort")}
    return ResponsesRequest(
        {**kept, "tools": tools, "tool_choice": choice},
        to_items([item for message in params["messages"] for item in _items_of(message)]),
    )


def _items_of(message: Json) -> Iterator[Json]:
    role = message.get("role")
    if role == "tool":
        output = _text_of(message.get("content"))
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": output}
        return
    text = _text_of(message.get("content"))
    if text or role != "assistant":
        yield {"role": role, "content": text}
    for call in message.get("tool_calls") or ():
        yield {"type": "function_call", "call_id": call["id"], **call["function"]}


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get(_PARTS.get(part.get("type"), ""), "") for part in content)
    return content or ""


def _usage(scripted: Script, prompt_tokens: int, cached: int) -> Json:
    completion_tokens = scripted.output_tokens
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": scripted.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


class _Reply:
    """One completion, whole or in chunks."""

    def __init__(self, request: ResponsesRequest, scripted: Script, usage: Json) -> None:
        self.id = f"chatcmpl-{secrets.token_hex(14)}"
        self._scripted = scripted
        self._usage = usage
        self._model = dated(request.model)
        self._created = int(time.time())
        self._messages = [item for item in scripted.items if isinstance(item, Message)]
        self._calls = [item for item in scripted.items if isinstance(item, Call)]

    def whole(self) -> Json:
        choice = {"index": 0, "message": self._message(), "logprobs": None, "finish_reason": self._finish_reason()}
        return {**self._envelope("chat.completion"), "choices": [choice], "usage": self._usage}

    def steps(self, include_usage: bool) -> Iterator[Step]:
        usage: Json = {"usage": None} if include_usage else {}
        for delta in self._deltas():
            if isinstance(delta, Pause | Cut):
                yield delta
                if isinstance(delta, Cut):
                    return
            else:
                yield to_data_frame({**self._chunk(delta, None), **usage})
        yield to_data_frame({**self._chunk({}, self._finish_reason()), **usage})
        if include_usage:
            yield to_data_frame({**self._envelope("chat.completion.chunk"), "choices": [], "usage": self._usage})
        yield _DONE

    def _deltas(self) -> Iterator[Json | Pause | Cut]:
        yield {"role": "assistant", "content": "", "refusal": None}
        for message in self._messages:
            key = "refusal" if message.is_refusal else "content"
            words = _WORDS.findall(message.text)
            half = (len(words) + 1) // 2
            yield from ({key: word} for word in words[:half])
            yield from (step for step in self._scripted.interruptions if isinstance(step, Pause | Cut))
            yield from ({key: word} for word in words[half:])
        for index, call in enumerate(self._calls):
            named = {"name": call.name, "arguments": ""}
            yield {"tool_calls": [{"index": index, "id": call.call_id, "type": "function", "function": named}]}
            yield {"tool_calls": [{"index": index, "function": {"arguments": call.arguments}}]}

    def _message(self) -> Json:
        text = "".join(item.text for item in self._messages if not item.is_refusal)
        refusal = "".join(item.text for item in self._messages if item.is_refusal)
        message: Json = {"role": "assistant", "content": text or None, "refusal": refusal or None, "annotations": []}
        if self._calls:
            message["tool_calls"] = [
                {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self._calls
            ]
        return message

    def _finish_reason(self) -> str:
        reasons = {"max_output_tokens": "length", "content_filter": "content_filter"}
        if self._scripted.incomplete_reason is not None:
            return reasons[self._scripted.incomplete_reason]
        return "tool_calls" if self._calls else "stop"

    def _chunk(self, delta: Json, finish_reason: str | None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._envelope("chat.completion.chunk"), "choices": [choice]}

    def _envelope(self, object: str) -> Json:
        return {
            "id": self.id,
            "object": object,
            "created": self._created,
            "model": self._model,
            "service_tier": "default",
            "system_fingerprint": None,
        }
