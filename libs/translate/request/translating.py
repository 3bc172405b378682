"""A chat request to a Responses request (docs/mapping.md#requests).

`parse` turns bytes into a request or a refusal that names the field; `translate` makes the upstream
request and the plan for its answer. The same request always gives the same bytes: caches upstream
depend on it.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from libs.schemas.config import Profile
from libs.schemas.plan import Format, StreamPlan
from libs.schemas.wire.chat import ChatRequest
from libs.schemas.wire.responses import ResponsesRequest
from libs.translate.errors import InvalidRequest, missing, unsupported
from libs.translate.ids import APPROVAL
from libs.translate.request import named_conversation, policies
from libs.translate.request.assembly import Parts, lost, to_body, to_plan
from libs.translate.request.body import Reader
from libs.translate.request.dropped import to_header_names
from libs.translate.request.formats import needs_json, sends_schema
from libs.translate.request.legacy import uses_functions
from libs.translate.request.limits import to_choices, to_output_limit, to_stops
from libs.translate.request.messages import Input, to_input
from libs.translate.request.parts import Terms
from libs.translate.request.tool_choice import Choice, read_choice, to_tool_choice
from libs.translate.request.tools import Tool, declares, read_tools, to_tools

_READER: Reader[ChatRequest] = Reader(ChatRequest)
_ENCODER = msgspec.json.Encoder()
_DEFAULT_PROFILE = Profile()


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it was read; `unknown` holds what stands under keys that no Struct names, by their paths."""

    chat: ChatRequest
    tools: list[Tool]
    choice: Choice
    unknown: dict[str, Raw]


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream request, and what came of the client's parameters on the way.

    `forwarded` goes up besides `body`. The plan says nothing yet of how the answer is kept.
    """

    body: ResponsesRequest
    forwarded: dict[str, Raw]
    input: Input
    plan: StreamPlan
    dropped: list[str]


def parse(body: bytes) -> Parsed:
    """Return the request in `body`. Raises InvalidRequest for a malformed one."""
    chat, unknown = _READER.read(body)
    tools = read_tools(chat.tools or (), unknown)
    choice = read_choice(chat.tool_choice, unknown)
    return Parsed(chat=chat, tools=tools, choice=choice, unknown=unknown)


def translate(
    parsed: Parsed,
    *,
    model: str,
    profile: Profile = _DEFAULT_PROFILE,
    format_: Format = "chat",
    store: bool = False,
    continues: bool = False,
    replays: bool = False,
    heads: Mapping[str, str] | None = None,
) -> Translated:
    """Return the upstream request for `model`.

    `store` is what an absent `store` means here, `continues` that the messages follow others though the
    request names none, `replays` that the answer's items are to be sent again. `heads` gives the first
    characters of media that stayed on the edge, by placeholder. Raises InvalidRequest for what chat itself
    refuses, and NeedsNative for what only the upstream's own chat endpoint can serve.
    """
    _check(parsed.chat)
    continues = continues or named_conversation.names_parent(parsed.chat)
    kept = policies.apply(parsed.chat, parsed.unknown, profile, format_)
    chat = kept.chat
    as_schema = sends_schema(chat, profile.json_object, model)
    made = to_input(chat.messages, _terms(chat, parsed.tools, profile, format_, as_schema, continues, heads or {}))
    tools = to_tools(chat, parsed.tools, profile, format_)
    parts = Parts(
        chat=chat,
        model=model,
        profile=profile,
        format=format_,
        input=made,
        limit=to_output_limit(chat, profile),
        choices=to_choices(chat, profile, format_),
        stops=to_stops(chat, format_),
        legacy=uses_functions(chat),
        tools=tools,
        choice=to_tool_choice(chat, parsed.choice, tools.params, profile),
        as_schema=as_schema,
        store=store,
        replays=replays,
    )
    return Translated(
        body=to_body(parts),
        forwarded=kept.forwarded,
        input=made,
        plan=to_plan(parts),
        dropped=to_header_names(kept.dropped + made.dropped + lost(parts)),
    )


def encode(body: ResponsesRequest, forwarded: Mapping[str, Raw]) -> bytes:
    """Return the bytes to send."""
    data = _ENCODER.encode(body)
    return data[:-1] + b"," + _ENCODER.encode(forwarded)[1:] if forwarded else data


def _terms(
    chat: ChatRequest,
    tools: list[Tool],
    profile: Profile,
    format_: Format,
    as_schema: bool,
    continues: bool,
    heads: Mapping[str, str],
) -> Terms:
    return Terms(
        profile=profile,
        format=format_,
        heads=heads,
        continues=continues,
        approvals=not declares(tools, APPROVAL),
        needs_json=needs_json(chat, as_schema=as_schema, continues=continues),
    )


def _check(chat: ChatRequest) -> None:
    if not chat.model:
        raise missing("model")
    if chat.stream_options is not None and not chat.stream:
        raise InvalidRequest("'stream_options' is only allowed when 'stream' is true.", "stream_options")
    if chat.background:
        raise unsupported("background")  # a chat client waits for its answer
