"""Content parts, from chat's nested forms to the flat ones of the Responses API (docs/mapping.md#content-parts)."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from libs.schemas.config import Profile
from libs.schemas.plan import Format
from libs.schemas.wire.chat import ContentPart, FileSource
from libs.schemas.wire.responses import (
    AudioData,
    InputAudioPart,
    InputFile,
    InputImage,
    InputPart,
    InputText,
    OutputTextIn,
)
from libs.translate.errors import InvalidRequest, NeedsNative, missing, unexpected
from libs.translate.request.body import is_given
from libs.translate.request.policies import policy_of

_DETAIL = "auto"
_BREAKPOINT = "prompt_cache_breakpoint"

# What each role's content may hold; pictures and files in tool results are an extension.
_ALLOWED: dict[str, tuple[str, ...]] = {
    "system": ("text",),
    "developer": ("text",),
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
    "tool": ("text", "image_url", "file"),
    "function": ("text",),
}
_NEVER_EMPTY = ("system", "developer", "user")  # clients send the others with [] for nothing
# The field that each type of part must have.
_CARRIES = {
    "text": "text",
    "refusal": "refusal",
    "image_url": "image_url",
    "input_audio": "input_audio",
    "file": "file",
}

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_HEAD = 256
_PDF = ("data:application/pdf", "JVBERi0")  # the latter is how every PDF begins in base64
_MEDIA_TYPES = {
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "gif": "image/gif",
    "htm": "text/html",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "md": "text/markdown",
    "pdf": "application/pdf",
    "png": "image/png",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rtf": "application/rtf",
    "txt": "text/plain",
    "webp": "image/webp",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
}


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """On what terms a history is translated.

    `heads` gives the first characters of media that stayed on the edge, by placeholder. `continues` says
    that the client named what its messages follow. `approvals` says that `mcp_approval` is Parley's own
    tool here, not one of the client's.
    """

    profile: Profile = Profile()
    format: Format = "chat"
    heads: Mapping[str, str] = {}
    continues: bool = False
    approvals: bool = True
    needs_json: bool = False


def plain_text(content: str | list[ContentPart] | None) -> str:
    """Return the text of a message's content, parts joined with nothing between them."""
    if isinstance(content, list):
        return "".join(part.text or "" for part in content)
    return content or ""


def has_breakpoint(parts: Sequence[ContentPart]) -> bool:
    """Whether any part marks where a prompt's cached beginning ends."""
    return any(is_given(part.prompt_cache_breakpoint) for part in parts)


def check_parts(role: str, parts: Sequence[ContentPart], where: str) -> None:
    """Check that a role may hold these parts, and that each carries what its type says. Raises InvalidRequest."""
    allowed = _ALLOWED[role]
    if not parts and role in _NEVER_EMPTY:
        raise InvalidRequest(f"Invalid '{where}': empty array. Expected at least one part.", where, "empty_array")
    for index, part in enumerate(parts):
        if part.type not in allowed:
            raise unexpected(part.type, f"{where}[{index}].type", allowed)
        if getattr(part, _CARRIES[part.type]) is None:
            raise missing(f"{where}[{index}].{_CARRIES[part.type]}")


def to_input_parts(parts: Sequence[ContentPart], where: str, terms: Terms) -> list[InputPart]:
    """Return the parts of a message or a tool result. Raises InvalidRequest, NeedsNative."""
    return [_PARTS[part.type](part, f"{where}[{index}]", terms) for index, part in enumerate(parts)]


def named(
    name: str, content: str | list[InputPart], where: str, terms: Terms, dropped: list[str]
) -> str | list[InputPart]:
    """Return the content of a message that has a name, which the Responses API does not know on messages."""
    if terms.profile.name_mode == "drop" or not content:
        dropped.append(f"{where}.name")
        return content
    prefix = f"{name}: "
    if isinstance(content, str):
        return prefix + content
    for index, part in enumerate(content):
        if isinstance(part, InputText | OutputTextIn):
            return [*content[:index], msgspec.structs.replace(part, text=prefix + part.text), *content[index + 1 :]]
    dropped.append(f"{where}.name")
    return content


def untold_breakpoints(parts: Sequence[ContentPart], where: str) -> list[str]:
    """Return the paths of breakpoints that have no place where these parts go."""
    return [
        f"{where}[{index}].{_BREAKPOINT}" for index, part in enumerate(parts) if is_given(part.prompt_cache_breakpoint)
    ]


def _breakpoint(part: ContentPart) -> Raw | UnsetType:
    return part.prompt_cache_breakpoint if is_given(part.prompt_cache_breakpoint) else UNSET


def _text(part: ContentPart, where: str, terms: Terms) -> InputPart:
    return InputText(text=part.text or "", prompt_cache_breakpoint=_breakpoint(part))


def _image(part: ContentPart, where: str, terms: Terms) -> InputPart:
    image: Any = part.image_url
    # A bare string is a common slip that is clear enough to accept.
    url, detail = (image, None) if isinstance(image, str) else (image.url, image.detail)
    return InputImage(image_url=url, detail=detail or _DETAIL, prompt_cache_breakpoint=_breakpoint(part))


def _audio(part: ContentPart, where: str, terms: Terms) -> InputPart:
    policy = policy_of("input_audio", terms.profile, terms.format)
    if policy == "native":
        raise NeedsNative(where)
    audio = part.input_audio
    if policy != "forward" or audio is None:
        raise InvalidRequest("This model takes no audio through Parley.", where, "unsupported_parameter")
    return InputAudioPart(input_audio=AudioData(data=audio.data, format=audio.format))


def _file(part: ContentPart, where: str, terms: Terms) -> InputPart:
    file = part.file or FileSource()
    if file.file_id is None and file.file_data is None and file.file_url is None:
        raise missing(f"{where}.file")
    data, name = file.file_data, file.filename
    if data is not None:
        head = terms.heads.get(data, data[:_HEAD])
        name = name or ("document.pdf" if head.startswith(_PDF) else "file")
        if _BASE64.fullmatch(head):
            data = f"data:{_media_type(name)};base64,{data}"
    return InputFile(
        file_id=file.file_id,
        file_data=data,
        file_url=file.file_url,
        filename=name,
        detail=file.detail,
        prompt_cache_breakpoint=_breakpoint(part),
    )


def _media_type(filename: str) -> str:
    return _MEDIA_TYPES.get(filename.rpartition(".")[2].lower(), "application/octet-stream")


_PARTS: dict[str, Callable[[ContentPart, str, Terms], InputPart]] = {
    "text": _text,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}
