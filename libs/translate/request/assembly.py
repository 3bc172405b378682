"""Puts a translated request together: its body, the plan for its answer, and what it lost."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from libs.schemas.config import Profile
from libs.schemas.plan import Format, StreamPlan
from libs.schemas.wire.chat import ChatRequest
from libs.schemas.wire.fields import FIELDS, SHARED
from libs.schemas.wire.responses import Reasoning, ResponsesRequest, ResponsesStreamOptions, ToolChoiceParam
from libs.translate.request.body import is_given
from libs.translate.request.formats import is_structured, to_text
from libs.translate.request.limits import OutputLimit, to_top_logprobs
from libs.translate.request.messages import INSTRUCTION_SEPARATOR, Input
from libs.translate.request.models import may_reason, takes_no_sampling
from libs.translate.request.tools import Tools

ENCRYPTED_REASONING = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
_SAME = tuple(
    name for name, field in FIELDS.items() if field.fate == "same" and name in ResponsesRequest.__struct_fields__
)


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is put together from; `store` is what an absent `store` means, `replays` that the
    answer's items are to be sent again."""

    chat: ChatRequest
    model: str
    profile: Profile
    format: Format
    input: Input
    limit: OutputLimit
    choices: int
    stops: list[str]
    legacy: bool
    tools: Tools
    choice: ToolChoiceParam | UnsetType
    as_schema: bool
    store: bool
    replays: bool


def to_body(parts: Parts) -> ResponsesRequest:
    """Return the upstream request. Raises InvalidRequest."""
    chat, params = parts.chat, parts.tools.params
    return ResponsesRequest(
        model=parts.model,
        instructions=_instructions(parts),
        input=parts.input.items,
        previous_response_id=chat.previous_response_id or UNSET,
        tools=params or UNSET,
        tool_choice=parts.choice,
        parallel_tool_calls=_parallel(parts) if params else UNSET,
        reasoning=_reasoning(parts),
        text=to_text(chat, as_schema=parts.as_schema),
        max_output_tokens=_or_unset(parts.limit.tokens),
        temperature=_sampling(chat.temperature, parts.model),
        top_p=_sampling(chat.top_p, parts.model),
        top_logprobs=_or_unset(to_top_logprobs(chat)),
        include=_include(parts) or UNSET,
        stream_options=_stream_options(chat),
        stream=bool(chat.stream),
        store=_stored(parts),
        **{name: _or_unset(getattr(chat, name)) for name in _SAME},
    )


def _sampling(value: float | None, model: str) -> float | UnsetType:
    """The default, which the chat endpoint takes from every client, is refused by reasoning models when it is sent."""
    return UNSET if value is None or (value == 1 and takes_no_sampling(model)) else value


def to_plan(parts: Parts) -> StreamPlan:
    """Return the plan for the answer; how the answer is kept is not for the translation to say."""
    chat = parts.chat
    return StreamPlan(
        stream=bool(chat.stream),
        format=parts.format,
        include_usage=bool(chat.stream_options and chat.stream_options.include_usage),
        structured=is_structured(chat),
        logprobs=bool(chat.logprobs),
        functions=parts.legacy,
        reasoning_field=parts.profile.reasoning_field,
        choices=parts.choices,
        stop=parts.stops,
        message_indexes=parts.input.message_indexes,
        renames=_renames(parts),
    )


def lost(parts: Parts) -> list[str]:
    """Return the fields that went up changed, or not at all, besides those that a policy decided."""
    chat = parts.chat
    effort = chat.reasoning.effort if chat.reasoning else None
    padded = chat.stream_options.include_obfuscation if chat.stream_options else None
    checks = (
        (parts.as_schema, "response_format"),
        (bool(chat.store) and not _stored(parts), "store"),
        (chat.reasoning_effort is not None and effort not in (None, chat.reasoning_effort), "reasoning.effort"),
        (padded, "stream_options.include_obfuscation"),
        (parts.legacy and any(function.strict for function in chat.functions or ()), "functions.strict"),
        (not parts.legacy and chat.function_call not in (None, "none", "auto"), "function_call"),
    )
    return [*parts.limit.dropped, *(name for holds, name in checks if holds)]


def _stored(parts: Parts) -> bool:
    """None of several answers is stored: Parley could not know which one the client continues.

    See docs/mapping.md#several-choices.
    """
    return (parts.store if parts.chat.store is None else parts.chat.store) and parts.choices == 1


def _instructions(parts: Parts) -> str | UnsetType:
    """The client's own come first, then what was hoisted (docs/mapping.md#instructions)."""
    given = [text for text in (parts.chat.instructions, parts.input.instructions) if text is not None]
    return INSTRUCTION_SEPARATOR.join(given) if given else UNSET


def _parallel(parts: Parts) -> bool | UnsetType:
    """The legacy form can return one call alone (docs/mapping.md#legacy-functions)."""
    return False if parts.legacy else _or_unset(parts.chat.parallel_tool_calls)


def _reasoning(parts: Parts) -> Reasoning | UnsetType:
    """Never an empty object: models that do not reason refuse it (docs/mapping.md#fields-that-parley-adds)."""
    chat, own = parts.chat, parts.profile.reasoning_summary
    given = chat.reasoning
    summary = given.summary if given else None
    if summary is None and own != "none" and may_reason(parts.model):
        summary = own
    made = Reasoning(
        effort=chat.reasoning_effort or (given.effort if given else None),
        summary=summary,
        generate_summary=given.generate_summary if given else None,
        context=given.context if given else None,
        mode=given.mode if given else None,
    )
    return UNSET if made == Reasoning() else made


def _include(parts: Parts) -> list[str]:
    """What the client wants, what its `logprobs` need, and reasoning that can be sent again.

    See docs/mapping.md#fields-that-parley-adds.
    """
    wanted = list(parts.chat.include or ())
    if parts.chat.logprobs:
        wanted.append(LOGPROBS)
    again = parts.replays or not _stored(parts)
    if again and parts.profile.encrypted_reasoning and may_reason(parts.model):
        wanted.append(ENCRYPTED_REASONING)
    return list(dict.fromkeys(wanted))


def _stream_options(chat: ChatRequest) -> ResponsesStreamOptions | UnsetType:
    """Padding that the client does not want need not come from the upstream either."""
    options = chat.stream_options
    if options is None or options.include_obfuscation is not False:
        return UNSET
    return ResponsesStreamOptions(include_obfuscation=False)


def _renames(parts: Parts) -> dict[str, str]:
    """Upstream parameters by the names the client used; only where they differ from the usual ones.

    See docs/mapping.md#paths-in-errors.
    """
    chat = parts.chat
    renames = {"max_output_tokens": parts.limit.name, **parts.tools.renames}
    if parts.legacy:
        renames["tool_choice"] = "function_call"
    if parts.as_schema:
        renames["text.format.schema"] = "response_format"
    if chat.reasoning is not None:
        names = ("effort",) if chat.reasoning_effort is None else ()
        renames |= {f"reasoning.{name}": f"reasoning.{name}" for name in (*names, "summary")}
    # Where the client gave what Parley sets too, an upstream's complaint is the client's.
    renames |= {name: name for name in SHARED if getattr(chat, name) is not None}
    return renames


def _or_unset(value: Any) -> Any | UnsetType:
    given = is_given(value) if isinstance(value, Raw) else value is not None
    return value if given else UNSET
