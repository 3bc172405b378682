"""Chat requests as clients write them, as short as a test needs them."""

import json
from typing import Any

import msgspec
import pytest

from libs.schemas.config import Profile
from libs.schemas.plan import Format
from libs.schemas.wire.chat import ChatRequest, Message
from libs.translate.errors import InvalidRequest
from libs.translate.request.body import Reader
from libs.translate.request.messages import Input, to_input
from libs.translate.request.parts import Terms
from libs.translate.request.translating import Translated, encode, parse, translate

Json = dict[str, Any]

_MESSAGES: Reader[list[Message]] = Reader(list[Message])

USER: Json = {"role": "user", "content": "Hi."}
PROFILE = Profile()
# An upstream without a chat endpoint, which nothing can be handed to.
BRIDGED = Profile(api="responses")

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
    return _MESSAGES.read(json.dumps(given).encode())[0]


# -- requests ---------------------------------------------------------------------------------------


def body(*given: Json, **fields: Any) -> bytes:
    """Return a request's body; without messages it has one."""
    return json.dumps({"model": "gpt-5.6-sol", "messages": given or [USER], **fields}).encode()


def request(*given: Json, **fields: Any) -> ChatRequest:
    """Return a request as it is decoded from a body."""
    return parse(body(*given, **fields)).chat


def translated(
    *given: Json, stored: bool = False, profile: Profile = PROFILE, format_: Format = "chat", **fields: Any
) -> Translated:
    """Return the translation of a request."""
    made = parse(body(*given, **fields))
    return translate(made, model=made.chat.model, profile=profile, format_=format_, store=stored)


def sent(*given: Json, **options: Any) -> Json:
    """Return the body that goes up for a request; options are those of `translated`."""
    made = translated(*given, **options)
    up: Json = json.loads(encode(made.body, made.forwarded))
    return up


def made_input(*given: Json, **terms: Any) -> Input:
    """Return the translation of a history; `terms` are those of `Terms`."""
    return to_input(messages(*given), Terms(**terms))


def items(*given: Json, **terms: Any) -> list[Json]:
    """Return the input items of a history, as they go up."""
    plain: list[Json] = json.loads(msgspec.json.encode(made_input(*given, **terms).items))
    return plain


def refusal(*given: Json, **fields: Any) -> InvalidRequest:
    """Return what a request is refused with; fails when it is not."""
    with pytest.raises(InvalidRequest) as raised:
        translated(*given, **fields)
    return raised.value
