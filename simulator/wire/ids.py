"""Ids in the shapes OpenAI issues them: a prefix the API checks, then hexadecimal or letters and digits."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits
_CALL_ID_LENGTH = 24


def new_id(prefix: str) -> str:
    """An id of a response or an item: the prefix, an underscore and 50 hexadecimal digits."""
    return f"{prefix}_{secrets.token_hex(25)}"


def new_request_id() -> str:
    return f"req_{secrets.token_hex(16)}"


def new_call_id() -> str:
    """The id that pairs a tool call with its result: `call_` and 24 letters or digits."""
    return "call_" + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in secrets.token_bytes(_CALL_ID_LENGTH))
