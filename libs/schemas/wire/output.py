"""The Responses wire, what comes back: the Response object and its output items.

Field names are OpenAI's (docs/mapping.md#output-items, #what-an-upstream-keeps). Output items are kept as `Raw` and
decoded one by one, so that an item type we do not know never fails a whole answer.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from libs.schemas.wire.parts import NO_RAW, ReasoningText
from libs.schemas.wire.surrogates import TORN, decode
from libs.schemas.wire.tolerant import TolerantDecoder


class InputTokensDetails(msgspec.Struct, frozen=True):
    """Parts of `input_tokens`, in tokens."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputTokensDetails(msgspec.Struct, frozen=True):
    """Parts of `output_tokens`, in tokens."""

    reasoning_tokens: int | None = None


class ResponseUsage(msgspec.Struct, frozen=True):
    """Tokens of one response; compatible servers may send only the three totals (docs/mapping.md#usage)."""

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


class Moderation(msgspec.Struct, frozen=True):
    """What the moderation model said of each side: one result, or an error (docs/mapping.md#moderation)."""

    input: Raw = NO_RAW
    output: Raw = NO_RAW


class InputTransformation(msgspec.Struct, frozen=True):
    """What the upstream did to an input item before it used the input; `reason` such as `model_mismatch`."""

    id: str | None = None
    action: str | None = None
    reason: str | None = None


class Response(msgspec.Struct, frozen=True):
    """The Response object; `created_at` in Unix seconds, an integer or a float.

    `store` and `previous_response_id` say what became of those of the request: absent they say nothing, while a
    `previous_response_id` of null says that the answer follows no other.
    """

    id: str = ""
    created_at: float = 0
    model: str = ""
    status: str | None = None
    output: list[Raw] = []
    usage: ResponseUsage | None = None
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    service_tier: str | None = None
    metadata: dict[str, str] | None = None
    moderation: Moderation | None = None
    input_transformations: list[InputTransformation] | None = None
    store: bool | None = None
    previous_response_id: str | None | UnsetType = UNSET


class MessageItem(msgspec.Struct, frozen=True, tag_field="type", tag="message"):
    """An assistant message; `phase` is `commentary`, `final_answer` or null."""

    id: str | None = None
    status: str | None = None
    phase: str | None = None
    content: list[Raw] = []


class Caller(msgspec.Struct, frozen=True):
    """Who called: the model itself, or a `program` of its that the upstream runs."""

    type: str = ""


class FunctionCallItem(msgspec.Struct, frozen=True, tag_field="type", tag="function_call"):
    """A call for the client to run: `call_id` pairs it with its output, `id` never leaves Parley."""

    call_id: str
    name: str
    arguments: str = ""
    id: str | None = None
    status: str | None = None
    caller: Caller | None = None


class CustomCallItem(msgspec.Struct, frozen=True, tag_field="type", tag="custom_tool_call"):
    """A call of a custom tool, which takes text."""

    call_id: str
    name: str
    input: str = ""
    caller: Caller | None = None


class ApprovalItem(msgspec.Struct, frozen=True, tag_field="type", tag="mcp_approval_request"):
    """A question that only the client can answer: may this tool of an MCP server be called?"""

    id: str
    name: str
    server_label: str = ""
    arguments: str = ""


class ReasoningItem(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning"):
    """Reasoning; its text is in `content` on open models and in `summary` elsewhere."""

    id: str | None = None
    summary: list[ReasoningText] | None = None
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None


class ImageItem(msgspec.Struct, frozen=True, tag_field="type", tag="image_generation_call"):
    """An image that the upstream made; `result` is base64, and lacks until it is there."""

    result: str | None = None
    output_format: str | None = None


class UnknownItem(msgspec.Struct, frozen=True):
    """An item of a type that has no place in a chat answer, or one that cannot be read."""

    type: str = ""


OutputItem = MessageItem | FunctionCallItem | CustomCallItem | ApprovalItem | ReasoningItem | ImageItem | UnknownItem

_ITEM_DECODERS: dict[str, TolerantDecoder[Any]] = {
    str(item.__struct_config__.tag): TolerantDecoder(item)
    for item in (MessageItem, FunctionCallItem, CustomCallItem, ApprovalItem, ReasoningItem, ImageItem)
}
_UNKNOWN_ITEM = msgspec.json.Decoder(UnknownItem)

RESPONSE_DECODER = TolerantDecoder(Response)


def decode_item(raw: Raw | bytes) -> OutputItem:
    """Decode one output item by its `type`. One that cannot be read becomes an UnknownItem of that type."""
    unknown = UnknownItem()
    try:
        unknown = decode(_UNKNOWN_ITEM, raw)
        decoder = _ITEM_DECODERS.get(unknown.type)
        if decoder is None:
            return unknown
        item: OutputItem = decoder.decode(raw)
        return item
    except TORN:
        return unknown
