"""The answers of the upstream, of the Responses API's shape, as bytes."""

from base64 import b64encode
from random import Random
from typing import Any

from tests.bench.requests import to_json

TOKEN = b" lighthouse"  # the text of every delta, by which a client knows the first one
_TEXT = TOKEN.decode()
_RESPONSE = "resp_ae408e769d0d5e2af62058ca"
_ITEM = "msg_e7e033d82628ea2101f0c5d9"
_SEALED = b64encode(Random(1).randbytes(1125)).decode()  # 1.5 KB, as much as a short thought takes
_PLACE_OF_NUMBER = b"@@@@@@@@"
AGENT_CALLS = 2  # of three answers of an agent, so many make a call


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
        "id": _RESPONSE,
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
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
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


# -- an agent ---------------------------------------------------------------------------------------


def agent_output(number: int) -> list[bytes]:
    """Return the output items of the answer of this number: reasoning, a text, and in two of three a call."""
    return [numbered(to_json(item), number) for item in _agent_items(calls=_calls(number))]


def agent_template(model: str, number: int) -> list[bytes]:
    """Return the events of a streamed answer; `numbered` makes one of them that of a single answer."""
    response_id = f"resp_{_PLACE_OF_NUMBER.decode()}"
    opened = {**response(model, "", "in_progress"), "id": response_id}
    items = _agent_items(calls=_calls(number))
    closed = {**response(model, _TEXT, "completed"), "id": response_id, "output": items}
    events = [_event("response.created", response=opened), _event("response.in_progress", response=opened)]
    for index, item in enumerate(items):
        events += _agent_item(index, item)
    return [*events, _event("response.completed", response=closed)]


def numbered(template: bytes, number: int) -> bytes:
    """Return the answer of this number, whose ids no other answer has."""
    return template.replace(_PLACE_OF_NUMBER, b"%08x" % number)


def _calls(number: int) -> bool:
    return number % 3 < AGENT_CALLS


def _agent_items(*, calls: bool) -> list[dict[str, Any]]:
    number = _PLACE_OF_NUMBER.decode()
    reasoning = {"id": f"rs_{number}", "type": "reasoning", "summary": [], "encrypted_content": _SEALED}
    call = {
        "id": f"fc_{number}",
        "type": "function_call",
        "status": "completed",
        "call_id": f"call_{number}",
        "name": "read",
        "arguments": to_json({"path": "lamp/log.txt", "lines": 40}).decode(),
    }
    message = {**_message(_TEXT), "id": f"msg_{number}"}
    return [reasoning, message, call] if calls else [reasoning, message]


def _agent_item(index: int, item: dict[str, Any]) -> list[bytes]:
    """Return the events of one item."""
    place = {"item_id": item["id"], "output_index": index}
    events = []
    opened: dict[str, Any] = item
    if item["type"] == "message":
        opened = {**item, "status": "in_progress", "content": []}
        in_part = {**place, "content_index": 0}
        events = [
            _event("response.content_part.added", **in_part, part=_part("")),
            _event("response.output_text.delta", **in_part, delta=_TEXT, logprobs=[]),
            _event("response.output_text.done", **in_part, text=_TEXT, logprobs=[]),
            _event("response.content_part.done", **in_part, part=_part(_TEXT)),
        ]
    elif item["type"] == "function_call":
        opened = {**item, "status": "in_progress", "arguments": ""}
        events = [
            _event("response.function_call_arguments.delta", **place, delta=item["arguments"]),
            _event("response.function_call_arguments.done", **place, arguments=item["arguments"]),
        ]
    added = _event("response.output_item.added", output_index=index, item=opened)
    return [added, *events, _event("response.output_item.done", output_index=index, item=item)]
