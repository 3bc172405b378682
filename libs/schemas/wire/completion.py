"""The Chat Completions wire: the objects and chunks that clients get back.

Field names are OpenAI's (docs/mapping.md#the-completion, #stream-events). `UNSET` fields are not sent.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

# -- what objects and chunks share ------------------------------------------------------------------


class PromptTokensDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of `prompt_tokens`, in tokens."""

    cached_tokens: int = 0
    audio_tokens: int = 0
    cache_write_tokens: int | UnsetType = UNSET


class CompletionTokensDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of `completion_tokens`, in tokens."""

    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class CompletionUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one completion (docs/mapping.md#usage)."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class UrlCitation(msgspec.Struct, frozen=True, kw_only=True):
    """A citation; indexes count characters of the whole content."""

    start_index: int
    end_index: int
    url: str
    title: str


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """The only annotation type that chat knows (docs/mapping.md#annotations)."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitation


class ImageUrlOut(msgspec.Struct, frozen=True, kw_only=True):
    """An image as a data URL."""

    url: str


class ImageOut(msgspec.Struct, frozen=True, kw_only=True):
    """An image that the model made; an extension (docs/mapping.md#images-and-sound)."""

    type: Literal["image_url"] = "image_url"
    image_url: ImageUrlOut


class TopLogprobOut(msgspec.Struct, frozen=True, kw_only=True):
    """An alternative to a token."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprobOut(msgspec.Struct, frozen=True, kw_only=True):
    """A token and how likely it was (docs/mapping.md#log-probabilities)."""

    token: str
    logprob: float
    bytes: list[int] | None
    top_logprobs: list[TopLogprobOut]


class ChoiceLogprobs(msgspec.Struct, frozen=True, kw_only=True):
    """`logprobs` of a choice; the Responses API has none for refusals."""

    content: list[TokenLogprobOut]
    refusal: None = None


class ModerationResults(msgspec.Struct, frozen=True, kw_only=True):
    """What the moderation model said of one side; each result as the upstream gave it."""

    type: Literal["moderation_results"] = "moderation_results"
    model: str
    results: list[Raw]


class ModerationOut(msgspec.Struct, frozen=True, kw_only=True):
    """`moderation` of an answer (docs/mapping.md#moderation); a side that failed is the upstream's error object."""

    input: ModerationResults | Raw | UnsetType = UNSET
    output: ModerationResults | Raw | UnsetType = UNSET


# -- whole answers ----------------------------------------------------------------------------------


class FunctionCallOut(msgspec.Struct, frozen=True, kw_only=True):
    """A function call handed to the client."""

    name: str
    arguments: str


class CustomCallOut(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a custom tool handed to the client."""

    name: str
    input: str


class ToolCallOut(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call handed to the client; `id` is the upstream's `call_id`."""

    id: str
    type: Literal["function", "custom"] = "function"
    function: FunctionCallOut | UnsetType = UNSET
    custom: CustomCallOut | UnsetType = UNSET


class AssistantMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`choices[].message`. `tool_calls` is absent, never empty, when there are none.

    See docs/mapping.md#the-completion.
    """

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    annotations: list[Annotation] = []
    tool_calls: list[ToolCallOut] | UnsetType = UNSET
    function_call: FunctionCallOut | UnsetType = UNSET
    images: list[ImageOut] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of `choices`."""

    index: int = 0
    message: AssistantMessage
    logprobs: ChoiceLogprobs | None = None
    finish_reason: str


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a non-streamed answer (docs/mapping.md#the-completion); `created` in Unix seconds."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    system_fingerprint: None = None
    metadata: dict[str, str] | UnsetType = UNSET
    moderation: ModerationOut | UnsetType = UNSET


# -- streams ----------------------------------------------------------------------------------------


class FunctionDelta(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a function call; the name comes once, with the first."""

    name: str | UnsetType = UNSET
    arguments: str = ""


class CustomDelta(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a custom call; the name comes once, with the first."""

    name: str | UnsetType = UNSET
    input: str = ""


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a tool call; `id` and `type` come once, with the first (docs/mapping.md#order-of-chunks)."""

    index: int
    id: str | UnsetType = UNSET
    type: Literal["function", "custom"] | UnsetType = UNSET
    function: FunctionDelta | UnsetType = UNSET
    custom: CustomDelta | UnsetType = UNSET


class AudioOut(msgspec.Struct, frozen=True, kw_only=True):
    """Part of spoken audio: base64, or what it says."""

    data: str | UnsetType = UNSET
    transcript: str | UnsetType = UNSET


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """What one chunk adds; only what it adds is sent."""

    role: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    refusal: str | None | UnsetType = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType = UNSET
    function_call: FunctionDelta | UnsetType = UNSET
    annotations: list[Annotation] | UnsetType = UNSET
    images: list[ImageOut] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    audio: AudioOut | UnsetType = UNSET


class ChunkChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One of a chunk's `choices`."""

    index: int = 0
    delta: Delta
    logprobs: ChoiceLogprobs | None = None
    finish_reason: str | None = None


class ChatCompletionChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk of a stream; `usage` is a key of every chunk or of none (docs/mapping.md#the-usage-chunk)."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    service_tier: str | UnsetType = UNSET
    system_fingerprint: None = None
    choices: list[ChunkChoice]
    moderation: ModerationOut | UnsetType = UNSET
    usage: CompletionUsage | None | UnsetType = UNSET


# -- stored completions -----------------------------------------------------------------------------


class TextContentPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """Text of a stored message."""

    text: str


class ImageContent(msgspec.Struct, frozen=True, kw_only=True):
    """Where the image of a stored message is."""

    url: str
    detail: str | UnsetType = UNSET


class ImageContentPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="image_url"):
    """An image of a stored message."""

    image_url: ImageContent


StoredPart = TextContentPart | ImageContentPart


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a stored completion's request; `content_parts` where it had other parts than one text.

    See docs/mapping.md#stored-completions.
    """

    id: str
    role: str
    content: str | None
    refusal: str | None = None
    content_parts: list[StoredPart] | None = None
    tool_calls: list[ToolCallOut] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET


class StoredMessageList(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `GET /v1/chat/completions/{id}/messages`."""

    object: Literal["list"] = "list"
    data: list[StoredMessage]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ChatCompletionDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `DELETE /v1/chat/completions/{id}`."""

    id: str
    object: Literal["chat.completion.deleted"] = "chat.completion.deleted"
    deleted: bool = True
