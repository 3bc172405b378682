"""The list of input items that a stored response keeps: `GET /v1/responses/{id}/input_items`.

Items and parts are of many types; only the fields that a chat message can show are named here
(docs/mapping.md#stored-completions).
"""

import msgspec
from msgspec import Raw


class InputItemPart(msgspec.Struct, frozen=True):
    """A part of a message; `type` says which field counts."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None


class StoredItem(msgspec.Struct, frozen=True):
    """An input item; `type` says which fields count, and messages may lack it."""

    type: str = "message"
    id: str = ""
    role: str = ""
    content: str | list[InputItemPart] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    input: str = ""
    output: str | list[InputItemPart] | None = None


class Instructed(msgspec.Struct, frozen=True):
    """Of a stored response, what stood before its input items."""

    instructions: str | None = None


class InputItemList(msgspec.Struct, frozen=True):
    """One page of input items."""

    data: list[Raw] = []
    has_more: bool = False
