"""An upstream's HTTP error to the error a chat client gets (translation reference G.2, G.4).

Whatever the upstream sent, JSON of any shape or HTML, becomes OpenAI's envelope; paths into the
Responses request become paths into the chat request.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from libs.schemas.errors import ErrorBody, UpstreamErrorBody, UpstreamErrorEnvelope
from libs.schemas.plan import StreamPlan

# Wordings and codes by which an upstream says that it does not know the answer a request continues,
# or cannot read its reasoning (translation reference E).
_STALE_CODES = frozenset({"previous_response_not_found", "invalid_encrypted_content"})
_STALE_WORDS = re.compile(
    r"previous response with id|invalid .?previous_response_id|unsupported parameter: .?previous_response_id"
    r"|item with id .* not found|no tool (?:call|output) found for|could not be (?:verified|decrypted)",
    re.IGNORECASE,
)

_INPUT = re.compile(r"\binput\[(\d+)\]")
_TOOL_FIELD = re.compile(r"\b(tools\[\d+\])\.(name|description|parameters|strict)\b")
# Responses path -> chat path; longer ones first, for they begin alike.
_PATHS = (
    ("text.format.schema", "response_format.json_schema.schema"),
    ("text.format.name", "response_format.json_schema.name"),
    ("text.format", "response_format"),
    ("text.verbosity", "verbosity"),
    ("reasoning.effort", "reasoning_effort"),
)
_INTERNAL = frozenset({"previous_response_id", "include", "store", "instructions"})

_TYPES = {401: "invalid_request_error", 403: "invalid_request_error", 429: "rate_limit_error"}

_DECODER = msgspec.json.Decoder(UpstreamErrorEnvelope)
_DETAIL = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_error(body: bytes) -> UpstreamErrorBody:
    """Return what an error answer says, as far as it can be read."""
    try:
        error = _DECODER.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UpstreamErrorBody(message=_detail(body))
    return UpstreamErrorBody(message=error) if isinstance(error, str) else error


def _detail(body: bytes) -> str | None:
    """The text of `{"detail": ...}` or `{"message": ...}`, which other frameworks send."""
    try:
        tree = _DETAIL.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for key in ("detail", "message"):
        raw = bytes(tree.get(key, b""))
        if raw.startswith(b'"'):
            return str(msgspec.json.decode(raw))
    return None


def to_chat_error(status: int, error: UpstreamErrorBody, plan: StreamPlan) -> ErrorBody:
    """Return the envelope's content for an upstream answer of `status`."""
    usual = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    return ErrorBody(
        message=to_chat_path(error.message, plan) or f"The upstream answered with status {status}.",
        type=error.type or usual,
        param=to_chat_param(error.param, plan),
        code=None if error.code is None else str(error.code),
    )


def to_chat_param(param: str | None, plan: StreamPlan) -> str | None:
    """Return a Responses parameter path as a chat path; None for what only Parley set (G.4)."""
    if param is None or param in _INTERNAL:
        return None
    return "messages" if param == "input" else to_chat_path(param, plan)


def to_chat_path(text: str | None, plan: StreamPlan) -> str:
    """Return `text` with every Responses path in it replaced by the chat path."""
    text = _INPUT.sub(lambda found: f"messages[{_source(plan.items, int(found[1]))}]", text or "")
    text = _TOOL_FIELD.sub(r"\1.function.\2", text)
    for there, here in (*_PATHS, *_renames(plan.renames)):
        text = text.replace(there, here)
    return text


def _renames(renames: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    return tuple(renames.items())


def _source(items: Sequence[int], index: int) -> int:
    return items[index] if index < len(items) else index


def is_stale(error: UpstreamErrorBody) -> bool:
    """Whether the upstream no longer knows, or cannot use, what the request continues."""
    return str(error.code) in _STALE_CODES or _STALE_WORDS.search(error.message or "") is not None
