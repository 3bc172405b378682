"""The Chat Completions wire: what clients send, and the objects and chunks they get back.

Field names are OpenAI's (translation reference A.1, B.1, C.1). `None` stands for absent and for
null alike: chat clients send explicit nulls for many fields (A.1, "Null handling"). Fields kept
as `Raw` go upstream byte for byte.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

NO_RAW = Raw()


# -- request ----------------------------------------------------------------------------------------


class ImageUrl(msgspec.Struct, frozen=True):
    """Where an image is: an http(s) URL or a data URL."""

    url: str
    detail: str | None = None


class InputAudio(msgspec.Struct, frozen=True):
    """Base64 audio and its format."""

    data: str
    format: str


class FileSource(msgspec.Struct, frozen=True):
    """A file by id, or inline as a data URL."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class ContentPart(msgspec.Struct, frozen=True):
    """One part of a content array; `type` says which field it carries (A.2.2)."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    input_audio: InputAudio | None = None
    file: FileSource | None = None


class FunctionCall(msgspec.Struct, frozen=True):
    """A call as echoed in a history; `arguments` is a string, not always JSON."""

    name: str
    arguments: str = ""


class CustomCall(msgspec.Struct, frozen=True):
    """A call of a custom tool as echoed in a history."""

    name: str
    input: str = ""


class ToolCall(msgspec.Struct, frozen=True):
    """One tool call of an assistant message; some clients leave `type` out (A.2.1)."""

    id: str
    type: str | None = None
    function: FunctionCall | None = None
    custom: CustomCall | None = None


class Message(msgspec.Struct, frozen=True):
    """One chat message; which fields count depends on `role`. Unknown keys are ignored."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: Raw = NO_RAW
    audio: Raw = NO_RAW


class FunctionTool(msgspec.Struct, frozen=True):
    """A function the client runs itself."""

    name: str
    description: str | None = None
    parameters: Raw = NO_RAW
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True):
    """One entry of `tools`."""

    type: str
    function: FunctionTool | None = None


class ToolName(msgspec.Struct, frozen=True):
    """A tool named in `tool_choice`."""

    name: str


class NamedToolChoice(msgspec.Struct, frozen=True):
    """`tool_choice` that forces one tool."""

    type: str
    function: ToolName | None = None


class JsonSchema(msgspec.Struct, frozen=True):
    """The schema of a structured answer."""

    name: str
    description: str | None = None
    schema: Raw = NO_RAW
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    """`response_format` in its three forms."""

    type: str
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """Only legal with `stream: true`."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(msgspec.Struct, frozen=True):
    """Body of `POST /v1/chat/completions`, as far as Parley translates it."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    metadata: Raw = NO_RAW
    store: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None


class ChatEnvelope(msgspec.Struct, frozen=True):
    """What the edge reads of a body before it sends it on: never the messages."""

    model: str
    stream: bool | None = None


# -- answer -----------------------------------------------------------------------------------------


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
    """Tokens of one completion (B.5)."""

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
    """The only annotation type that chat knows (B.2.2)."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitation


class FunctionCallOut(msgspec.Struct, frozen=True, kw_only=True):
    """A function call handed to the client."""

    name: str
    arguments: str


class ToolCallOut(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call handed to the client; `id` is the upstream's `call_id`."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCallOut


class AssistantMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`choices[].message`. `tool_calls` is absent, never empty, when there are none (B.1)."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    annotations: list[Annotation] = []
    tool_calls: list[ToolCallOut] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of `choices`."""

    index: int = 0
    message: AssistantMessage
    logprobs: None = None
    finish_reason: str


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a non-streamed answer (B.1); `created` in Unix seconds."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    system_fingerprint: None = None


class FunctionDelta(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a function call; the name comes once, with the first."""

    name: str | UnsetType = UNSET
    arguments: str = ""


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a tool call; `id` and `type` come once, with the first (C.1)."""

    index: int
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    function: FunctionDelta | UnsetType = UNSET


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """What one chunk adds; only what it adds is sent."""

    role: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    refusal: str | None | UnsetType = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType = UNSET
    annotations: list[Annotation] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET


class ChunkChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One of a chunk's `choices`."""

    index: int = 0
    delta: Delta
    logprobs: None = None
    finish_reason: str | None = None


class ChatCompletionChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk of a stream; `usage` is a key of every chunk or of none (C.2)."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    service_tier: str | UnsetType = UNSET
    system_fingerprint: None = None
    choices: list[ChunkChoice]
    usage: CompletionUsage | None | UnsetType = UNSET


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `GET /v1/models`."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[Model]
