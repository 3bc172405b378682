"""The Responses wire, what goes up: the request Parley sends.

Field names are OpenAI's (docs/mapping.md#requests). What comes back is in `output.py`.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType


class InputText(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="input_text"):
    """Text of a user, system or developer message."""

    text: str
    prompt_cache_breakpoint: Raw | UnsetType = UNSET


class InputImage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="input_image"):
    """An image; `detail` is always sent (docs/mapping.md#content-parts)."""

    image_url: str
    detail: str
    prompt_cache_breakpoint: Raw | UnsetType = UNSET


class InputFile(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="input_file", omit_defaults=True):
    """A file by id, inline or by URL."""

    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: Raw | UnsetType = UNSET


class AudioData(msgspec.Struct, frozen=True, kw_only=True):
    """Base64 audio and its format."""

    data: str
    format: str


class InputAudioPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio"):
    """Audio, for upstreams that take it in chat's shape (docs/mapping.md#content-parts)."""

    input_audio: AudioData


class OutputTextIn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="output_text"):
    """Text of an assistant message in the input; `annotations` is there for strict servers.

    See docs/mapping.md#assistant-messages.
    """

    text: str
    annotations: list[str] = []


class RefusalIn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="refusal"):
    """A refusal of an assistant message in the input."""

    refusal: str


InputPart = InputText | InputImage | InputFile | InputAudioPart | OutputTextIn | RefusalIn


class InputMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """A message item, without id or status: those belong to items the API returned (docs/mapping.md#messages)."""

    role: str
    content: str | list[InputPart]


class FunctionCallIn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"):
    """A call of the history."""

    call_id: str
    name: str
    arguments: str


class FunctionCallOutput(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call_output"):
    """A tool result."""

    call_id: str
    output: str | list[InputPart]


class CustomToolCallIn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="custom_tool_call"):
    """A call of a custom tool in the history."""

    call_id: str
    name: str
    input: str


class CustomToolCallOutput(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="custom_tool_call_output"):
    """A result of a custom tool."""

    call_id: str
    output: str | list[InputPart]


class McpApprovalRequestIn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_approval_request"):
    """A question of the history, whether an MCP tool may be called."""

    id: str
    server_label: str
    name: str
    arguments: str


class McpApprovalResponse(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_approval_response"):
    """The client's answer to it."""

    approval_request_id: str
    approve: bool
    reason: str | UnsetType = UNSET


class ReasoningTextIn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning_text"):
    """Reasoning as plain text, for upstreams with open reasoning."""

    text: str


class ReasoningIn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning"):
    """Reasoning of an earlier answer as the client echoed it (docs/mapping.md#assistant-messages)."""

    summary: list[str] = []
    content: list[ReasoningTextIn]


# A typed tool result goes up as the client wrote it, an item of an earlier answer as the upstream did.
InputItem = (
    InputMessage
    | FunctionCallIn
    | FunctionCallOutput
    | CustomToolCallIn
    | CustomToolCallOutput
    | McpApprovalRequestIn
    | McpApprovalResponse
    | ReasoningIn
    | dict[str, Any]
    | Raw
)


class FunctionToolParam(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """A function tool; `strict` is always explicit, its defaults differ between the APIs.

    See docs/mapping.md#function-tools.
    """

    name: str
    description: str | UnsetType = UNSET
    parameters: Raw
    strict: bool


class CustomToolFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The format of a custom tool's input; flat, unlike chat's (docs/mapping.md#custom-tools)."""

    type: str
    definition: str | UnsetType = UNSET
    syntax: str | UnsetType = UNSET


class CustomToolParam(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="custom"):
    """A tool whose input is text."""

    name: str
    description: str | UnsetType = UNSET
    format: CustomToolFormat | UnsetType = UNSET


class WebSearchTool(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="web_search"):
    """A search of the web, which the upstream runs; the user's location is flat, unlike chat's.

    See docs/mapping.md#web-search.
    """

    search_context_size: str | UnsetType = UNSET
    user_location: dict[str, str] | UnsetType = UNSET


# A hosted tool of the client is sent byte for byte, one of the configuration as it is written there.
ToolParam = FunctionToolParam | CustomToolParam | WebSearchTool | Raw | dict[str, Any]


class ToolRef(msgspec.Struct, frozen=True, kw_only=True):
    """A function or custom tool, as a choice names it."""

    type: str
    name: str


class AllowedToolsChoice(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="allowed_tools"):
    """`tool_choice` that leaves the model some of the tools (docs/mapping.md#tool-choice)."""

    mode: str
    tools: list[ToolRef | Raw]


ToolChoiceParam = str | ToolRef | AllowedToolsChoice | Raw


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`reasoning` of a request."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: str | None = None
    mode: str | None = None


class TextFormat(msgspec.Struct, frozen=True, kw_only=True):
    """`text.format`; name, schema and strict only for `json_schema`."""

    type: str
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    schema: Raw | UnsetType = UNSET
    strict: bool | UnsetType = UNSET


class TextConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`text` of a request."""

    format: TextFormat | UnsetType = UNSET
    verbosity: str | UnsetType = UNSET


class ResponsesStreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`stream_options` of a request; usage needs none here."""

    include_obfuscation: bool


class ResponsesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/responses`. `store` has no default: it is always sent.

    See docs/mapping.md#fields-that-parley-adds.
    """

    model: str
    instructions: str | UnsetType = UNSET
    input: list[InputItem]
    previous_response_id: str | UnsetType = UNSET
    tools: list[ToolParam] | UnsetType = UNSET
    tool_choice: ToolChoiceParam | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    reasoning: Reasoning | UnsetType = UNSET
    text: TextConfig | UnsetType = UNSET
    max_output_tokens: int | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    top_logprobs: int | UnsetType = UNSET
    metadata: Raw | UnsetType = UNSET
    user: str | UnsetType = UNSET
    safety_identifier: str | UnsetType = UNSET
    prompt_cache_key: str | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    include: list[str] | UnsetType = UNSET
    stream_options: ResponsesStreamOptions | UnsetType = UNSET
    stream: bool
    store: bool
