"""Chat requests as clients write them, as short as a test needs them."""

import json
from typing import Any

import msgspec
import pytest

from libs.schemas.chat import ChatRequest, Message
from libs.translate.errors import InvalidRequest
from libs.translate.messages import Input, to_input
from libs.translate.request import Translated, encode, parse, translate

Json = dict[str, Any]

_MESSAGES = msgspec.json.Decoder(list[Message])

USER: Json = {"role": "user", "content": "Hi."}

# -- messages ---------------------------------------------------------------------------------------


def system(text: str) -> Json:
    """A system message."""
    return {"role": "system", "content": text}


def user(content: Any) -> Json:
    """A user message."""
    return {"role": "user", "content": content}


def assistant(content: Any = None, **fields: Any) -> Json:
    """An assistant message."""
    return {"role": "assistant", "content": content, **fields}


def calling(*call_ids: str, arguments: str = "{}", content: str | None = None) -> Json:
    """An assistant message with a call for each id."""
    function = {"name": "look", "arguments": arguments}
    calls = [{"id": call_id, "type": "function", "function": function} for call_id in call_ids]
    return assistant(content, tool_calls=calls)


def tool(call_id: str, content: Any = "done") -> Json:
    """A tool result."""
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def text(value: str) -> Json:
    """A text part."""
    return {"type": "text", "text": value}


def messages(*given: Json) -> list[Message]:
    """Return messages as they are decoded from a body."""
    return _MESSAGES.decode(json.dumps(given).encode())


# -- requests ---------------------------------------------------------------------------------------


def body(*given: Json, **fields: Any) -> bytes:
    """Return a request's body; without messages it has one."""
    return json.dumps({"model": "gpt-5.6-sol", "messages": given or [USER], **fields}).encode()


def request(*given: Json, **fields: Any) -> ChatRequest:
    """Return a request as it is decoded from a body."""
    return parse(body(*given, **fields))[0]


def translated(*given: Json, stored: bool = False, **fields: Any) -> Translated:
    """Return the translation of a request."""
    made = request(*given, **fields)
    return translate(made, model=made.model, store=stored)


def sent(*given: Json, stored: bool = False, **fields: Any) -> Json:
    """Return the body that goes up for a request."""
    up: Json = json.loads(encode(translated(*given, stored=stored, **fields).body))
    return up


def made_input(*given: Json) -> Input:
    """Return the translation of a history."""
    return to_input(messages(*given))


def items(*given: Json) -> list[Json]:
    """Return the input items of a history, as they go up."""
    plain: list[Json] = msgspec.to_builtins(made_input(*given).items)
    return plain


def refusal(*given: Json, **fields: Any) -> InvalidRequest:
    """Return what a request is refused with; fails when it is not."""
    with pytest.raises(InvalidRequest) as raised:
        translated(*given, **fields)
    return raised.value
