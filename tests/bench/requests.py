"""The requests of the load, as bytes. How the upstream answers is told by the model's name."""

import json
from typing import Any, Literal

import msgspec

Surface = Literal["chat", "responses"]

STREAM, STALL, JSON = "stream", "stall", "json"
ENDLESS = 1_000_000  # deltas of a stream that the generator ends
_MEDIA_START = "data:image/png;base64,"
_SENTENCE = "The keeper of the light climbs one hundred and nine steps each evening, and counts them aloud. "


class Model(msgspec.Struct, frozen=True):
    """How the upstream answers: a stream of `deltas` every `pace_ms`, one that stalls, or JSON."""

    kind: str
    deltas: int = 1
    pace_ms: int = 0

    def __str__(self) -> str:
        return f"bench-{self.kind}-{self.deltas}-{self.pace_ms}"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request; `image_bytes` is the length of an image in it, `conversation` the name it gives."""

    surface: Surface
    model: Model
    image_bytes: int = 0
    conversation: str = ""

    def encode(self) -> bytes:
        """Return the whole HTTP request."""
        chat = self.surface == "chat"
        path = "/v1/chat/completions" if chat else "/v1/responses"
        body = _chat_body(self) if chat else _responses_body(self)
        name = f"X-Parley-Conversation: {self.conversation}\r\n" if self.conversation else ""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer sk-bench\r\nAccept: */*\r\n"
            f"Content-Type: application/json\r\nUser-Agent: bench\r\n{name}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def _chat_body(request: Request) -> bytes:
    content: Any = _SENTENCE * 2
    if request.image_bytes:
        url = _MEDIA_START + "A" * request.image_bytes
        content = [{"type": "text", "text": content}, {"type": "image_url", "image_url": {"url": url}}]
    messages = [{"role": "system", "content": _SENTENCE}, {"role": "user", "content": content}]
    return to_json({"model": str(request.model), "stream": request.model.kind != JSON, "messages": messages})


def _responses_body(request: Request) -> bytes:
    parts: list[Any] = [{"type": "input_text", "text": _SENTENCE * 2}]
    if request.image_bytes:
        parts.append({"type": "input_image", "image_url": _MEDIA_START + "A" * request.image_bytes, "detail": "auto"})
    body = {
        "model": str(request.model),
        "stream": request.model.kind != JSON,
        "instructions": _SENTENCE,
        "input": [{"type": "message", "role": "user", "content": parts}],
    }
    return to_json(body)


def history_body(messages: int, *, tool_calls: int = 0) -> bytes:
    """Return a chat body of `messages` messages, 95 to 190 characters each, or of one turn of tool calls."""
    if tool_calls:
        return to_json({"model": str(Model(JSON)), "messages": _tool_history(tool_calls)})
    turns = [
        {"role": ("user", "assistant")[k % 2], "content": f"{k}: {_SENTENCE * (1 + k % 2)}"} for k in range(messages)
    ]
    return to_json({"model": str(Model(JSON)), "messages": turns})


def _tool_history(count: int) -> list[Any]:
    arguments = json.dumps({"path": "lamp/log.txt", "lines": 40})
    calls = [
        {"id": f"call_{k:024}", "type": "function", "function": {"name": "read", "arguments": arguments}}
        for k in range(count)
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": _SENTENCE * 10} for call in calls]
    return [
        {"role": "user", "content": _SENTENCE},
        {"role": "assistant", "content": None, "tool_calls": calls},
        *results,
    ]


def to_json(value: Any) -> bytes:
    """Return JSON without white space, as SDKs send it."""
    return json.dumps(value, separators=(",", ":")).encode()
