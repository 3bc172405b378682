"""The Responses wire: the request Parley sends and the Response object it gets back.

Field names are OpenAI's (translation reference A, B.2, E). Output items are kept as `Raw` and
decoded one by one, so that an item type we do not know never fails a whole answer.
"""

import msgspec
from msgspec import UNSET, Raw, UnsetType

# -- request ----------------------------------------------------------------------------------------


class InputText(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="input_text"):
    """Text of a user, system or developer message."""

    text: str


class InputImage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="input_image"):
    """An image; `detail` is always sent (A.2.2)."""

    image_url: str
    detail: str


class InputFile(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="input_file", omit_defaults=True):
    """A file by id or inline."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class OutputTextIn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="output_text"):
    """Text of an assistant message in the input; `annotations` is there for strict servers (A.2.1)."""

    text: str
    annotations: list[str] = []


class RefusalIn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="refusal"):
    """A refusal of an assistant message in the input."""

    refusal: str


InputPart = InputText | InputImage | InputFile | OutputTextIn | RefusalIn


class InputMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """A message item, without id or status: those belong to items the API returned (A.2)."""

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
    output: str


InputItem = InputMessage | FunctionCallIn | FunctionCallOutput


class FunctionToolParam(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """A function tool; `strict` is always explicit, its defaults differ between the APIs (A.3.1)."""

    name: str
    description: str | UnsetType = UNSET
    parameters: Raw
    strict: bool


class ToolChoiceFunction(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """`tool_choice` that forces one function."""

    name: str


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`reasoning` of a request."""

    effort: str | None = None
    summary: str | None = None


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


class ResponsesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/responses`. `store` has no default: it is always sent (A.9)."""

    model: str
    instructions: str | UnsetType = UNSET
    input: list[InputItem]
    previous_response_id: str | UnsetType = UNSET
    tools: list[FunctionToolParam] | UnsetType = UNSET
    tool_choice: str | ToolChoiceFunction | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    reasoning: Reasoning | UnsetType = UNSET
    text: TextConfig | UnsetType = UNSET
    max_output_tokens: int | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    metadata: Raw | UnsetType = UNSET
    user: str | UnsetType = UNSET
    safety_identifier: str | UnsetType = UNSET
    prompt_cache_key: str | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    include: list[str] | UnsetType = UNSET
    stream: bool
    store: bool


# -- answer -----------------------------------------------------------------------------------------


class InputTokensDetails(msgspec.Struct, frozen=True):
    """Parts of `input_tokens`, in tokens."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputTokensDetails(msgspec.Struct, frozen=True):
    """Parts of `output_tokens`, in tokens."""

    reasoning_tokens: int | None = None


class ResponseUsage(msgspec.Struct, frozen=True):
    """Tokens of one response; compatible servers may send only the three totals (B.5)."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_details: InputTokensDetails | None = None
    output_tokens_details: OutputTokensDetails | None = None


class ResponseError(msgspec.Struct, frozen=True):
    """`error` of a failed response."""

    code: str | int | None = None
    message: str | None = None
    type: str | None = None
    param: str | None = None


class IncompleteDetails(msgspec.Struct, frozen=True):
    """Why a response is incomplete."""

    reason: str | None = None


class Response(msgspec.Struct, frozen=True):
    """The Response object; `created_at` in Unix seconds, an integer or a float."""

    id: str
    created_at: float = 0
    model: str = ""
    status: str | None = None
    output: list[Raw] = []
    usage: ResponseUsage | None = None
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    service_tier: str | None = None


class OutputAnnotation(msgspec.Struct, frozen=True):
    """An annotation of a text part; flat, of several types (B.2.2)."""

    type: str
    start_index: int | None = None
    end_index: int | None = None
    url: str | None = None
    title: str | None = None


class OutputPart(msgspec.Struct, frozen=True):
    """One part of a message item: `output_text` or `refusal`."""

    type: str
    text: str | None = None
    refusal: str | None = None
    annotations: list[OutputAnnotation] | None = None


class MessageItem(msgspec.Struct, frozen=True, tag_field="type", tag="message"):
    """An assistant message; `phase` is `commentary`, `final_answer` or null."""

    id: str | None = None
    status: str | None = None
    phase: str | None = None
    content: list[OutputPart] = []


class FunctionCallItem(msgspec.Struct, frozen=True, tag_field="type", tag="function_call"):
    """A call for the client to run: `call_id` pairs it with its output, `id` never leaves Parley."""

    call_id: str
    name: str
    arguments: str = ""
    id: str | None = None
    status: str | None = None


class ReasoningText(msgspec.Struct, frozen=True):
    """One part of a reasoning item's summary or content."""

    type: str
    text: str = ""


class ReasoningItem(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning"):
    """Reasoning; its text is in `content` on open models and in `summary` elsewhere."""

    id: str | None = None
    summary: list[ReasoningText] | None = None
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None


class UnknownItem(msgspec.Struct, frozen=True):
    """An item of a type that has no place in a chat answer, or one that cannot be read."""

    type: str = ""


OutputItem = MessageItem | FunctionCallItem | ReasoningItem | UnknownItem

_ITEM_DECODERS: dict[str, msgspec.json.Decoder[OutputItem]] = {
    "message": msgspec.json.Decoder(MessageItem),
    "function_call": msgspec.json.Decoder(FunctionCallItem),
    "reasoning": msgspec.json.Decoder(ReasoningItem),
}
_UNKNOWN_ITEM = msgspec.json.Decoder(UnknownItem)

RESPONSE_DECODER = msgspec.json.Decoder(Response)


def decode_item(raw: Raw | bytes) -> OutputItem:
    """Decode one output item by its `type`. One that cannot be read becomes an UnknownItem of that type."""
    unknown = UnknownItem()
    try:
        unknown = _UNKNOWN_ITEM.decode(raw)
        decoder = _ITEM_DECODERS.get(unknown.type)
        return unknown if decoder is None else decoder.decode(raw)
    except msgspec.ValidationError:
        return unknown
