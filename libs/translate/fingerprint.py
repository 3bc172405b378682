"""Digests by which a history is known again (translation reference F.2; design, "Recognise turns").

Clients rewrite what they echo: tool calls count by id and name alone, null, "" and absent are equal,
a string equals one text part, trailing white space of an answer and the order of tool results do not
count. The hoisted leading system run is left out, so that a changing system prompt still continues.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b, sha256

import msgspec
from msgspec import Raw

from libs.schemas.chat import ContentPart, Message, ToolCall
from libs.schemas.completion import AssistantMessage, ToolCallOut
from libs.translate.lift import MIN_BYTES

VERSION = "1"  # of the canonical form; digests of different versions never meet
_SIZE = 16
_ENCODER = msgspec.json.Encoder()
_STRING = msgspec.json.Decoder(str)

Canon = list[object]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Digests of one history: of each prefix that ends with an assistant message, and of the whole."""

    answers: list[tuple[int, str]]  # (index of the assistant message, digest), oldest first
    whole: str


def scope(tenant: str, account: str, end_user: str) -> str:
    """Return the digest of an owner: nothing of one owner is ever found by another."""
    return blake2b(_ENCODER.encode([VERSION, tenant, account, end_user]), digest_size=_SIZE).hexdigest()


def history(messages: Sequence[Message], hoisted: int, owner: str, media: Mapping[str, str]) -> History:
    """Return the digests of `messages` without the first `hoisted`.

    `media` gives the SHA-256 of strings that stayed on the edge, by placeholder.
    """
    digest, answers = bytes.fromhex(owner), []
    results: list[Canon] = []  # of the run of tool messages being read
    for index in range(hoisted, len(messages)):
        message = messages[index]
        if message.role == "tool" or not message.role:
            results.append(_result(message, media))
            continue
        digest = _extend_all(digest, results)
        results = []
        digest = _extend(digest, _canon(message, media))
        if message.role == "assistant":
            answers.append((index, digest.hex()))
    return History(answers=answers, whole=_extend_all(digest, results).hex())


def answered(prefix: str, message: AssistantMessage) -> str:
    """Return the digest of a history, of which `prefix` is the digest, after `message` answered it."""
    calls = [[call.id, _name(call)] for call in message.tool_calls or ()]
    canon = _assistant([message.content or ""], [message.refusal or ""], calls, {})
    return _extend(bytes.fromhex(prefix), canon).hex()


def _extend(digest: bytes, canon: Canon) -> bytes:
    return blake2b(digest + _ENCODER.encode(canon), digest_size=_SIZE).digest()


def _extend_all(digest: bytes, results: Iterable[Canon]) -> bytes:
    for canon in sorted(results, key=_ENCODER.encode):
        digest = _extend(digest, canon)
    return digest


def _canon(message: Message, media: Mapping[str, str]) -> Canon:
    if message.role == "assistant":
        calls = [[call.id, _name(call)] for call in message.tool_calls or ()]
        refusals = [part.refusal or "" for part in message.content] if isinstance(message.content, list) else []
        texts = _texts(message.content)
        if message.audio is not None and not any(texts):
            texts = [message.audio.transcript or message.audio.id]
        return _assistant(texts, [*refusals, message.refusal or ""], calls, media)
    return [message.role, message.name or "", *_parts(message.content, media)]


def _result(message: Message, media: Mapping[str, str]) -> Canon:
    """A result by role, or by type: a plain text is the same in both forms."""
    if message.role:
        parts = message.content if isinstance(message.content, list) else []
        others = [_part(part, media) for part in parts if part.type != "text"]
        return ["tool", message.tool_call_id or "", _joined(_texts(message.content), media), *others]
    name = message.call_id or message.approval_request_id or message.id or ""
    said = [value for value in (message.status, message.approve, message.reason) if value is not None]
    return ["tool", name, _output(message.output, media), *said]


def _output(output: Raw, media: Mapping[str, str]) -> str:
    text = bytes(output).decode()
    if text.startswith('"'):
        return _joined([_STRING.decode(output)], media)
    for placeholder, digest in media.items():
        text = text.replace(placeholder, digest)
    return text


def _name(call: ToolCall | ToolCallOut) -> str:
    called = call.function or call.custom
    return called.name if called else ""


def _assistant(texts: list[str], refusals: list[str], calls: list[list[str]], media: Mapping[str, str]) -> Canon:
    return ["assistant", _joined(texts, media, strip=True), _joined(refusals, media, strip=True), calls]


def _texts(content: str | list[ContentPart] | None) -> list[str]:
    return [part.text or "" for part in content] if isinstance(content, list) else [content or ""]


def _joined(texts: Sequence[str], media: Mapping[str, str], *, strip: bool = False) -> str:
    """The texts as one, or its digest where it is so long that the edge may have lifted it as media."""
    whole = "".join(media.get(text, text) for text in texts)
    if strip:
        whole = whole.rstrip()
    return whole if len(whole) < MIN_BYTES else _digest(whole, {})


def _parts(content: str | list[ContentPart] | None, media: Mapping[str, str]) -> Iterable[Canon]:
    parts = content if isinstance(content, list) else [ContentPart("text", text=content)]
    return [_part(part, media) for part in parts if part.type != "text" or part.text]


def _part(part: ContentPart, media: Mapping[str, str]) -> Canon:
    image, file, audio = part.image_url, part.file, part.input_audio
    if isinstance(image, str):
        return ["image", _digest(image, media), "auto"]
    if image is not None:
        return ["image", _digest(image.url, media), image.detail or "auto"]
    if file is not None:
        source = file.file_id or file.file_url or ""
        return ["file", source, _digest(file.file_data or "", media), file.filename or ""]
    if audio is not None:
        return ["audio", _digest(audio.data, media), audio.format]
    return [part.type, _joined([part.text or ""], media)]


def _digest(text: str, media: Mapping[str, str]) -> str:
    return media.get(text) or sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
