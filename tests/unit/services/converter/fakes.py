"""A converter whose state service knows what a test gives it."""

import json
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from libs.runtime.call import BusContext
from libs.runtime.errors import CallTimeout
from libs.schemas.bus.convert import (
    ClientOptions,
    Converted,
    ConvertReply,
    ConvertRequest,
    Refused,
)
from libs.schemas.bus.state import Found, HeadTurns, KeptToolCall, OpenRequest, ResolveReply, ResolveRequest, Turn
from libs.schemas.config import Config, Conversation, Upstream
from libs.schemas.plan import PLAN_VERSION, CommitPlan
from libs.translate.continuity import fingerprint
from libs.translate.continuity.arguments import outline
from services.converter.handlers import Converter
from tests.support.chats import Json, assistant, calling, messages, system, tool, user

HISTORY = [system("Be kind."), user("One"), assistant("Two"), user("Three")]
LONGER = [*HISTORY, assistant("Four"), user("Five")]
CALLED = [user("One"), calling("c"), tool("c")]
ENCRYPTED = ["reasoning.encrypted_content"]
OWNER = fingerprint.scope_digest("t", "acc", "")
ORIGINAL: list[Json] = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
    {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Two"}]},
]


def turn(**fields: Any) -> Turn:
    """A turn that may be continued."""
    defaults: dict[str, Any] = {
        "key": "e",
        "response_id": "resp_1",
        "upstream": "a",
        "account": "acc",
        "model": "m",
        "prefix": "",
        "end": "ee",
        "asked": "asked",
        "start": "5a",
        "context": "",
        "conversation": "found",
        "chainable": True,
        "stored": True,
        "created": 0,
        "expires": int(time.time()) + 86400,  # some are made when the tests are collected
    }
    return Turn(**{**defaults, **fields})


def known(turns: list[Json] = HISTORY, *, hoisted: int = 1, items: list[Json] | None = None, **fields: Any) -> Found:
    """The newest answer of a history, as it was kept."""
    decoded = messages(*turns)
    answer = fingerprint.history(decoded, hoisted, OWNER, {}).turns[-1]
    calls = [
        KeptToolCall(id=id_, name=name, outline=outline(arguments))
        for id_, name, arguments in fingerprint.tool_calls_of(decoded[answer.index])
    ]
    kept = turn(**{"prefix": answer.prefix, "end": answer.end, "tool_calls": calls, **fields})
    raw = None if items is None else [json.dumps(item).encode() for item in items]
    return Found(index=0, exact=True, turn=kept, items=raw)


class State:
    """Knows what it is given, and keeps the questions."""

    def __init__(self, *found: Found, head: HeadTurns | None = None, open_: Sequence[OpenRequest] = ()) -> None:
        self.asked: list[ResolveRequest] = []
        self.replies = [ResolveReply(found=list(found), head=head, open=list(open_))]  # the last for good

    async def resolve(self, request: ResolveRequest, context: BusContext) -> ResolveReply:
        self.asked.append(request)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


async def away(request: ResolveRequest, context: BusContext) -> ResolveReply:
    raise CallTimeout("no reply")


def upstream(**fields: Any) -> Upstream:
    return Upstream(**{"name": "a", "base_url": "https://a", "auth": "client", **fields})


async def convert(
    state: State | None = None,
    turns: list[Json] = HISTORY,
    *,
    said: Json | None = None,
    up: Upstream | None = None,
    mode: Any = "auto",
    token: str | None = None,
    format_: Any = None,
    request_id: str = "req_1",
    settings: Conversation | None = None,
    **fields: Any,
) -> ConvertReply:
    body = json.dumps({"model": "m", "messages": turns, **fields}).encode()
    request = ConvertRequest(
        plan_version=PLAN_VERSION,
        body=body,
        tenant="t",
        accounts={"a": "acc"},
        client_options=ClientOptions(**(said or {})),
        mode=mode,
        token=token,
        format=format_,
    )
    config = Config(upstream=[up or upstream()], conversation=settings or Conversation())
    resolve = away if state is None else state.resolve
    return await Converter(config, resolve).convert(request, BusContext(request_id=request_id))


async def converted(*args: Any, **kwargs: Any) -> Converted:
    reply = await convert(*args, **kwargs)
    assert isinstance(reply, Converted), reply
    return reply


async def refused(*args: Any, **kwargs: Any) -> Refused:
    reply = await convert(*args, **kwargs)
    assert isinstance(reply, Refused), reply
    return reply


def sent(reply: Converted) -> Json:
    body: Json = msgspec.json.decode(reply.body)
    return body


def told(reply: Converted) -> tuple[str, str, int]:
    return reply.continuity.mode, reply.continuity.reason, reply.continuity.matched


def commit(reply: Converted) -> CommitPlan:
    assert reply.plan.commit is not None
    return reply.plan.commit


NAMED: Json = {"conversation": "c"}
DELTA: Json = {"conversation": "c", "delta": True}
CHAINS = upstream(continuity="chain")
REPLAYS = upstream(continuity="replay")
