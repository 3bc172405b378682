"""`response_format` and `verbosity`, which share one object of the Responses API (docs/mapping.md#response-format)."""

from msgspec import UNSET, Raw, UnsetType

from libs.schemas.config import JsonObject
from libs.schemas.wire.chat import ChatRequest, JsonSchema, ResponseFormat
from libs.schemas.wire.responses import TextConfig, TextFormat
from libs.translate.errors import InvalidRequest, missing, unexpected
from libs.translate.request.body import is_given
from libs.translate.request.messages import contains_json
from libs.translate.request.models import takes_schemas

_TYPES = ("text", "json_object", "json_schema")
# Any object at all: what `json_object` asks for, as a schema.
_ANY_OBJECT = TextFormat(type="json_schema", name="json_object", schema=Raw(b'{"type":"object"}'), strict=False)


def is_structured(chat: ChatRequest) -> bool:
    """Whether the answer's text must be JSON and nothing else (docs/mapping.md#content)."""
    return chat.response_format is not None and chat.response_format.type != "text"


def sends_schema(chat: ChatRequest, json_object: JsonObject, model: str) -> bool:
    """Whether `json_object` goes up as a schema, which needs no word in the messages."""
    if not _is_json_object(chat):
        return False
    return takes_schemas(model) if json_object == "auto" else json_object == "schema"


def needs_json(chat: ChatRequest, *, as_schema: bool, continues: bool) -> bool:
    """Whether the input must say the word. Raises InvalidRequest, as chat does, when no message says it."""
    if as_schema or not _is_json_object(chat):
        return False
    if not continues and not contains_json(chat.messages):
        raise InvalidRequest(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        )
    return True


def to_text(chat: ChatRequest, *, as_schema: bool) -> TextConfig | UnsetType:
    """Return `text`, which holds the answer's format and its verbosity. Raises InvalidRequest."""
    format_: TextFormat | UnsetType = UNSET
    if chat.response_format is not None:
        format_ = _ANY_OBJECT if as_schema else _to_format(chat.response_format)
    verbosity = UNSET if chat.verbosity is None else chat.verbosity
    return UNSET if format_ is UNSET and verbosity is UNSET else TextConfig(format=format_, verbosity=verbosity)


def _is_json_object(chat: ChatRequest) -> bool:
    return chat.response_format is not None and chat.response_format.type == "json_object"


def _to_format(wanted: ResponseFormat) -> TextFormat:
    if wanted.type not in _TYPES:
        raise unexpected(wanted.type, "response_format.type", _TYPES)
    if wanted.type != "json_schema":
        return TextFormat(type=wanted.type)
    if wanted.json_schema is None:
        raise missing("response_format.json_schema")
    return _to_schema(wanted.json_schema)


def _to_schema(wanted: JsonSchema) -> TextFormat:
    strict = bool(wanted.strict)
    if strict and not is_given(wanted.schema):
        raise missing("response_format.json_schema.schema")
    return TextFormat(
        type="json_schema",
        name=wanted.name,
        description=UNSET if wanted.description is None else wanted.description,
        schema=wanted.schema if is_given(wanted.schema) else Raw(b"{}"),
        strict=strict,
    )
