"""The answers of the upstream, of the Responses API's shape, as bytes."""

from typing import Any

from tests.bench.requests import to_json

TOKEN = b" lighthouse"  # the text of every delta, by which a client knows the first one
_TEXT = TOKEN.decode()
_ITEM = "msg_e7e033d82628ea2101f0c5d9"


def response(model: str, text: str, status: str) -> dict[str, Any]:
    """Return a Response object; without text it has no output yet."""
    usage = {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 42,
    }
    return {
        "id": "resp_ae408e769d0d5e2af62058ca",
        "object": "response",
        "created_at": 1767225600,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": model,
        "output": [_message(text)] if text else [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if text else None,
        "metadata": {},
    }


def stream_begin(model: str) -> list[bytes]:
    """Return the events before the first delta."""
    opened = response(model, "", "in_progress")
    item = {"id": _ITEM, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    return [
        _event("response.created", response=opened),
        _event("response.in_progress", response=opened),
        _event("response.output_item.added", output_index=0, item=item),
        _event("response.content_part.added", **_PLACE, part=_part("")),
    ]


def stream_delta() -> bytes:
    """Return the event of one delta."""
    return _event("response.output_text.delta", **_PLACE, delta=_TEXT, logprobs=[], obfuscation="ae408e769")


def stream_end(model: str, deltas: int) -> list[bytes]:
    """Return the events after the last of `deltas`."""
    text = _TEXT * deltas
    return [
        _event("response.output_text.done", **_PLACE, text=text, logprobs=[]),
        _event("response.content_part.done", **_PLACE, part=_part(text)),
        _event("response.output_item.done", output_index=0, item=_message(text)),
        _event("response.completed", response=response(model, text, "completed")),
    ]


_PLACE = {"item_id": _ITEM, "output_index": 0, "content_index": 0}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(text: str) -> dict[str, Any]:
    return {"id": _ITEM, "type": "message", "role": "assistant", "status": "completed", "content": [_part(text)]}


def _event(name: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), to_json({"type": name, "sequence_number": 7, **fields}))


def json_body(model: str) -> bytes:
    """Return the body of an answer that is not streamed."""
    return to_json(response(model, _TEXT, "completed"))
