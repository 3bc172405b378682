"""Which path of the upstream a request means: read once, strictly, and written anew.

So an upstream reads no other path than Parley does, and none beside its base URL.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from yarl import URL

from libs.translate.errors import InvalidRequest
from libs.translate.request.named_conversation import has_control

MAX_ID_CHARACTERS = 512
_BASE = "/v1"
_SAFE = "-._~!$&'()*+,=:@"  # what stands in a path as it is
_NEVER = frozenset("\\%?#;\ufffd")  # in a segment, however it was encoded
_SLASHED = "models"  # names of models, alone of all, may hold slashes


def below(scope: Mapping[str, Any]) -> str:
    """Return the path below `/v1`, as it goes after an upstream's base URL. Raises InvalidRequest (404)."""
    root, _, rest = scope["raw_path"].partition(f"{_BASE}/".encode())
    read = [_read(segment) for segment in rest.split(b"/")]
    slashes = read[0] == _SLASHED
    segments = [to_segment(text, slashes=slashes) for text in read]
    if root or read[0] == _BASE.strip("/") or None in segments:
        raise InvalidRequest(invalid_url(scope), None, status=404)
    return "/" + "/".join(segment for segment in segments if segment)


def to_segment(id_: str, *, slashes: bool = False) -> str | None:
    """Return an id as one segment of a path; None for what cannot be an id. `slashes` says whether it may hold some."""
    parts = id_.split("/")
    if len(id_) > MAX_ID_CHARACTERS or (len(parts) > 1 and not slashes) or not all(map(_is_plain, parts)):
        return None
    return quote(id_, safe=_SAFE)


def invalid_url(scope: Mapping[str, Any]) -> str:
    """Return the words that refuse a path; where its beginning is at fault, they say how a base URL ends."""
    path: str = scope["path"]
    words = f"Invalid URL ({scope['method']} {path})"
    if path.startswith(f"{_BASE}/") and not path.startswith((f"{_BASE}//", f"{_BASE}{_BASE}/")):
        return words
    return f"{words}. The base URL of a client ends in '{_BASE}', once and without a slash after it."


def location(given: str, asked: URL, base_url: str) -> str | None:
    """Return where an upstream redirects to, as a client may follow it; None for what is beside its base URL.

    What is below the base URL is a path here, whatever host it names; another host stays as it is.
    """
    try:
        target, base = asked.join(URL(given, encoded=True)), URL(base_url)
        if target.origin() != base.origin():
            return given
    except ValueError:
        return None
    before, prefix, rest = target.raw_path_qs.partition(base.raw_path.rstrip("/") + "/")
    return f"{_BASE}/{rest}" if prefix and not before else None


def _read(segment: bytes) -> str:
    return unquote_to_bytes(segment).decode("utf-8", "replace")


def _is_plain(text: str) -> bool:
    return text not in ("", ".", "..") and _NEVER.isdisjoint(text) and not has_control(text)
