"""Digests by which a history is recognised (docs/continuity.md#how-a-turn-is-known-again).

Clients rewrite what they echo: tool calls count by id and name, null, "" and absent are equal, a
string equals one text part, trailing white space of an answer and the order of tool results do not
count. The hoisted leading system run is left out, so that a changing system prompt still continues.

An answer is known by its *prefix*, the rolling hash up to and including it, without the arguments of its
calls: clients drop keys of arguments, so arguments are compared on their own. The next message extends its *end*,
which contains the arguments as the client echoes them, so that an edit of an earlier call changes every later digest.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b, sha256

import msgspec
from msgspec import Raw

from libs.schemas.wire.chat import ContentPart, Message, ToolCall
from libs.schemas.wire.completion import AssistantMessage, ToolCallOut
from libs.translate.continuity.arguments import canonical
from libs.translate.lift import MIN_BYTES

VERSION = "1"  # of the canonical form; digests of different versions never meet
_SIZE = 16
_ENCODER = msgspec.json.Encoder()
_STRING = msgspec.json.Decoder(str)

Canon = list[object]
_ToolCall = tuple[str, str, str]  # id, name, arguments


class EchoedTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One assistant message of a history.

    `prefix` and `end` as above; `loose` knows it in another history or context, by its calls, and where it
    has none by its prefix.
    """

    index: int
    prefix: str
    end: str
    loose: str


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Digests of one history: of its answers, oldest first, of its part up to the newest one, and of the whole."""

    turns: list[EchoedTurn]
    start: str
    digest: str


class GivenTurn(msgspec.Struct, frozen=True, kw_only=True):
    """The digests of an answer that was just given, and the key of its entry."""

    turn_key: str
    prefix: str
    end: str
    loose: str


def scope_digest(tenant: str, account: str, end_user: str) -> str:
    """Return the digest of an owner: nothing of one owner is ever found by another."""
    return _hex([VERSION, tenant, account, end_user])


def after(scope: str, parent: str) -> str:
    """Return where a history begins of which the client sends only what follows `parent`."""
    return _hex([scope, "after", parent])


def context(instructions: str, tools: Iterable[str], name: str = "") -> str:
    """Return the digest of what a turn was answered under, besides its history: instructions and tool names.

    So is the `name` that the client gave: the same words in two conversations are two turns.
    """
    return _hex([name, instructions, *sorted(tools)])


def turn_key(prefix: str, context_: str) -> str:
    """Return the key of the turn with this history, answered in this context."""
    return _hex(["entry", prefix, context_])


def history(
    messages: Sequence[Message], hoisted: int, scope: str, media: Mapping[str, str], start: str | None = None
) -> History:
    """Return the digests of `messages` without the first `hoisted`, which go on from `start`.

    `media` gives the SHA-256 of strings that stayed on the edge, by placeholder.
    """
    digest = bytes.fromhex(start or scope)
    newest, turns = digest, []
    results: list[Canon] = []  # of the run of tool messages being read
    for index in range(hoisted, len(messages)):
        message = messages[index]
        if message.role == "tool" or not message.role:
            results.append(_result(message, media))
            continue
        digest = _extend_all(digest, results)
        results = []
        canon = _canon(message, media)
        digest = _extend(digest, canon)
        if message.role == "assistant":
            prefix = digest.hex()
            calls = tool_calls_of(message)
            newest = digest = _end(digest, calls)
            turns.append(EchoedTurn(index=index, prefix=prefix, end=digest.hex(), loose=_loose(scope, prefix, canon)))
    return History(turns=turns, start=newest.hex(), digest=_extend_all(digest, results).hex())


def given_turn(scope: str, asked: str, context_: str, message: AssistantMessage) -> GivenTurn:
    """Return the digests of a history, of which `asked` is the digest, after `message` answered it."""
    calls = tool_calls_of(message)
    canon = _assistant([message.content or ""], [message.refusal or ""], calls, {})
    digest = _extend(bytes.fromhex(asked), canon)
    prefix = digest.hex()
    return GivenTurn(
        turn_key=turn_key(prefix, context_),
        prefix=prefix,
        end=_end(digest, calls).hex(),
        loose=_loose(scope, prefix, canon),
    )


def _hex(parts: list[str]) -> str:
    return blake2b(_ENCODER.encode(parts), digest_size=_SIZE).hexdigest()


def _end(digest: bytes, calls: Sequence[_ToolCall]) -> bytes:
    return _extend(digest, [canonical(arguments).decode() for _, _, arguments in calls]) if calls else digest


def _loose(scope: str, prefix: str, canon: Canon) -> str:
    """The key by all call ids, their names and the visible text; the prefix where a call has no id."""
    calls = canon[-1]
    assert isinstance(calls, list)
    if not calls or not all(id_ for id_, _ in calls):
        return _hex([scope, "prefix", prefix])
    return blake2b(_ENCODER.encode([scope, "calls", canon]), digest_size=_SIZE).hexdigest()


def _extend(digest: bytes, canon: Canon) -> bytes:
    return blake2b(digest + _ENCODER.encode(canon), digest_size=_SIZE).digest()


def _extend_all(digest: bytes, results: Iterable[Canon]) -> bytes:
    for canon in sorted(results, key=_ENCODER.encode):
        digest = _extend(digest, canon)
    return digest


def _canon(message: Message, media: Mapping[str, str]) -> Canon:
    if message.role == "assistant":
        refusals = [part.refusal or "" for part in message.content] if isinstance(message.content, list) else []
        texts = _texts(message.content)
        if message.audio is not None and not any(texts):
            texts = [message.audio.transcript or message.audio.id]
        return _assistant(texts, [*refusals, message.refusal or ""], tool_calls_of(message), media)
    return [message.role, message.name or "", *_parts(message.content, media)]


def _result(message: Message, media: Mapping[str, str]) -> Canon:
    """A result by role, or by type: a plain text is the same in both forms."""
    if message.role:
        parts = message.content if isinstance(message.content, list) else []
        others = [_part(part, media) for part in parts if part.type != "text"]
        return ["tool", message.tool_call_id or "", _joined(_texts(message.content), media), *others]
    name = message.call_id or message.approval_request_id or message.id or ""
    given = [value for value in (message.status, message.approve, message.reason) if value is not None]
    return ["tool", name, _output(message.output, media), *given]


def _output(output: Raw, media: Mapping[str, str]) -> str:
    text = bytes(output).decode()
    if text.startswith('"'):
        return _joined([_STRING.decode(output)], media)
    return _with_digests(text, media) if media else text


def _with_digests(text: str, media: Mapping[str, str]) -> str:
    """The text with digests in place of placeholders, which all begin alike."""
    prefix = next(iter(media)).rpartition(":")[0] + ":"
    first, *others = text.split(prefix)
    pieces = [first]
    for other in others:
        index, dot, rest = other.partition(".")
        digest = media.get(f"{prefix}{index}{dot}")
        pieces += (prefix, other) if digest is None else (digest, rest)
    return "".join(pieces)


def tool_calls_of(message: Message | AssistantMessage) -> list[_ToolCall]:
    """The calls in either form; one of the legacy form has no id (docs/mapping.md#legacy-functions)."""
    legacy = message.function_call
    found = [_call(call) for call in message.tool_calls or ()]
    return [*found, ("", legacy.name, legacy.arguments)] if legacy else found


def _call(call: ToolCall | ToolCallOut) -> _ToolCall:
    if call.custom:
        return call.id, call.custom.name, call.custom.input
    return (call.id, call.function.name, call.function.arguments) if call.function else (call.id, "", "")


def _assistant(texts: list[str], refusals: list[str], calls: Sequence[_ToolCall], media: Mapping[str, str]) -> Canon:
    named = [[id_, name] for id_, name, _ in calls]
    return ["assistant", _joined(texts, media, strip=True), _joined(refusals, media, strip=True), named]


def _texts(content: str | list[ContentPart] | None) -> list[str]:
    return [part.text or "" for part in content] if isinstance(content, list) else [content or ""]


def _joined(texts: Sequence[str], media: Mapping[str, str], *, strip: bool = False) -> str:
    """The texts as one, or its digest where it is as long as media: earlier releases lifted long texts as well."""
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
