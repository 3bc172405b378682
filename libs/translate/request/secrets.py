"""Takes the client's secrets out of a body: what stands under `authorization` and `headers` of its tools.

They stay on the edge as media does (docs/architecture.md#why-it-is-cut-like-this). The top-level `tools` are
decoded and written anew, so that no escape, order or repetition of keys leaves a secret behind. What cannot
be read so is refused. It takes a few passes over the body, and memory for `tools` alone, which is limited.
"""

from typing import Any

import msgspec
from msgspec import Raw

from libs.schemas.bus.convert import Lifted
from libs.schemas.wire.chat import NO_RAW
from libs.schemas.wire.surrogates import UNREADABLE
from libs.translate.errors import InvalidRequest
from libs.translate.lift import Skeleton, placeholder
from libs.translate.request.body import decode_body, is_given

MAX_OBJECTS = 2**19  # in a body that may hold secrets; each costs some forty bytes where all are tools
MAX_MEMBERS = 2**16  # in the tools with secrets; each costs some two hundred bytes

_ENCODER = msgspec.json.Encoder()
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_TOOLS = msgspec.json.Decoder(list[dict[str, Raw]])


class _CleanTool(msgspec.Struct, frozen=True, gc=False):
    """A tool without secrets; msgspec checks each of several members that have one name."""

    authorization: None = None
    headers: None = None
    tools: "list[_CleanTool] | None" = None


class _Clean(msgspec.Struct, frozen=True):
    tools: list[_CleanTool] | None = None


class _Given(msgspec.Struct, frozen=True):
    tools: Raw = NO_RAW


_CLEAN = msgspec.json.Decoder(_Clean)
_GIVEN = msgspec.json.Decoder(_Given)


def may_hide(body: bytes) -> bool:
    """Whether a tool of type `mcp` may stand in a body: the letters do, or could be written as escapes."""
    return b"mcp" in body or b"\\u" in body


def hide(skeleton: Skeleton) -> Skeleton:
    """Return the skeleton with placeholders in place of secrets, of which nothing is left, not even a digest.

    Raises InvalidRequest, with its path, for what may hold a secret and cannot be read.
    """
    body = skeleton.body
    if not may_hide(body):
        return skeleton
    if body.count(b"{") > MAX_OBJECTS:
        raise InvalidRequest(f"The body of your request has more than {MAX_OBJECTS} objects.", None)
    if _is_clean(body):
        return skeleton
    tools = bytes(decode_body(_GIVEN, body).tools)
    if tools.count(b":") > MAX_MEMBERS:
        raise InvalidRequest(f"Invalid 'tools': more than {MAX_MEMBERS} members.", "tools")
    hiding = _Hiding(skeleton)
    hidden = _ENCODER.encode(hiding.tools(Raw(tools), "tools"))
    begins = body.find(tools)
    before, after = body[:begins], body[begins + len(tools) :]
    if not _is_clean(b"".join((before, b"null", after))):
        raise InvalidRequest("Invalid 'tools': given more than once.", "tools")
    return Skeleton(b"".join((before, hidden, after)), skeleton.nonce, hiding.lifted, hiding.values)


def _is_clean(body: bytes) -> bool:
    try:
        _CLEAN.decode(body)
    except UNREADABLE:
        return False
    return True


class _Hiding:
    """Reads tools; `values` are the skeleton's and the secrets, `lifted` their descriptions for the converter."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.lifted = list(skeleton.lifted)
        self.values = list(skeleton.values)
        self._nonce = skeleton.nonce
        self._media = {f'"{one.placeholder}"'.encode(): index for index, one in enumerate(skeleton.lifted)}

    def tools(self, raw: Raw, where: str) -> list[dict[str, Any]]:
        """Return a list of tools without their secrets. Raises InvalidRequest."""
        return [self._tool(tool, f"{where}[{index}]") for index, tool in enumerate(decode_body(_TOOLS, raw, where))]

    def _tool(self, tool: dict[str, Any], where: str) -> dict[str, Any]:
        for key, read in self._READS.items():
            if is_given(tool.get(key, NO_RAW)):
                tool[key] = read(self, tool[key], f"{where}.{key}")
        return tool

    def _headers(self, raw: Raw, where: str) -> dict[str, Any]:
        headers: dict[str, Raw] = decode_body(_OBJECT, raw, where)
        return {key: self._secret(value, where) if is_given(value) else value for key, value in headers.items()}

    def _secret(self, raw: Raw, where: str) -> Raw:
        """Return a placeholder for a string; a media string among secrets has one, and loses its description."""
        text = bytes(raw)
        if not text.startswith(b'"'):
            raise InvalidRequest(f"Invalid type for '{where}': expected str.", where, "invalid_type")
        if len(text) == len('""'):
            return raw
        index = self._media.get(text, len(self.values))
        if index == len(self.values):
            self.values.append(text[1:-1])
            self.lifted.append(_untold(placeholder(self._nonce, index), len(text) - 2))
        else:
            self.lifted[index] = _untold(self.lifted[index].placeholder, self.lifted[index].length)
        return Raw(f'"{placeholder(self._nonce, index)}"'.encode())

    _READS = {"authorization": _secret, "headers": _headers, "tools": tools}


def _untold(name: str, length: int) -> Lifted:
    return Lifted(placeholder=name, sha256="", length=length, start="")
