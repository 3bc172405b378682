"""The requests of the load, as bytes. How the upstream answers is told by the model's name."""

import json
from typing import Any, Literal

import msgspec

Surface = Literal["chat", "responses"]

STREAM, STALL, JSON, AGENT = "stream", "stall", "json", "agent"
ENDLESS = 1_000_000  # deltas of a stream that the generator ends
_MEDIA_START = "data:image/png;base64,"
_SENTENCE = "The keeper of the light climbs one hundred and nine steps each evening, and counts them aloud. "


class Model(msgspec.Struct, frozen=True):
    """How the upstream answers: a stream of `deltas` every `pace_ms`, one that stalls, JSON, or as an agent does."""

    kind: str
    deltas: int = 1
    pace_ms: int = 0

    def __str__(self) -> str:
        return f"bench-{self.kind}-{self.deltas}-{self.pace_ms}"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request; `image_bytes` is the length of an image in it, `conversation` the name it gives.

    A chat request may have `messages` of its own, JSON; the text of another is repeated up to `text_bytes`.
    """

    surface: Surface
    model: Model
    image_bytes: int = 0
    conversation: str = ""
    messages: str = ""
    text_bytes: int = 0

    def encode(self) -> bytes:
        """Return the whole HTTP request."""
        chat = self.surface == "chat"
        path = "/v1/chat/completions" if chat else "/v1/responses"
        body = _chat_body(self) if chat else _responses_body(self)
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.headers().items())
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def headers(self) -> dict[str, str]:
        """Return the headers that do not depend on the connection."""
        headers = {
            "Authorization": "Bearer sk-bench",
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": "bench",
        }
        return headers | ({"X-Parley-Conversation": self.conversation} if self.conversation else {})


def _chat_body(request: Request) -> bytes:
    if request.messages:
        return chat_body(request.model, request.messages.encode())
    content: Any = _SENTENCE * 2
    if request.image_bytes:
        url = _MEDIA_START + "A" * request.image_bytes
        content = [{"type": "text", "text": content}, {"type": "image_url", "image_url": {"url": url}}]
    messages = [{"role": "system", "content": _SENTENCE}, {"role": "user", "content": content}]
    return to_json({"model": str(request.model), "stream": request.model.kind != JSON, "messages": messages})


def chat_body(model: Model, messages: bytes) -> bytes:
    """Return the body of a chat request with these `messages`, JSON."""
    stream = b"false" if model.kind == JSON else b"true"
    return b'{"model":"%b","stream":%b,"messages":%b}' % (str(model).encode(), stream, messages)


def _responses_body(request: Request) -> bytes:
    text = _SENTENCE * max(2, request.text_bytes // len(_SENTENCE))
    parts: list[Any] = [{"type": "input_text", "text": text}]
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


def tool_result(call_id: str) -> dict[str, str]:
    """Return the message that answers a call."""
    return {"role": "tool", "tool_call_id": call_id, "content": _SENTENCE * 5}


def user_message() -> dict[str, str]:
    """Return what a user says next."""
    return {"role": "user", "content": _SENTENCE}


def to_json(value: Any) -> bytes:
    """Return JSON without white space, as SDKs send it."""
    return json.dumps(value, separators=(",", ":")).encode()
