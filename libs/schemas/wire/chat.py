"""The Chat Completions wire: what clients send.

Field names are OpenAI's (docs/mapping.md#request-fields, #the-completion, #stream-events). `None` stands for absent
and for null alike: chat clients send explicit nulls for many fields (docs/mapping.md#request-fields). Fields kept as
`Raw` go upstream byte for byte.
"""

from typing import Literal

import msgspec
from msgspec import Raw

from libs.schemas.plan import Format

NO_RAW = Raw()


# -- request ----------------------------------------------------------------------------------------
#
# Keys that a Struct does not name fail the decoding: the reader of a body then looks for them, so that
# none is lost in silence. Keys that clients echo and that say nothing new are named here as `Raw`.


class ImageUrl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an image is: an http(s) URL or a data URL."""

    url: str
    detail: str | None = None


class InputAudio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base64 audio and its format."""

    data: str
    format: str


class FileSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file by id, inline as a data URL or as bare base64, or by URL, which is an extension."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None
    file_url: str | None = None
    detail: str | None = None


class ContentPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of a content array; `type` says which field it carries (docs/mapping.md#content-parts)."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    input_audio: InputAudio | None = None
    file: FileSource | None = None
    prompt_cache_breakpoint: Raw = NO_RAW


class FunctionCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call as echoed in a history; `arguments` is a string, not always JSON."""

    name: str
    arguments: str = ""
    parsed_arguments: Raw = NO_RAW


class CustomCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call of a custom tool as echoed in a history."""

    name: str
    input: str = ""


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tool call of an assistant message; some clients leave `type` out (docs/mapping.md#tool-calls-and-results)."""

    id: str
    type: str | None = None
    function: FunctionCall | None = None
    custom: CustomCall | None = None
    index: Raw = NO_RAW


class AssistantAudio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Spoken audio of an earlier answer, which is kept where it was made."""

    id: str
    transcript: str | None = None
    data: Raw = NO_RAW
    expires_at: Raw = NO_RAW


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One chat message, or a typed tool result of the Responses API among them.

    `role` decides which fields count; a typed result has no role but a `type`, and the fields from
    `call_id` on.
    """

    role: str = ""
    content: str | list[ContentPart] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: FunctionCall | None = None
    audio: AssistantAudio | None = None
    reasoning_content: Raw = NO_RAW
    reasoning: Raw = NO_RAW
    reasoning_details: Raw = NO_RAW
    annotations: Raw = NO_RAW
    parsed: Raw = NO_RAW
    type: str | None = None
    id: str | None = None
    call_id: str | None = None
    output: Raw = NO_RAW
    status: str | None = None
    acknowledged_safety_checks: Raw = NO_RAW
    max_output_length: Raw = NO_RAW
    approval_request_id: str | None = None
    approve: bool | None = None
    reason: str | None = None


class Function(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function the client runs itself; the legacy `functions` are these without a wrapper."""

    name: str
    description: str | None = None
    parameters: Raw = NO_RAW
    strict: bool | None = None


class FunctionTool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="function"):
    """An entry of `tools` that is a function."""

    function: Function | None = None


class Grammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the input of a custom tool must match."""

    definition: str
    syntax: str


class CustomFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The format of a custom tool's input: `text`, or `grammar` with one."""

    type: str
    grammar: Grammar | None = None


class Custom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool whose input is text."""

    name: str
    description: str | None = None
    format: CustomFormat | None = None


class CustomTool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="custom"):
    """An entry of `tools` that is a custom tool."""

    custom: Custom | None = None


class ToolName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool named in `tool_choice`."""

    name: str


class NamedTool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One function or custom tool, as `tool_choice` names it."""

    type: str
    function: ToolName | None = None
    custom: ToolName | None = None


class AllowedTools(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tools among which the model may choose."""

    mode: str
    tools: list[Raw]


class ToolChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`tool_choice` when it is an object."""

    type: str
    function: ToolName | None = None
    custom: ToolName | None = None
    allowed_tools: AllowedTools | None = None


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a user is, roughly."""

    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class UserLocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a user is, in chat's nested form."""

    type: str = "approximate"
    approximate: Place | None = None


class WebSearchOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to search the web; an empty object asks for a search too."""

    search_context_size: str | None = None
    user_location: UserLocation | None = None


class JsonSchema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The schema of a structured answer."""

    name: str
    description: str | None = None
    schema: Raw = NO_RAW
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`response_format` in its three forms."""

    type: str
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Only legal with `stream: true`."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ReasoningOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reasoning` as the Responses API has it, in a chat body."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: str | None = None
    mode: str | None = None


class ParleyOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client asks of Parley itself in the body."""

    format: Format | None = None
    history: Literal["whole", "delta"] | None = None
    retain: Literal["all", "none"] | None = None


class ChatRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/chat/completions`: chat's own fields, then the extensions (docs/mapping.md#request-fields)."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: Raw = NO_RAW
    presence_penalty: Raw = NO_RAW
    logit_bias: Raw = NO_RAW
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int | None = None
    seed: Raw = NO_RAW
    stop: str | list[str] | None = None
    prediction: Raw = NO_RAW
    modalities: Raw = NO_RAW
    audio: Raw = NO_RAW
    tools: list[Raw] | None = None
    tool_choice: Raw = NO_RAW
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: str | ToolName | None = None
    web_search_options: WebSearchOptions | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    metadata: Raw = NO_RAW
    store: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Raw = NO_RAW
    prompt_cache_retention: Raw = NO_RAW
    service_tier: str | None = None
    moderation: Raw = NO_RAW
    parley: ParleyOptions | None = None
    max_response_tokens: int | None = None
    max_output_tokens: int | None = None
    access_programs: Raw = NO_RAW
    background: bool | None = None
    background_options: Raw = NO_RAW
    context_management: Raw = NO_RAW
    conversation: Raw = NO_RAW
    conversation_id: str | None = None
    image: Raw = NO_RAW
    include: list[str] | None = None
    instructions: str | None = None
    max_tool_calls: Raw = NO_RAW
    previous_response_id: str | None = None
    prompt: Raw = NO_RAW
    reasoning: ReasoningOptions | None = None
    truncation: Raw = NO_RAW


class ChatEnvelope(msgspec.Struct, frozen=True):
    """What the edge reads of a body before it sends it on: never the messages.

    `store`, `background` and `audio` say whether the upstream keeps the answer, or the sound in it; the end user is
    part of whose a conversation is.
    """

    model: str
    stream: bool | None = None
    safety_identifier: Raw = NO_RAW
    user: Raw = NO_RAW
    parley: Raw = NO_RAW
    store: Raw = NO_RAW
    background: Raw = NO_RAW
    audio: Raw = NO_RAW


# -- models ------------------------------------------------------------------------------------------


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
