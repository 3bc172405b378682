"""An upstream's HTTP error to the error a chat client gets (docs/mapping.md#statuses-and-retries, #paths-in-errors).

Whatever the upstream sent, JSON of any shape or HTML, becomes OpenAI's envelope; paths into the
Responses request become paths into the chat request.
"""

import re

import msgspec

from libs.schemas.plan import StreamPlan
from libs.schemas.wire import surrogates
from libs.schemas.wire.errors import ErrorBody, UpstreamErrorBody, UpstreamErrorEnvelope
from libs.translate.answer.error_paths import to_chat_param, to_chat_text

# Wordings and codes by which an upstream says that it does not know the answer a request continues,
# or cannot read its reasoning (docs/mapping.md#what-an-upstream-keeps).
_STALE_CODES = frozenset({"previous_response_not_found", "invalid_encrypted_content"})
_STALE_WORDS = re.compile(
    r"previous response with id|invalid .?previous_response_id|unsupported parameter: .?previous_response_id"
    r"|no tool (?:call|output) found for|could not be (?:verified|decrypted)"
    r"|without its required (?:following item|.?reasoning.? item)|items? are not persisted",
    re.IGNORECASE,
)
_LOST_ITEM = ("item with id ", " not found")  # the one before the other

# Codes and wordings by which an upstream refuses the key of a call, and words of any error about it
# (docs/mapping.md#statuses-and-retries).
_KEY_CODES = frozenset(
    {
        "api_key_invalid",
        "authentication_error",
        "expired_api_key",
        "incorrect_api_key",
        "insufficient_scope",
        "invalid_api_key",
        "invalid_authentication",
        "invalid_issuer",
        "invalid_key",
        "ip_not_authorized",
        "key_disabled",
        "key_expired",
        "missing_api_key",
        "missing_scopes",
        "token_expired",
    }
)
_KEY_REFUSED = re.compile(
    r"(?:incorrect|invalid|expired|revoked|disabled|unknown|malformed|missing|wrong) (?:api|access|secret)[ _-]?key"
    r"|(?:api|access|secret)[ _-]?key (?:provided|not valid|not found|(?:is|was|has) )",
    re.IGNORECASE,
)
_OF_KEY = re.compile(
    r"(?:api|access|secret|auth|subscription)[ _-]?(?:key|token)|credential|bearer|authorization header|authenticat"
    r"|\bsk-|\bscopes?\b|ip (?:address )?(?:is )?not authorized",
    re.IGNORECASE,
)

_TYPES = {401: "invalid_request_error", 403: "invalid_request_error", 429: "rate_limit_error"}

_DECODER = msgspec.json.Decoder(UpstreamErrorEnvelope)
_DETAIL = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_error(body: bytes) -> UpstreamErrorBody:
    """Return what an error answer says, as far as it can be read."""
    envelope = surrogates.read(_DECODER, body)
    if envelope is None:
        return UpstreamErrorBody(message=_detail(body))
    return UpstreamErrorBody(message=envelope.error) if isinstance(envelope.error, str) else envelope.error


def _detail(body: bytes) -> str | None:
    """The text of `{"detail": ...}` or `{"message": ...}`, which other frameworks send."""
    tree = surrogates.read(_DETAIL, surrogates.sound(body)) or {}
    for key in ("detail", "message"):
        raw = bytes(tree.get(key, b""))
        if raw.startswith(b'"'):
            return str(msgspec.json.decode(raw))
    return None


def to_chat_error(status: int, error: UpstreamErrorBody, plan: StreamPlan) -> ErrorBody:
    """Return the envelope's content for an upstream answer of `status`."""
    usual = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    return ErrorBody(
        message=to_chat_text(error.message or "", plan) or f"The upstream answered with status {status}.",
        type=error.type or usual,
        param=to_chat_param(error.param, plan),
        code=None if error.code is None else str(error.code),
    )


def is_stale(error: UpstreamErrorBody) -> bool:
    """Whether the upstream no longer knows, or cannot use, what the request continues."""
    message = error.message or ""
    return str(error.code) in _STALE_CODES or _STALE_WORDS.search(message) is not None or _names_lost_item(message)


def _names_lost_item(message: str) -> bool:
    before, after = _LOST_ITEM
    return after in message.lower().partition(before)[2]


def is_about_key(error: UpstreamErrorBody) -> bool:
    """Whether an error anywhere says that the key of the call was refused; not that of one of its tools."""
    message = error.message or ""
    if (error.param or "").startswith("tools") or "mcp" in message.lower():
        return False
    codes = {str(error.code).lower(), str(error.type).lower()}
    return not codes.isdisjoint(_KEY_CODES) or _KEY_REFUSED.search(message) is not None


def speaks_of_key(error: UpstreamErrorBody) -> bool:
    """Whether the text of an error with status 403 is about the key of the call, as far as words tell."""
    return _OF_KEY.search(error.message or "") is not None
